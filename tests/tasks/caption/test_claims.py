"""Claims are read only where the words are plain, and denied only by a measurement that is sure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_specs.records import Change, Section, Structure
from data_specs.spec import RulesCaptions, StructureSettings
from tasks.caption.claim_phrases import pitch_class
from tasks.caption.claims import Verdict, check_caption, check_text, claims, tally
from tasks.caption.rules.captioner import RulesCaptioner
from tasks.demo.song import compose
from tasks.demo.synth import render
from tasks.structure.analyse import analyse
from tests.tasks.caption.songs import plain_song, random_song

AUDIO, STRUCTURE = plain_song()
"""Six sections A B A B C B; A is soft, sparse and without drums, B loud, dense and with them; 96 BPM, A minor, 4/4."""


def _kinds(sentence: str) -> list[str]:
    return [claim.kind for claim in claims(sentence)]


def _verdicts(text: str, index: int | None, structure: Structure = STRUCTURE) -> list[Verdict]:
    return [item.verdict for item in check_text(text, index, structure)]


@pytest.mark.parametrize(
    ("sentence", "kinds"),
    [
        ("The music grows much louder.", ["level_up"]),
        ("The level falls by 3 dB.", ["level_down"]),
        ("The volume suddenly jumps and the texture thickens.", ["level_up", "density_up"]),
        ("It is 3 dB louder, busier and darker.", ["level_up", "density_up", "brightness_down"]),
        ("The tone brightens while the bass drops out.", ["brightness_up", "bass_out"]),
        ("A steady drum beat enters, along with a synth bass line that is added.", ["percussion_in"]),
        ("With the addition of the drums the arrangement gets denser.", ["percussion_in", "density_up"]),
        ("The drums fall away; the low end empties.", ["percussion_out", "bass_out"]),
        ("It moves at 128 BPM, a fast tempo in F# minor and 3/4 time.", ["bpm", "tempo", "key", "meter"]),
        ("The tempo picks up.", ["pulse_up"]),
        ("Section B returns for 8 bars.", ["returns", "letter"]),
        ("The opening section returns.", ["returns"]),
        ("It is the same as the opening.", ["as_opening"]),
        ("New material enters.", ["new"]),
        ("A female vocalist softly sings.", ["vocals"]),
        ("The piece is purely instrumental.", ["instrumental"]),
    ],
)
def test_plain_words_are_claims(sentence: str, kinds: list[str]) -> None:
    assert sorted(_kinds(sentence)) == sorted(kinds)


@pytest.mark.parametrize(
    "sentence",
    [
        "The guitar grows louder.",
        "The mood becomes darker and denser.",
        "The drums do not enter.",
        "The music is no longer louder.",
        "It plays on without drums coming in.",
        "The drums might drop out.",
        "It seems the level rises.",
        "The music gradually grows louder.",
        "Towards the end the volume rises.",
        "It lasts until the drums enter.",
        "Before the bass drops out a piano plays.",
        "A bass clarinet enters.",
        "The bass drum is soft.",
        "A major change occurs.",
        "The tempo is slow to moderate.",
        "Volume swells and long tones are heard.",
        "He is louder.",
        "Unlike section A, it has a flute.",
        "There are no vocals.",
    ],
)
def test_hedges_negations_and_other_subjects_are_none(sentence: str) -> None:
    assert _kinds(sentence) == []


@pytest.mark.parametrize(
    ("text", "index", "verdict"),
    [
        ("The music grows louder.", 1, Verdict.SUPPORTED),
        ("The music grows softer.", 1, Verdict.CONTRADICTED),
        ("The music grows louder.", 0, Verdict.UNCHECKED),
        ("The music grows louder.", None, Verdict.UNCHECKED),
        ("The drums enter.", 1, Verdict.SUPPORTED),
        ("The drums drop out.", 1, Verdict.CONTRADICTED),
        ("The texture thins out.", 2, Verdict.SUPPORTED),
        ("The tone darkens.", 3, Verdict.CONTRADICTED),
        ("It is louder than the opening.", 4, Verdict.SUPPORTED),
        ("It is softer than the opening.", 4, Verdict.CONTRADICTED),
        ("It is 2 dB louder than the track's average.", 3, Verdict.SUPPORTED),
        ("It is softer than the track's average.", 3, Verdict.CONTRADICTED),
        ("Beside its first appearance, it is 1 dB louder.", 3, Verdict.SUPPORTED),
        ("It is louder than the drums were.", 2, Verdict.UNCHECKED),
        ("It runs at 97 BPM.", None, Verdict.SUPPORTED),
        ("It runs at 192 BPM.", None, Verdict.SUPPORTED),
        ("It runs at 128 BPM.", None, Verdict.CONTRADICTED),
        ("It has a slow tempo.", None, Verdict.SUPPORTED),
        ("It is in A minor.", None, Verdict.SUPPORTED),
        ("It is in C major.", 2, Verdict.CONTRADICTED),
        ("It is in 4/4.", None, Verdict.SUPPORTED),
        ("It is in waltz time.", None, Verdict.CONTRADICTED),
        ("The opening section returns.", 2, Verdict.SUPPORTED),
        ("The opening section returns.", 1, Verdict.CONTRADICTED),
        ("Section C opens.", 4, Verdict.SUPPORTED),
        ("Section C returns.", 3, Verdict.CONTRADICTED),
        ("Something new is heard.", 3, Verdict.CONTRADICTED),
        ("It is the same as the opening.", 2, Verdict.SUPPORTED),
        ("A singer sings.", 2, Verdict.UNCHECKED),
        ("The tempo picks up.", 2, Verdict.UNCHECKED),
    ],
)
def test_verdicts(text: str, index: int | None, verdict: Verdict) -> None:
    found = _verdicts(text, index)
    assert found
    assert verdict in found
    assert verdict is Verdict.CONTRADICTED or Verdict.CONTRADICTED not in found


def test_a_measurement_that_is_unsure_contradicts_nothing() -> None:
    def unsure(section: Section) -> Section:
        changes = tuple(replace(change, confidence=0.3) for change in section.changes)
        return replace(section, changes=changes, letter_confidence=0.3, key_confidence=0.2)

    structure = replace(
        STRUCTURE,
        sections=tuple(map(unsure, STRUCTURE.sections)),
        tempo_confidence=0.3,
        meter_confidence=0.3,
        key_confidence=0.3,
    )
    for text in (
        "The drums drop out.",
        "It runs at 128 BPM.",
        "It is in C major.",
        "It is in 3/4.",
        "New material enters.",
    ):
        assert set(_verdicts(text, 3, structure)) == {Verdict.UNCHECKED}, text
    assert _verdicts("The drums enter.", 1, structure) == [Verdict.SUPPORTED]


def test_the_pulse_is_that_of_the_beats() -> None:
    slow = [i * 0.6 for i in range(100)]
    beats = tuple(slow + [60 + i * 0.5 for i in range(240)])
    sections = tuple(replace(s, start_s=60.0 * i, end_s=60.0 * (i + 1)) for i, s in enumerate(STRUCTURE.sections[:3]))
    structure = replace(STRUCTURE, beats_s=beats, sections=sections)
    assert _verdicts("The tempo picks up.", 1, structure) == [Verdict.SUPPORTED]
    assert _verdicts("The tempo slows down.", 1, structure) == [Verdict.CONTRADICTED]
    assert _verdicts("The tempo picks up.", 2, structure) == [Verdict.UNCHECKED]


@pytest.mark.parametrize(("a", "b"), [("C# minor", "Db minor"), ("A flat major", "G# major"), ("E♭ major", "D#-major")])
def test_enharmonic_keys_are_equal(a: str, b: str) -> None:
    assert pitch_class(a) is not None
    assert pitch_class(a) == pitch_class(b)


def test_rules_captions_of_random_songs_contradict_nothing() -> None:
    total: Counter[Verdict] = Counter()
    for seed in range(40):
        audio, structure = random_song(seed)
        caption = RulesCaptioner(RulesCaptions()).caption(audio, structure, 0, Path()).record
        assert caption is not None
        checked = check_caption(caption.global_text, caption.sections, structure, anchored=True)
        assert [item for item in checked if item.verdict is Verdict.CONTRADICTED] == []
        total += tally(checked)
    assert total[Verdict.SUPPORTED] > 500
    assert total[Verdict.SUPPORTED] >= 0.9 * total.total()


def _rendered(index: int) -> Structure:
    samples = np.asarray(render(compose(5, index, 60, 120), 16_000))
    mono = samples if samples.ndim == 1 else samples.mean(axis=int(samples.shape[0] > samples.shape[1]))
    return analyse(mono.astype(np.float32), AUDIO.track_id, StructureSettings())


def test_rules_captions_of_rendered_songs_contradict_nothing_and_shuffled_ones_do() -> None:
    total, shuffled = Counter[Verdict](), Counter[Verdict]()
    for index in range(4):
        structure = _rendered(index)
        audio = replace(AUDIO, duration_s=structure.duration_s)
        caption = RulesCaptioner(RulesCaptions()).caption(audio, structure, 0, Path()).record
        assert caption is not None
        checked = check_caption(caption.global_text, caption.sections, structure, anchored=True)
        assert [item for item in checked if item.verdict is Verdict.CONTRADICTED] == []
        total += tally(checked)
        # The leak test: words that follow other facts than the music's are found out.
        flipped = replace(structure, sections=tuple(map(_flipped, structure.sections)))
        shuffled += tally(check_caption(caption.global_text, caption.sections, flipped, anchored=True))
    assert total[Verdict.SUPPORTED] >= 0.9 * total.total() > 20
    assert shuffled[Verdict.CONTRADICTED] >= 0.25 * shuffled.total()


def _flipped(section: Section) -> Section:
    """The opposite of every change."""
    ways = {"up": "down", "down": "up", "in": "out", "out": "in"}

    def flip(change: Change) -> Change:
        family, _, way = change.kind.rpartition("_")
        return replace(change, kind=f"{family}_{ways[way]}", confidence=1.0) if family else change

    return replace(section, changes=tuple(map(flip, section.changes)))
