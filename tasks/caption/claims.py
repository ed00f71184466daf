"""Reads checkable claims out of English sentences and compares them with what was measured.

Precision goes before recall: a claim is read only where the words leave no doubt what moved and
which way, and it is called contradicted only where a measurement that is sure says the opposite.
Everything else (moods, single instruments, moves within a section, hedged or negated words) is
left alone. ``"the guitar grows louder"`` is no claim about the level, ``"the mood darkens"`` none
about the spectrum.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from data_specs.records import Section, SectionCaption, Structure
from data_specs.scope import sentences
from tasks.caption.claim_phrases import (
    BPM,
    CHANGES,
    COMPARED,
    DOUBTS,
    ELLIPSIS,
    FORMS,
    METERS,
    RETURNS,
    SPLIT,
    SUSPENDS,
    TEMPO_CHANGES,
    TEMPO_WORDS,
    VOICES,
    WITHIN,
    fractions_of,
    keys,
    pitch_class,
)

BPM_TOLERANCE = 0.08
SURE = 0.5
"""Confidence from which a measurement contradicts."""
LEVEL_MARGIN_DB = 1.0
RATIO_MARGIN = 1.1
"""Between two sections that do not follow each other no change is on record; their values must differ by this."""
PULSE_MARGIN = 1.05
MIN_PULSE_BEATS = 9


class Verdict(StrEnum):
    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNCHECKED = "unchecked"
    """Nothing was measured that it could be compared with, or nothing that is sure."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a sentence says and that can be measured."""

    kind: str
    """``level``, ``density``, ``brightness``, ``percussion``, ``bass`` or ``pulse`` with ``_up`` or ``_down``;
    ``percussion`` or ``bass`` with ``_in`` or ``_out``; ``bpm``, ``tempo``, ``key``, ``meter``, ``returns``, ``new``,
    ``as_opening``, ``letter``, ``vocals``, ``instrumental``."""
    value: str
    """The number, word or name, where the kind has one."""
    against: str
    """What a change is measured against: ``before`` (the section before), ``first`` (the letter's first section),
    ``opening``, ``mean`` (of the track) or ``other``."""
    words: str
    """As they stand in the text."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim, where it stands, and what the measurements say of it."""

    claim: Claim
    index: int | None
    """Of the section; None in the global paragraph."""
    verdict: Verdict


def claims(sentence: str) -> list[Claim]:
    """The claims of one sentence, in the order of its words within each kind."""
    found = [*_numbers(sentence), *_forms(sentence)]
    reference = next((name for name, pattern in COMPARED.items() if pattern.search(sentence)), "before")
    said_before = False
    for clause, lead in _clauses(sentence):
        if SUSPENDS.fullmatch(lead):
            said_before = False
            continue
        in_doubt, within = bool(DOUBTS.search(clause)), bool(WITHIN.search(clause))
        for kind, pattern in CHANGES.items():
            for match in pattern.finditer(clause):
                if in_doubt or within or (kind.endswith("_out") and RETURNS.search(sentence)):
                    continue
                said_before = True
                found.append(Claim(kind, "", _reference(clause, reference), match.group()))
        if said_before and not in_doubt and (short := ELLIPSIS.fullmatch(clause.strip())):
            kind = next(kind for kind, word in short.groupdict().items() if word)
            found.append(Claim(kind, "", _reference(clause, reference), clause.strip()))
        for kind, pattern in (*TEMPO_CHANGES.items(), *VOICES.items()):
            found += [Claim(kind, "", "before", m.group()) for m in pattern.finditer(clause) if not in_doubt]
    return found


def check(claim: Claim, index: int | None, structure: Structure) -> Verdict:
    """What the analysis says of a claim made in section ``index``, or of the whole track where it is None.

    The index is one of the structure's sections: claims of captions with sections of their own
    are checked as claims about the whole.
    """
    if claim.kind in ("bpm", "tempo", "key", "meter"):
        return _check_track(claim, index, structure)
    if index is None or claim.kind in ("vocals", "instrumental"):
        return Verdict.UNCHECKED
    if claim.kind in ("returns", "new", "as_opening", "letter"):
        return _check_form(claim, index, structure)
    if claim.kind in TEMPO_CHANGES:
        return _check_pulse(claim, index, structure)
    return _check_change(claim, index, structure)


