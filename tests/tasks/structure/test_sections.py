"""Novelty, borders, letters and the facts of sections."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest
from scipy import signal

from data_specs.spec import StructureSettings
from tasks.structure import bar_features, facts, letters, onsets, sections, spectrum
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


def test_a_long_rest_is_silence_and_its_neighbours_are_not() -> None:
    loop = blocks.chord_loop(0, "major")
    rest = np.zeros(30 * blocks.RATE_HZ, dtype=np.float32)
    structure = analyse(np.concatenate([loop, loop, rest, loop]), "t", StructureSettings())
    begins_s = 2 * len(loop) / blocks.RATE_HZ
    silent = [section for section in structure.sections if section.label == "silence"]
    assert len(silent) == 1
    assert (silent[0].start_s, silent[0].end_s) == pytest.approx((begins_s, begins_s + 30), abs=1.5)
    assert (silent[0].loudness_db, silent[0].brightness_hz, silent[0].bass) == (-60.0, 0.0, 0.0)
    assert all(section.brightness_hz > 0 for section in structure.sections if section.label != "silence")


def _struck(high_hz: float, gain: float) -> np.ndarray:
    """Which beats of a chord loop count as struck once noise above ``high_hz`` is played on every other one."""
    loop = blocks.chord_loop(0, "major")
    rng = np.random.default_rng(0)
    band = signal.butter(4, high_hz, "highpass", fs=blocks.RATE_HZ, output="sos")
    beats = np.arange(0, 19, 0.6)
    for beat in beats[::2]:
        stroke = signal.sosfilt(band, blocks.noise_hit(rng)) * gain
        begin = round(beat * blocks.RATE_HZ)
        loop[begin : begin + len(stroke)] += stroke
    log_mel = spectrum.measure(spectrum.levelled(loop.astype(np.float32))).log_mel_FM
    return facts.is_struck(onsets.detect(log_mel), beats)


def test_soft_cymbals_are_percussion_and_plucked_chords_are_not() -> None:
    assert not _struck(6000, 0.0).any()
    assert _struck(6000, 0.05)[::2].mean() > 0.9
    assert not _struck(6000, 0.05)[1::2].any()


@pytest.mark.parametrize("trust", [0.0, 0.5, 1.0])
def test_kernels_are_counted_in_bars_where_the_pulse_is_clear_and_in_seconds_where_not(trust: float) -> None:
    rows = np.random.default_rng(0).random((60, 5))
    similarity = np.exp(-bar_features.squared_distances(rows))
    edges_s = np.arange(61) * 1.0
    halves = {0.0: (8, 16), 0.5: (6, 11), 1.0: (4, 8)}[trust]
    expected = np.mean([naive.novelty(similarity, half) for half in halves], axis=0)
    np.testing.assert_allclose(sections.novelty_curve(similarity, edges_s, trust), expected, atol=1e-12)


def test_without_a_pulse_sections_are_longer() -> None:
    rng = np.random.default_rng(1)
    blocks_of_bars = np.repeat(rng.random((20, 6)), 3, axis=0)  # something new every 6 s
    features = bar_features.BarFeatures(
        timbre_ND=2 * blocks_of_bars, harmony_ND=blocks_of_bars, rhythm_ND=blocks_of_bars
    )
    edges_s = np.arange(61) * 2.0
    sure, unsure = (sections.segment(features, edges_s, 5.0, pulse).borders for pulse in (1.0, 0.0))
    assert len(unsure) < len(sure)


def test_given_borders_keep_the_engine_s_worth_and_gain_by_what_is_heard() -> None:
    parts = np.repeat([[0.0, 0.0], [3.0, 3.0]], 12, axis=0)
    features = bar_features.BarFeatures(timbre_ND=parts, harmony_ND=parts, rhythm_ND=parts)
    found = sections.segment_at(features, np.arange(25) * 2.0, (0, 6, 12, 24), 0.78)
    first, unheard, heard = found.boundary_confidences
    assert first == 1.0
    assert 0.78 <= unheard < 0.85
    assert heard > 0.95
    assert found.letters == ("A", "A", "B")
