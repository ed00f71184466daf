"""Wrong facts for the ablation arm ``shuffled``: whether a model listens, or repeats what it is told.

A caption that follows wrong facts was read off the prompt; one that contradicts them was heard.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from data_specs.records import Section, Structure
from tasks.caption.facts import CHANGE_SURE
from tasks.structure.changes import changes_between

_MOVED = (
    *("letter", "variant", "letter_confidence", "loudness_db", "onset_rate_hz", "brightness_hz", "percussion"),
    *("bass", "chords", "chords_confidence", "key", "key_confidence"),
)
"""What goes to another section. Times, label and bars stay: they are no facts of the sound."""
_TRIES = 24
_TEMPO_FACTORS = (2**0.5, 0.5**0.5, 1.2, 1 / 1.2, 1.3, 1 / 1.3)
_TEMPO_APART = 1.12
_TRITONE = 6
"""Semitones: the transposition that shares the fewest notes, and never gives the relative key."""
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_TONIC = re.compile(r"[A-G][#b]?")


def shuffled(structure: Structure, seed: int) -> Structure:
    """The same borders with facts that are wrong: those of other sections, and another tempo, meter and key.

    No section keeps its own facts where there are two or more. Of several seeded ways the one is taken
    that leaves the fewest letters and changes true by accident.
    """
    sections = structure.sections
    rng = random.Random(seed)
    ways = [_dealt(sections, _cycle(len(sections), rng)) for _ in range(_TRIES if len(sections) > 2 else 1)]
    return replace(
        structure,
        tempo_bpm=_other_tempo(structure),
        tempo_alternatives=(),
        beats_per_bar=3 if structure.beats_per_bar == 4 else 4,
        beats_s=(),
        downbeats_s=(),
        chords=tuple(replace(span, name=_transposed(span.name)) for span in structure.chords),
        key=_transposed(structure.key),
        sections=min(ways, key=lambda way: _left_true(way, sections)),
    )


def _cycle(count: int, rng: random.Random) -> list[int]:
    """A permutation of one cycle, and so without a fixed point (Sattolo 1986)."""
    order = list(range(count))
    for last in range(count - 1, 0, -1):
        other = rng.randrange(last)
        order[last], order[other] = order[other], order[last]
    return order


def _dealt(sections: Sequence[Section], order: Sequence[int]) -> tuple[Section, ...]:
    """Each section with what another one sounds like, a tritone away."""
    # Letters go by first appearance, as an analyser gives them; else their order would betray the deal.
    known = sorted({section.letter for section in sections})
    names = dict(zip(dict.fromkeys(sections[giver].letter for giver in order), known, strict=True))
    dealt = []
    for section, giver in zip(sections, order, strict=True):
        moved = {name: getattr(sections[giver], name) for name in _MOVED}
        moved["letter"] = names[moved["letter"]]
        moved["chords"] = tuple(map(_transposed, moved["chords"]))
        moved["key"] = _transposed(moved["key"])
        dealt.append(replace(section, **moved))
    changes = ((), *(changes_between(before, after) for before, after in pairwise(dealt)))
    return tuple(replace(section, changes=found) for section, found in zip(dealt, changes, strict=True))


def _left_true(dealt: Sequence[Section], sections: Sequence[Section]) -> int:
    """Letters and sure changes that are still true."""
    return sum(
        (told.letter == true.letter) + len(_sure_kinds(told) & _sure_kinds(true))
        for told, true in zip(dealt, sections, strict=True)
    )


def _sure_kinds(section: Section) -> set[str]:
    return {change.kind for change in section.changes if change.confidence >= CHANGE_SURE}


def _other_tempo(structure: Structure) -> float:
    """A tempo that is none of the readings, nor near one."""
    readings = (structure.tempo_bpm, *structure.tempo_alternatives)

    def distance(bpm: float) -> float:
        return min(max(bpm, reading) / max(min(bpm, reading), 1e-9) for reading in readings)

    tempi = [structure.tempo_bpm * factor for factor in _TEMPO_FACTORS]
    return next((bpm for bpm in tempi if distance(bpm) >= _TEMPO_APART), max(tempi, key=distance))


def _transposed(name: str) -> str:
    """A key or chord a tritone away; a text that is neither is left as it is."""
    match = _TONIC.match(name)
    if match is None:
        return name
    tonic = match.group()
    pitch = _NAMES.index(tonic[0]) + {"#": 1, "b": -1}.get(tonic[1:], 0)
    return _NAMES[(pitch + _TRITONE) % 12] + name[match.end() :]
