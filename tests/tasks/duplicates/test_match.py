from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tasks.duplicates import match as match_module
from tasks.duplicates.fingerprint import fingerprint_file
from tasks.duplicates.match import Fingerprints, find_matches
from tasks.duplicates.passage import (
    BACKGROUND_RATIO,
    FEWEST_VALUES,
    MIN_DISTINCT_RATIO,
    Values,
    background_error_rate,
    find_passage,
    span_s,
    values_within,
)
from tasks.engine.errors import BuildError
from tests.tasks.duplicates.sounds import CLIP_10_S, GAME_MUSIC, RATE_HZ, copies, drones, ffmpeg

BOUND = values_within(20.0)
needs_game_music = pytest.mark.skipif(not GAME_MUSIC.is_dir(), reason="needs the Debian package wesnoth-1.16-music")


def naive_pairs(items: Sequence[Values], min_values: int) -> set[tuple[int, int]]:
    """All pairs, all offsets."""
    return {
        (a, b)
        for a, b in combinations(range(len(items)), 2)
        if any(
            find_passage(items[a], items[b], offset, 0.2, min_values)
            for offset in range(min_values - len(items[a]), len(items[b]) - min_values + 1)
        )
    }


def pairs(items: Sequence[Values], min_values: int = BOUND, num_queries: int | None = None) -> set[tuple[int, int]]:
    found = find_matches(Fingerprints.of(items), 0.2, min_values, num_queries)
    return {(match.first, match.second) for match in found}


def random_values(seed: int, length: int) -> Values:
    return np.random.default_rng(seed).integers(1 << 32, size=length, dtype=np.uint32)


def spoiled(values_V: Values, share: float, seed: int = 0) -> Values:
    """With a share of the bits wrong, at random."""
    wrong = np.random.default_rng(seed).random((len(values_V), 32)) < share
    return values_V ^ (wrong @ (1 << np.arange(32, dtype=np.uint64))).astype(np.uint32)


def test_copies_are_found_and_other_songs_are_not(songs: list[Path], tmp_path: Path) -> None:
    items = [fingerprint_file(path) for path in songs]
    made = copies(tmp_path, songs[3])
    items += made.values()
    found = pairs(items)
    copied = [3, *range(len(songs), len(items))]
    # An excerpt and a cut copy have less than 20 s in common with some others; each has more with the original.
    assert {(3, copy) for copy in copied[1:]} <= found, dict(zip(made, copied[1:], strict=True))
    assert all(a in copied and b in copied for a, b in found)
    assert found == naive_pairs(items, BOUND)


def test_offset_and_overlap_are_told(songs: list[Path], tmp_path: Path) -> None:
    made = copies(tmp_path, songs[0])
    original = fingerprint_file(songs[0])
    for name, offset_s, overlap_s in (
        ("10 s cut", -10.0, 41.0),
        ("20 s of silence before", 20.0, 50.0),
        ("30 s excerpt", -12.06, 29.8),
    ):
        [match] = find_matches(Fingerprints.of([original, made[name]]), 0.2, BOUND)
        assert match.passage.offset_s == pytest.approx(offset_s, abs=0.13), name
        assert match.passage.overlap_s == pytest.approx(overlap_s, abs=5.0), name
        assert match.passage.error_rate < 0.1, name


def test_clips_of_10_s_are_found_in_their_song_alone(songs: list[Path], tmp_path: Path) -> None:
    clips = [fingerprint_file(ffmpeg(tmp_path, songs[number], CLIP_10_S)) for number in (2, 7, 11)]
    bound = values_within(span_s(len(clips[0])) - 1.0)
    found = pairs([*clips, *map(fingerprint_file, songs)], bound, num_queries=3)
    assert found == {(0, 3 + 2), (1, 3 + 7), (2, 3 + 11)}


def test_sounds_without_events_are_no_evidence(tmp_path: Path) -> None:
    items = []
    for sound in drones().values():
        soundfile.write(tmp_path / "x.flac", sound, RATE_HZ, subtype="PCM_16")
        items.append(fingerprint_file(tmp_path / "x.flac"))
    alike = [np.bitwise_count(a[:400] ^ b[:400]).mean() / 32 for a, b in combinations(items, 2)]
    assert sum(rate < 0.1 for rate in alike) >= 6, "the error rate alone would match many of them"
    assert pairs(items) == naive_pairs(items, BOUND) == set()


def test_silence_that_two_songs_share_is_no_evidence(songs: list[Path], tmp_path: Path) -> None:
    padded = ["-af", "adelay=30000:all=1", "padded.flac"]
    items = [fingerprint_file(ffmpeg(tmp_path, path, padded)) for path in songs[:4]]
    assert pairs(items) == naive_pairs(items, BOUND) == set()


def recorded(names: Sequence[str], num_copied: int, folder: Path) -> tuple[list[Values], list[int]]:
    """Fingerprints of pieces, then of all copies of the first few; and of which piece each is."""
    files = [GAME_MUSIC / f"{name}.ogg" for name in names]
    items, pieces = [fingerprint_file(path) for path in files], list(range(len(files)))
    for number in range(num_copied):
        made = copies(folder, files[number])
        items += made.values()
        pieces += [number] * len(made)
    return items, pieces