def check_text(text: str, index: int | None, structure: Structure) -> list[Checked]:
    """Every claim of a text with its verdict."""
    return [
        Checked(claim, index, check(claim, index, structure))
        for sentence in sentences(text)
        for claim in claims(sentence)
    ]


def check_caption(
    global_text: str, sections: tuple[SectionCaption, ...], structure: Structure, *, anchored: bool
) -> list[Checked]:
    """Every claim of a caption's parts. For the leak test of shuffled facts, pass the true structure."""
    found = check_text(global_text, None, structure)
    for index, section in enumerate(sections):
        found += check_text(section.description, index if anchored else None, structure)
    return found


def tally(checked: list[Checked]) -> Counter[Verdict]:
    """How many claims came out which way."""
    return Counter(item.verdict for item in checked)


def _clauses(sentence: str) -> Iterator[tuple[str, str]]:
    """Clauses with the conjunction or mark before each."""
    parts = SPLIT.split(sentence)
    yield from zip(parts[::2], ["", *parts[1::2]], strict=True)


def _reference(clause: str, of_sentence: str) -> str:
    own = next((name for name, pattern in COMPARED.items() if pattern.search(clause)), None)
    return own or ("other" if re.search(r"\bthan\b", clause) else of_sentence)


def _numbers(sentence: str) -> Iterator[Claim]:
    """Tempo, key and meter: a doubt in the sentence takes the claim back."""
    if DOUBTS.search(sentence):
        return
    for match in BPM.finditer(sentence):
        yield Claim("bpm", match[1], "", match.group())
    for word, pattern in TEMPO_WORDS.items():
        yield from (Claim("tempo", word, "", match.group()) for match in pattern.finditer(sentence))
    yield from (Claim("key", key, "", key) for key in keys(sentence))
    for beats, pattern in METERS.items():
        yield from (Claim("meter", beats, "", match.group()) for match in pattern.finditer(sentence))


def _forms(sentence: str) -> Iterator[Claim]:
    if DOUBTS.search(sentence):
        return
    for kind, pattern in FORMS.items():
        for match in pattern.finditer(sentence):
            yield Claim(kind, match.groupdict().get("letter") or "", "", match.group())


def is_reading(bpm: float, structure: Structure) -> bool:
    """Whether a tempo is near one of the readings of the analysed one."""
    readings = (structure.tempo_bpm, *structure.tempo_alternatives)
    # Half a BPM more: a text names whole numbers.
    return any(abs(bpm - reading) <= BPM_TOLERANCE * reading + 0.5 for reading in readings)


def sure_keys(index: int | None, structure: Structure) -> list[str]:
    """Keys that may be named in a section, or of the whole track: the track's, and those of the sections meant."""
    keys = [(structure.key, structure.key_confidence)]
    keys += [(s.key, s.key_confidence) for i, s in enumerate(structure.sections) if index in (None, i)]
    return list(dict.fromkeys(key for key, confidence in keys if key and confidence >= SURE))


def _check_track(claim: Claim, index: int | None, structure: Structure) -> Verdict:
    sure = structure.tempo_confidence
    if claim.kind == "bpm":
        holds = is_reading(float(claim.value), structure)
    elif claim.kind == "tempo":
        low, high = TEMPO_RANGES[claim.value]
        holds = any(low <= bpm <= high for bpm in (structure.tempo_bpm, *structure.tempo_alternatives))
    elif claim.kind == "key":
        known = sure_keys(index, structure)
        if not known:
            return Verdict.UNCHECKED
        holds, sure = pitch_class(claim.value) in map(pitch_class, known), 1.0
    else:
        holds, sure = structure.beats_per_bar in fractions_of(int(claim.value)), structure.meter_confidence
    if holds:
        return Verdict.SUPPORTED
    return Verdict.CONTRADICTED if sure >= SURE else Verdict.UNCHECKED


