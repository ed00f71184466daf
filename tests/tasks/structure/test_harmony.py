"""Tuning, chroma, chords, loops and keys."""

from __future__ import annotations

import numpy as np
import pytest

from data_specs.spec import StructureSettings
from tasks.structure import harmony, pitch, spectrum
from tasks.structure.analyse import analyse
from tests.tasks.structure import blocks


@pytest.mark.parametrize("cents", [-40, -15, 0, 20, 45])
def test_tuning_is_found_within_three_cents(cents: float) -> None:
    notes = [blocks.tone(p + cents / 100, 1.0, 4) for p in (60, 64, 67, 71, 72, 77)]
    found = pitch.chroma(spectrum.levelled(np.concatenate(notes))).tuning.cents
    assert found == pytest.approx(cents, abs=3)


def test_noise_has_no_tuning() -> None:
    noise = np.random.default_rng(0).standard_normal(5 * blocks.RATE_HZ).astype(np.float32)
    assert pitch.chroma(spectrum.levelled(noise)).tuning == pitch.Tuning(cents=0.0, confidence=0.0)


@pytest.mark.parametrize("pitch_class", range(12))
def test_chroma_of_a_note_points_at_its_pitch_class(pitch_class: int) -> None:
    sound = spectrum.levelled(blocks.tone(60 + pitch_class, 2.0, 4))
    assert pitch.chroma(sound).harmony_GC.mean(axis=0).argmax() == pitch_class


def test_bass_chroma_hears_the_bass_and_not_the_chord() -> None:
    sound = blocks.tone(40, 2.0, 2) + blocks.tone(60, 2.0, 3) + blocks.tone(67, 2.0, 3)
    assert pitch.chroma(spectrum.levelled(sound)).bass_GC.mean(axis=0).argmax() == 40 % 12


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_key_and_loop_of_a_chord_loop(tonic: int, mode: str) -> None:
    structure = analyse(blocks.chord_loop(tonic, mode), "loop", StructureSettings())
    assert structure.key == f"{harmony.PITCH_CLASSES[tonic]} {mode}"
    expected = tuple(
        harmony.PITCH_CLASSES[(tonic + root) % 12] + ("m" if minor else "") for root, minor in blocks.LOOPS[mode]
    )
    assert [section.chords for section in structure.sections] == [expected] * len(structure.sections)
    assert structure.sections[0].chords_confidence > 0.7


def test_every_profile_prefers_its_own_key() -> None:
    profiles = harmony.key_profiles()
    np.testing.assert_array_equal((profiles @ profiles.T).argmax(axis=1), np.arange(24))
    np.testing.assert_array_equal((harmony.chord_templates() @ harmony.chord_templates().T).argmax(axis=1), range(24))


def test_names_follow_the_order_of_the_templates() -> None:
    a_minor = harmony.CHORDS.index("Am")
    assert set(np.argsort(harmony.chord_templates()[a_minor])[-3:]) == {9, 0, 4}
    assert harmony.KEYS[a_minor] == "A minor"


@pytest.mark.parametrize(
    ("bars", "loop"),
    [
        ("C G Am F C G Am F", "C G Am F"),
        ("C C C C", "C"),
        ("C G C G C G C Am", "C G"),
        ("C G Am F C G Am F C G Am", "C G Am F"),
        ("C F G F C F G F", "C F G F"),
        ("C D E F G A B Am", ""),
        ("C", ""),
    ],
)
def test_loop_of_bars(bars: str, loop: str) -> None:
    chords = np.array([harmony.CHORDS.index(name) for name in bars.split()])
    found, share = harmony.chord_loop([chords])
    assert found == tuple(loop.split())
    assert (share >= 0.8) == bool(loop)


def test_loop_is_pooled_over_sections_that_return() -> None:
    bars = np.array([harmony.CHORDS.index(name) for name in ("C", "G", "Am", "F")])
    assert harmony.chord_loop([bars]) == ((), 0.0)
    assert harmony.chord_loop([bars, bars[:3], bars]) == (("C", "G", "Am", "F"), 1.0)


def test_chords_of_nothing() -> None:
    assert len(harmony.decode_chords(np.zeros((0, 12)), np.zeros((0, 12))).chord_B) == 0