@needs_game_music
def test_recorded_music(tmp_path: Path) -> None:
    items, pieces = recorded(["sad", "main_menu", "transience", "battle-epic", "revelation", "love_theme"], 2, tmp_path)
    found = pairs(items)
    assert all(pieces[a] == pieces[b] for a, b in found)
    assert {b for a, b in found if a < 2} == set(range(6, len(items))), "each copy with its original"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@needs_game_music
def test_recorded_music_is_far_from_the_thresholds(tmp_path: Path) -> None:
    """The figures that stand at ``BACKGROUND_RATIO`` and ``MIN_DISTINCT_RATIO``."""
    files = sorted(GAME_MUSIC.glob("*.ogg"), key=lambda path: path.stat().st_size)
    names = [path.stem for path in files[::3] if len(fingerprint_file(path)) >= values_within(45.0)]
    items, pieces = recorded(names, len(names), tmp_path)
    found = find_matches(Fingerprints.of(items), 0.2, BOUND)
    assert all(pieces[match.first] == pieces[match.second] for match in found)
    assert {match.second for match in found if match.first < len(names)} == set(range(len(names), len(items)))
    for match in found:
        start, offset, length = match.passage.start, match.passage.offset, match.passage.num_values
        ours_V = items[match.first][start : start + length]
        theirs_V = items[match.second][start + offset : start + offset + length]
        assert match.passage.error_rate < 0.8 * BACKGROUND_RATIO * background_error_rate(ours_V, theirs_V)
        assert len(np.unique(ours_V)) > 5 * MIN_DISTINCT_RATIO * length


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_all_pairs_at_all_offsets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = [random_values(100 * seed + number, int(rng.integers(0, 300))) for number in range(8)]
    for source, share in zip(rng.integers(8, size=6), (0.0, 0.02, 0.05, 0.08, 0.3, 0.5), strict=True):
        begin, before = int(rng.integers(0, 60)), random_values(int(rng.integers(1 << 30)), int(rng.integers(0, 90)))
        items.append(np.concatenate([before, spoiled(items[source][begin:], share, seed)]))
    found = pairs(items, 40)
    assert found == naive_pairs(items, 40)
    assert found, "nothing to compare"
    queries = pairs(items, 40, num_queries=8)
    assert queries == {(a, b) for a, b in found if a < 8 <= b}


def test_blocks_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    originals = [random_values(number, 200) for number in range(10)]
    items = [*originals, *(spoiled(values_V, 0.03)[30:] for values_V in originals[::2])]
    whole = find_matches(Fingerprints.of(items), 0.2, 100)
    assert len(whole) == 5
    monkeypatch.setattr(match_module, "_CHUNK", 333)
    assert find_matches(Fingerprints.of(items), 0.2, 100) == whole


def test_many_copies_form_one_chain() -> None:
    original = random_values(0, 200)
    items = [spoiled(original, 0.02, number) for number in range(3 * match_module.REACH)]
    found = pairs(items)
    reached = {0}
    for a, b in sorted(found):
        reached |= {b} if a in reached else set()
    assert reached == set(range(len(items)))


def test_values_that_stand_everywhere_do_not_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_module, "MOST_POSTINGS", 50)
    hum = random_values(99, 4)
    items = [np.where(np.arange(200) % 2, random_values(n, 200), np.tile(hum, 50)) for n in range(6)]
    items.append(items[0][20:])
    votes = match_module._votes(Fingerprints.of(items), match_module._Postings(Fingerprints.of(items), None), 0, 7)
    assert len(votes) == 90, "the values of the copied track alone"
    assert pairs(items) == {(0, 6)}


def test_a_common_part_between_other_parts() -> None:
    shared = random_values(1, 170)
    items = [
        np.concatenate([random_values(2, 300), shared, random_values(3, 50)]),
        np.concatenate([random_values(4, 10), spoiled(shared, 0.05), random_values(5, 400)]),
    ]
    [match] = find_matches(Fingerprints.of(items), 0.2, BOUND)
    assert match.passage.start == pytest.approx(300, abs=2)
    assert match.passage.num_values == pytest.approx(170, abs=3)
    assert find_matches(Fingerprints.of(items), 0.2, values_within(span_s(175))) == []


def test_empty_and_tiny_items() -> None:
    assert pairs([]) == set()
    assert pairs([np.empty(0, np.uint32)] * 3) == set()
    assert pairs([random_values(0, FEWEST_VALUES - 1)] * 2, FEWEST_VALUES) == set()
    assert pairs([random_values(0, FEWEST_VALUES)] * 2, FEWEST_VALUES) == {(0, 1)}


def test_stops_when_told() -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        find_matches(Fingerprints.of([random_values(0, 200)] * 2), 0.2, BOUND, check=stop)


def test_what_does_not_fit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_module, "MOST_ITEMS", 3)
    with pytest.raises(BuildError, match="3 items, fewer than 3"):
        pairs([random_values(0, 200)] * 3)
