"""Novelty, borders, letters and the facts of sections."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest

from data_specs.spec import StructureSettings
from tasks.structure import bar_features, facts, letters, sections
from tasks.structure.analyse import analyse
from tests.tasks.structure import blocks, naive


@pytest.mark.parametrize("half", [1, 2, 4, 8])
@pytest.mark.parametrize("num_bars", [1, 3, 9, 30])
def test_novelty_matches_the_double_loop(num_bars: int, half: int) -> None:
    rows = np.random.default_rng(num_bars).random((num_bars, 5))
    similarity = np.exp(-bar_features.squared_distances(rows))
    np.testing.assert_allclose(sections.novelty(similarity, half), naive.novelty(similarity, half), atol=1e-12)


def test_novelty_of_a_block_matrix_peaks_at_its_borders() -> None:
    block = np.repeat([0, 1, 0, 2], 8)
    curve = sections.novelty((block[:, None] == block[None, :]).astype(float), 4)
    assert set(np.argsort(curve)[-3:]) == {8, 16, 24}
    assert curve[8] == pytest.approx(1)


def test_squared_distances_match_the_definition() -> None:
    rows = np.random.default_rng(0).random((6, 3))
    expected = [[np.sum((a - b) ** 2) for b in rows] for a in rows]
    np.testing.assert_allclose(bar_features.squared_distances(rows), expected, atol=1e-12)


@pytest.mark.parametrize("min_section_s", [0.5, 3.0, 5.0, 100.0])
@pytest.mark.parametrize(("bonus", "cost"), [(0.05, 0.0), (0.0, 0.5), (0.02, 0.1)])
@pytest.mark.parametrize("seed", range(4))
def test_borders_are_as_good_as_the_best_of_all_sets(
    seed: int, bonus: float, cost: float, min_section_s: float
) -> None:
    rng = np.random.default_rng(seed)
    gain = rng.normal(0, 0.1, 11)
    edges = np.concatenate([[0], np.cumsum(rng.uniform(1.0, 2.5, 11))])
    worth = sections.Lengths(phrase_bonus=bonus, short_cost=cost)
    borders = sections.choose_borders(gain, edges, min_section_s, worth)
    best = naive.best_borders_score(gain, edges, min_section_s, sections.FEWEST_BARS, worth)
    assert naive.borders_score(borders, gain, edges, worth) == pytest.approx(best)
    assert len(borders) == 2 or np.diff(edges[list(borders)]).min() >= min_section_s - 1e-6
    assert np.diff(borders).min() >= sections.FEWEST_BARS


@pytest.mark.parametrize(("index", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (27, "AB"), (701, "ZZ"), (702, "AAA")])
def test_letters_never_run_out(index: int, name: str) -> None:
    assert letters.letter_name(index) == name


@pytest.mark.parametrize("form", ["ABAB", "ABCBA", "CABAC", "ACABA", "ABCABC"])
def test_form_of_a_block_song_is_recovered(form: str) -> None:
    song = blocks.block_song(form)
    structure = analyse(song.samples, "blocks", StructureSettings())
    found = np.array([(section.start_s, section.end_s) for section in structure.sections])
    _, _, hits = mir_eval.segment.detection(song.intervals_s, found, window=0.5, trim=True)
    assert hits == 1
    first_seen = list(dict.fromkeys(form))
    assert [s.letter for s in structure.sections] == ["ABC"[first_seen.index(letter)] for letter in form]
    assert structure.sections_confidence > 0.4
    assert mir_eval.beat.f_measure(song.beats_s, np.array(structure.beats_s)) > 0.95


def test_facts_tell_the_blocks_apart() -> None:
    song = blocks.block_song("ABAB")
    quiet, loud = analyse(song.samples, "blocks", StructureSettings()).sections[:2]
    assert loud.loudness_db - quiet.loudness_db > 3
    assert loud.brightness_hz > 1.2 * quiet.brightness_hz
    assert quiet.percussion < 0.1 < 0.4 < loud.percussion
    assert (quiet.chords, loud.chords) == (("C", "Am", "F", "G"), ("F", "G", "Em", "Am"))
    assert quiet.num_bars == loud.num_bars == 8


def test_noise_is_one_section_without_confidence() -> None:
    noise = np.random.default_rng(5).standard_normal(40 * blocks.RATE_HZ).astype(np.float32)
    structure = analyse(noise, "noise", StructureSettings())
    assert structure.sections_confidence < 0.1
    assert all(not section.chords and section.chords_confidence == 0 for section in structure.sections)


@pytest.mark.parametrize(
    ("letters", "borders_s", "labels"),
    [
        ("ABBC", [0, 10, 50, 90, 100], ["intro", "section", "section", "outro"]),
        ("ABBC", [0, 50, 60, 80, 100], ["section", "section", "section", "outro"]),
        ("ABCA", [0, 10, 50, 90, 100], ["section"] * 4),
        ("AB", [0, 10, 100], ["section"] * 2),
    ],
)
def test_intro_and_outro_are_short_and_never_return(letters: str, borders_s: list[float], labels: list[str]) -> None:
    assert list(facts.position_labels(tuple(letters), np.array(borders_s, dtype=float))) == labels
