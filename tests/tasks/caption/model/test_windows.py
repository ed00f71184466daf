from __future__ import annotations

import itertools
import random

import pytest

from data_specs.music_llms import MusicLLM, presets
from tasks.caption.model.schema import Span
from tasks.caption.model.windows import (
    MARGIN_S,
    MAX_SECTIONS,
    Window,
    cut_windows,
    even_windows,
    runs,
    spare_tokens,
)

MODEL = presets()["moss-music-8b-instruct"]


def spans(*lengths: float) -> list[Span]:
    edges = [0.0, *itertools.accumulate(lengths)]
    return [Span(round(a, 2), round(b, 2), "section") for a, b in itertools.pairwise(edges)]


def any_room(window: Window) -> bool:
    return True


def check(windows: list[Window], sections: list[Span], hears_s: float) -> None:
    """Every section is in one window whole, or in several in equal parts; nothing is heard beyond the song."""
    duration_s = sections[-1].end_s
    pieces = [piece for window in windows for piece in window.pieces]
    assert [piece.index for piece in pieces] == sorted(piece.index for piece in pieces)
    for index, section in enumerate(sections):
        mine = [piece.span for piece in pieces if piece.index == index]
        assert mine[0].start_s == section.start_s
        assert mine[-1].end_s == section.end_s
        assert all(a.end_s == b.start_s for a, b in itertools.pairwise(mine))
    for window in windows:
        first, last = window.pieces[0].span, window.pieces[-1].span
        assert 0 <= window.start_s <= first.start_s
        assert last.end_s <= window.end_s <= duration_s
        assert window.duration_s <= hears_s + 1e-6
        assert len(window.pieces) <= MAX_SECTIONS
        margin_s = min(MARGIN_S, hears_s / 10)
        assert window.start_s == pytest.approx(max(0, first.start_s - margin_s), abs=0.006)
        assert window.end_s == pytest.approx(min(duration_s, last.end_s + margin_s), abs=0.006)


def test_a_song_of_three_seconds_is_one_window_without_margins() -> None:
    (window,) = cut_windows(spans(3.0), 3.0, 30.0, any_room)
    assert (window.start_s, window.end_s, len(window.pieces)) == (0.0, 3.0, 1)


def test_one_long_section_is_cut_into_equal_parts() -> None:
    sections = spans(200.0)
    windows = cut_windows(sections, 200.0, 60.0, any_room)
    check(windows, sections, 60.0)
    assert len(windows) == 4
    lengths = [w.pieces[0].span.end_s - w.pieces[0].span.start_s for w in windows]
    assert lengths == [50.0] * 4


def test_sections_are_packed_and_stay_whole() -> None:
    sections = spans(20, 20, 20, 50, 10, 10, 100, 5)
    windows = cut_windows(sections, 235.0, 66.0, any_room)
    check(windows, sections, 66.0)
    assert [[p.index for p in w.pieces] for w in windows] == [[0, 1, 2], [3, 4], [5, 6], [6, 7]]


def test_forty_sections_with_thirty_second_ears() -> None:
    rng = random.Random(3)
    sections = spans(*(rng.uniform(4, 40) for _ in range(40)))
    windows = cut_windows(sections, sections[-1].end_s, 30.0, any_room)
    check(windows, sections, 30.0)


@pytest.mark.parametrize("hears_s", [30.0, 300.0, 655.0, 5400.0])
def test_ninety_minutes_of_three_hundred_sections(hears_s: float) -> None:
    sections = spans(*([18.0] * 300))
    windows = cut_windows(sections, 5400.0, hears_s, any_room)
    check(windows, sections, hears_s)
    assert len(windows) >= 5400 / hears_s


@pytest.mark.parametrize("seed", range(30))
def test_random_songs_against_the_naive_packing(seed: int) -> None:
    rng = random.Random(seed)
    hears_s = rng.uniform(20, 400)
    sections = spans(*(rng.choice([rng.uniform(3, 30), rng.uniform(3, 200)]) for _ in range(rng.randint(1, 60))))
    duration_s = sections[-1].end_s
    windows = cut_windows(sections, duration_s, hears_s, any_room)
    check(windows, sections, hears_s)
    if all(s.end_s - s.start_s <= hears_s - 2 * MARGIN_S for s in sections):
        # The naive twin: fewest windows over whole sections, by trying all last windows.
        fewest = [0]
        for last in range(len(sections)):
            fewest.append(
                min(
                    fewest[first] + 1
                    for first in range(max(0, last + 1 - MAX_SECTIONS), last + 1)
                    if min(duration_s, sections[last].end_s + MARGIN_S) - max(0, sections[first].start_s - MARGIN_S)
                    <= hears_s
                )
            )
        assert len(windows) == fewest[-1]


def test_a_window_that_the_context_cannot_hold_is_made_smaller() -> None:
    sections = spans(*([20.0] * 10))
    windows = cut_windows(sections, 200.0, 1000.0, lambda window: window.duration_s < 70)
    assert [len(window.pieces) for window in windows] == [3, 3, 3, 1]


def test_a_context_that_holds_nothing_ends() -> None:
    windows = cut_windows(spans(60.0), 60.0, 1000.0, lambda window: False)
    assert all(w.pieces[0].span.end_s - w.pieces[0].span.start_s >= 2 * MARGIN_S for w in windows)
    assert windows[-1].end_s == 60.0


def test_even_windows_cover_the_song_once() -> None:
    windows = even_windows(231.48, 30.0, any_room)
    assert len(windows) == 8
    assert windows[0].start_s == 0.0
    assert windows[-1].end_s == 231.48
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(windows))
    assert [w.pieces[0].index for w in windows] == list(range(8))


@pytest.mark.parametrize("count", [0, 1, 2, 40, 41, 300])
@pytest.mark.parametrize("room", [1, 7, 40])
def test_runs_cover_all_in_order(count: int, room: int) -> None:
    found = runs(count, lambda run: len(run) <= room)
    assert [i for run in found for i in run] == list(range(count))
    assert all(len(run) <= room for run in found)
    if count > 1:
        sizes = [len(run) for run in found]
        assert max(sizes) <= 2 * min(sizes)


def test_nothing_is_asked_of_a_run_that_cannot_shrink() -> None:
    assert runs(2, lambda run: False) == [range(0, 1), range(1, 2)]


def test_spare_tokens_counts_text_audio_and_answer() -> None:
    model = MusicLLM(
        name="m",
        weights="w",
        license="MIT",
        commercial_use=True,
        audio_tokens_per_s=10,
        hears_s=100,
        context_tokens=2000,
    )
    assert spare_tokens(model, "", 0.0, 0) == 2000 - 64
    assert spare_tokens(model, "x" * 301, 0.0, 500) == 2000 - 64 - 101 - 500
    assert spare_tokens(model, "", 100.0, 0) == 2000 - 64 - 1000
    assert spare_tokens(model, "x" * 301, 100.0, 836) == -1


def test_a_song_of_average_length_fits_the_default_model() -> None:
    assert spare_tokens(MODEL, "x" * 6000, 288.0, 4000) > 0