TEMPO_RANGES = {
    "very slow": (0, 85),
    "slow": (0, 105),
    "moderate": (65, 150),
    "fast": (100, 999),
    "very fast": (125, 999),
}
"""BPM that nobody would deny the word: wide, and with the other readings of the tempo wider still."""


def _check_form(claim: Claim, index: int, structure: Structure) -> Verdict:
    section, earlier = structure.sections[index], {s.letter for s in structure.sections[:index]}
    if claim.kind == "letter":
        return Verdict.SUPPORTED if claim.value == section.letter else Verdict.CONTRADICTED
    if claim.kind == "as_opening":
        holds = section.letter == structure.sections[0].letter
    elif claim.kind == "returns":
        holds = section.letter in earlier
    else:
        holds = section.letter not in earlier
    if holds:
        return Verdict.SUPPORTED
    return Verdict.CONTRADICTED if section.letter_confidence >= SURE else Verdict.UNCHECKED


def _check_pulse(claim: Claim, index: int, structure: Structure) -> Verdict:
    if index == 0 or structure.tempo_confidence < SURE:
        return Verdict.UNCHECKED
    before, after = (_pulse(structure, s) for s in structure.sections[index - 1 : index + 1])
    if before is None or after is None:
        return Verdict.UNCHECKED
    rising = claim.kind == "pulse_up"
    if after >= before * PULSE_MARGIN:
        return Verdict.SUPPORTED if rising else Verdict.CONTRADICTED
    if before >= after * PULSE_MARGIN:
        return Verdict.CONTRADICTED if rising else Verdict.SUPPORTED
    return Verdict.UNCHECKED


def _pulse(structure: Structure, section: Section) -> float | None:
    """Median beats per minute of a section's own beats."""
    beats = [b for b in structure.beats_s if section.start_s <= b < section.end_s]
    if len(beats) < MIN_PULSE_BEATS:
        return None
    gaps = sorted(b - a for a, b in pairwise(beats))
    return 60 / gaps[len(gaps) // 2] if gaps[len(gaps) // 2] > 0 else None


def _check_change(claim: Claim, index: int, structure: Structure) -> Verdict:
    family, direction = claim.kind.rsplit("_", 1)
    rising = direction in ("up", "in")
    section = structure.sections[index]
    if claim.against == "before":
        for change in section.changes:
            measured, _, way = change.kind.rpartition("_")
            if measured == family:
                if (way in ("up", "in")) == rising:
                    return Verdict.SUPPORTED
                return Verdict.CONTRADICTED if change.confidence >= SURE else Verdict.UNCHECKED
        return Verdict.UNCHECKED
    other = _other(claim.against, index, structure)
    step = _step(family, other, section) if other or claim.against == "mean" else 0
    if step == 0:
        return Verdict.UNCHECKED
    return Verdict.SUPPORTED if (step > 0) == rising else Verdict.CONTRADICTED


def _other(against: str, index: int, structure: Structure) -> Section | None:
    if against == "opening" and index > 0:
        return structure.sections[0]
    letter = structure.sections[index].letter
    first = next(i for i, s in enumerate(structure.sections) if s.letter == letter)
    return structure.sections[first] if against == "first" and first < index else None


def _step(family: str, other: Section | None, section: Section) -> int:
    """1 where the section has clearly more than the other (than the track's mean without one), -1 less, else 0."""
    if family == "level":
        difference = section.loudness_db - (other.loudness_db if other else 0.0)
        return (difference >= LEVEL_MARGIN_DB) - (difference <= -LEVEL_MARGIN_DB)
    fields = {
        "density": "onset_rate_hz",
        "brightness": "brightness_hz",
        "percussion": "percussion",
        "bass": "bass",
    }
    if other is None:
        return 0
    now, then = getattr(section, fields[family]), getattr(other, fields[family])
    return (now > then * RATIO_MARGIN) - (then > now * RATIO_MARGIN)
