"""Changes between sections: thresholds, order, confidence; variants of letters; letters' confidence."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.records import Change, Section
from data_specs.spec import StructureSettings
from tasks.structure import letters
from tasks.structure.analyse import analyse
from tasks.structure.changes import changes_between
from tasks.structure.forms import variants
from tasks.structure.picture import section_name
from tests.tasks.structure import blocks, naive

PLAIN = Section(
    start_s=0.0,
    end_s=20.0,
    label="section",
    letter="A",
    variant=0,
    letter_confidence=1.0,
    boundary_confidence=1.0,
    num_bars=10,
    loudness_db=0.0,
    onset_rate_hz=4.0,
    brightness_hz=1000.0,
    percussion=0.5,
    bass=0.3,
    chords=(),
    chords_confidence=0.0,
    key="C major",
    key_confidence=0.9,
    changes=(),
)


def _kinds(before: Section, after: Section) -> list[str]:
    return [change.kind for change in changes_between(before, after)]


def _one(before: Section, after: Section) -> Change:
    (change,) = changes_between(before, after)
    return change


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ({}, {}, []),
        ({}, {"loudness_db": 1.9}, []),
        ({}, {"loudness_db": 2.0}, ["level_up"]),
        ({}, {"loudness_db": -2.0}, ["level_down"]),
        ({}, {"onset_rate_hz": 5.1}, []),
        ({}, {"onset_rate_hz": 5.2}, ["density_up"]),
        ({}, {"onset_rate_hz": 0.0}, ["density_down"]),
        ({"onset_rate_hz": 0.1}, {"onset_rate_hz": 0.4}, []),
        ({}, {"brightness_hz": 1190.0}, []),
        ({}, {"brightness_hz": 1210.0}, ["brightness_up"]),
        ({}, {"brightness_hz": 0.0}, []),
        ({"percussion": 0.14}, {"percussion": 0.3}, ["percussion_in"]),
        ({"percussion": 0.3}, {"percussion": 0.14}, ["percussion_out"]),
        ({"percussion": 0.15}, {"percussion": 0.4}, []),
        ({"percussion": 0.2}, {"percussion": 0.5}, ["percussion_up"]),
        ({"percussion": 0.9}, {"percussion": 0.6}, ["percussion_down"]),
        ({"bass": 0.07}, {"bass": 0.15}, ["bass_in"]),
        ({"bass": 0.15}, {"bass": 0.07}, ["bass_out"]),
        ({"bass": 0.2}, {"bass": 0.3}, ["bass_up"]),
        ({"bass": 0.3}, {"bass": 0.41}, []),  # less than half as much again
        ({}, {"key": "D major"}, ["key"]),
        ({}, {"key": "C minor"}, ["key"]),
        ({}, {"key": "A minor"}, []),  # the same notes
        ({}, {"key": "G major"}, []),  # all notes but one
        ({}, {"key": "D major", "key_confidence": 0.5}, []),
        ({}, {"key": "", "key_confidence": 0.0}, []),
    ],
)
def test_a_change_is_told_from_its_threshold_on(
    before: dict[str, object], after: dict[str, object], kinds: list[str]
) -> None:
    assert _kinds(replace(PLAIN, **before), replace(PLAIN, **after)) == kinds


def test_amounts_are_in_the_units_of_the_record() -> None:
    assert _one(PLAIN, replace(PLAIN, loudness_db=-6.5)).amount == 6.5
    assert _one(PLAIN, replace(PLAIN, onset_rate_hz=2.0)).amount == 2.0
    assert _one(PLAIN, replace(PLAIN, brightness_hz=500.0)).amount == 2.0
    assert _one(PLAIN, replace(PLAIN, percussion=1.0)).amount == 0.5
    assert _one(PLAIN, replace(PLAIN, key="A# major")).amount == 10.0


def test_what_was_not_measured_changes_nothing() -> None:
    for name in ("loudness_db", "onset_rate_hz", "brightness_hz", "percussion", "bass"):
        assert not changes_between(PLAIN, replace(PLAIN, **{name: math.nan}))


def test_players_come_first_then_the_key_then_by_how_often_the_threshold_is_passed() -> None:
    before = replace(PLAIN, percussion=0.0)
    after = replace(PLAIN, percussion=0.5, key="D major", loudness_db=2.5, brightness_hz=3000.0)
    assert _kinds(before, after) == ["percussion_in", "key", "brightness_up", "level_up"]


@given(step=st.floats(2.0, 20.0), further=st.floats(0.0, 10.0), end_s=st.floats(4.0, 100.0))
def test_confidence_grows_with_the_distance_and_with_the_length(step: float, further: float, end_s: float) -> None:
    short, long = replace(PLAIN, end_s=end_s), replace(PLAIN, end_s=2 * end_s)
    near = _one(short, replace(short, loudness_db=step))
    assert 0.5 <= near.confidence <= _one(short, replace(short, loudness_db=step + further)).confidence <= 1
    assert near.confidence <= _one(long, replace(long, loudness_db=step)).confidence


def test_confidence_is_the_share_of_repeated_measurements_that_pass_the_threshold() -> None:
    before, after = replace(PLAIN, onset_rate_hz=4.0), replace(PLAIN, onset_rate_hz=6.0)
    rng = np.random.default_rng(0)
    rates = [rng.poisson(rate * 20.0, 20_000) / 20.0 for rate in (4.0, 6.0)]
    assert _one(before, after).confidence == pytest.approx(np.mean(rates[1] >= 1.3 * rates[0]), abs=0.03)


def test_a_letter_that_returns_changed_is_another_form() -> None:
    loud = replace(PLAIN, loudness_db=8.0)
    assert variants([PLAIN, replace(PLAIN, letter="B"), loud, PLAIN, loud]) == (0, 0, 1, 0, 1)
    assert variants([PLAIN, replace(PLAIN, loudness_db=2.1)]) == (0, 0)
    assert variants([]) == ()


@pytest.mark.parametrize("seed", range(5))
def test_separations_match_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((9, 2))
    distances = np.linalg.norm(points[:, None] - points[None, :], axis=2)
    cluster = rng.integers(1, 5, 9)
    expected = naive.separations(distances, tuple(cluster.tolist()), letters.SAME_LETTER)
    np.testing.assert_allclose(letters.separations(distances, cluster), expected)


@pytest.mark.parametrize("up", [1, 2, 3, 6])
def test_a_modulation_is_a_change_of_key_and_an_unmodulated_song_has_none(up: int) -> None:
    loops = [blocks.chord_loop(tonic, "major", num_bars=12) for tonic in (0, up)]
    sections = analyse(np.concatenate(loops), "up", StructureSettings()).sections
    assert [c.amount for s in sections for c in s.changes if c.kind == "key"] == [up]
    plain = analyse(np.concatenate([loops[0], loops[0]]), "plain", StructureSettings()).sections
    assert not [c for s in plain for c in s.changes if c.kind == "key"]


def test_drums_that_enter_are_a_sure_change_of_a_block_song() -> None:
    sections = analyse(blocks.block_song("ABAB").samples, "blocks", StructureSettings()).sections
    assert sections[0].changes == ()
    for section, kind in zip(sections[1:], ("percussion_in", "percussion_out", "percussion_in"), strict=True):
        found = {change.kind: change.confidence for change in section.changes}
        assert found[kind] > 0.9


@pytest.mark.parametrize(("variant", "name"), [(0, "A"), (1, "A′"), (2, "A′′"), (3, "A(3)")])
def test_pictures_name_variants_with_primes(variant: int, name: str) -> None:
    assert section_name(replace(PLAIN, variant=variant)) == name
