"""The rules every caption must pass, whoever wrote it. Each has a name and reports value and bound."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from data_specs.records import AudioFacts, Caption, Structure
from tasks.caption.facts import KEY_SURE
from tasks.caption.wording import words

TIME_TOLERANCE_S = 1.0
BPM_TOLERANCE = 0.08
MAX_REPETITION = 0.15
"""Share of 4-grams that occurred before; people stay below .01, prompted models reach .2."""

_CLOCK = re.compile(r"\b(\d{1,3}):([0-5]\d)(?::([0-5]\d))?\b")
_CLOCK_WORDS = re.compile(
    r"\b\d+(?:\.\d+)?[ -]?(?:s|secs?|seconds?|minutes?) (?:in(?! length)|into|mark)\b", re.IGNORECASE
)
_BPM = re.compile(r"\b(\d{2,3}(?:\.\d+)?) ?(?:BPM|beats per minute)\b", re.IGNORECASE)
_KEY = re.compile(r"\b([A-G])( ?[#♯b♭]|[ -](?:sharp|flat))? (major|minor)\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_FUNCTIONS = ("pre-chorus", "post-chorus", "chorus", "verse", "refrain", "bridge")
FORBIDDEN: dict[str, re.Pattern[str]] = {
    "refusal": re.compile(
        r"\bas an ai\b|\bi(?:'m| am) (?:sorry|unable)|\bi can(?:'t|not)\b|\bunable to (?:listen|hear)", re.I
    ),
    "preamble": re.compile(
        r"^\s*(?:sure|certainly|of course)\b|\bhere(?: is|'s) (?:a|an|the|your)\b|\banalysis below\b", re.I
    ),
    "recording_quality": re.compile(
        r"\b(?:low|poor|bad|high|good|amateur)[ -](?:quality|fidelity)\b|\b(?:audio|recording|sound) quality\b"
        r"|\bamateur(?:ish)? recording|\bbackground noise\b|\bin mono\b|\bmono recording",
        re.I,
    ),
    "usage_speculation": re.compile(
        r"\b(?:could|may|might|would) be (?:playing|played|used|heard|suitable|perfect|ideal|fitting)\b"
        r"|\b(?:suitable|perfect|ideal) for\b",
        re.I,
    ),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the value that was found and the bound that it breaks."""

    rule: str
    value: str
    bound: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.value}, expected {self.bound}"


@dataclass(frozen=True, slots=True)
class _Case:
    caption: Caption
    audio: AudioFacts
    structure: Structure
    min_words: int

    def texts(self) -> Iterator[tuple[str, str]]:
        """Every text once, with a name for messages."""
        yield "global_text", self.caption.global_text
        for index, section in enumerate(self.caption.sections):
            yield f"sections[{index}]", section.description
        yield "long_text", self.caption.long_text
        yield "clock_free_text", self.caption.clock_free_text


def validate_caption(caption: Caption, audio: AudioFacts, structure: Structure, min_words: int) -> list[Violation]:
    """Every broken rule of ``RULES``, in their order; an empty list for a valid caption."""
    case = _Case(caption, audio, structure, min_words)
    return [Violation(rule, value, bound) for rule, check in RULES.items() for value, bound in check(case)]


def count_violations(violations: Iterable[Violation]) -> Counter[str]:
    """How often each rule was broken, for a build's table."""
    return Counter(violation.rule for violation in violations)


def repetition(text: str, size: int = 4) -> float:
    """Share of the word n-grams of a text that occurred earlier in it."""
    tokens = words(text)
    grams = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


_Found = Iterator[tuple[str, str]]


def _words_min(case: _Case) -> _Found:
    for name, text in (("long_text", case.caption.long_text), ("clock_free_text", case.caption.clock_free_text)):
        # The clock-free rendering lacks four words per section at most; it must not be a stub.
        bound = case.min_words if name == "long_text" else math.floor(0.8 * case.min_words)
        if len(text.split()) < bound:
            yield f"{len(text.split())} words in {name}", f"at least {bound}"


def _word_count(case: _Case) -> _Found:
    if case.caption.num_words != len(case.caption.long_text.split()):
        yield f"num_words {case.caption.num_words}", f"{len(case.caption.long_text.split())} words of long_text"


def _track_id(case: _Case) -> _Found:
    ids = {case.caption.track_id, case.audio.track_id, case.structure.track_id}
    if len(ids) > 1:
        yield f"track ids {sorted(ids)}", "one id in caption, audio facts and structure"


def _empty_text(case: _Case) -> _Found:
    for name, text in case.texts():
        if not text.strip():
            yield f"{name} is empty", "text"


def _section_count(case: _Case) -> _Found:
    if len(case.caption.sections) != len(case.structure.sections):
        yield f"{len(case.caption.sections)} sections", f"{len(case.structure.sections)}, as analysed"


def _section_tiling(case: _Case) -> _Found:
    expected = 0.0
    for index, section in enumerate(case.caption.sections):
        if abs(section.start_s - expected) > TIME_TOLERANCE_S or section.end_s <= section.start_s:
            yield (
                f"section {index} spans {section.start_s}..{section.end_s} s",
                f"a start at {expected} s and an end after it",
            )
        expected = section.end_s
    if case.caption.sections and abs(expected - case.structure.duration_s) > TIME_TOLERANCE_S:
        yield f"last section ends at {expected} s", f"the end of the track at {case.structure.duration_s} s"


def _section_fields(case: _Case) -> _Found:
    for index, (said, known) in enumerate(zip(case.caption.sections, case.structure.sections, strict=False)):
        for name in ("start_s", "end_s", "label", "letter"):
            if getattr(said, name) != getattr(known, name):
                yield (
                    f"section {index} {name} {getattr(said, name)!r}",
                    f"{getattr(known, name)!r}, copied from the analysis",
                )


def _assembled(case: _Case) -> _Found:
    """Both long texts hold every description, in order: a section's words cannot get lost in assembly."""
    for name, text in (("long_text", case.caption.long_text), ("clock_free_text", case.caption.clock_free_text)):
        at, folded = 0, text.casefold()
        for index, section in enumerate(case.caption.sections):
            found = folded.find(section.description.strip().casefold(), at)
            if found < 0:
                yield f"{name} lacks the description of section {index} at its place", "all descriptions in order"
                break
            at = found + len(section.description.strip())


def _time_range(case: _Case) -> _Found:
    for name, text in case.texts():
        for match in _CLOCK.finditer(text):
            if _seconds(match) > case.structure.duration_s + TIME_TOLERANCE_S:
                yield f"{match.group()} in {name}", f"a time within the {case.structure.duration_s:.1f} s of the track"


def _clock_free(case: _Case) -> _Found:
    for pattern in (_CLOCK, _CLOCK_WORDS):
        for match in pattern.finditer(case.caption.clock_free_text):
            yield f"{match.group()} in clock_free_text", "no clock time"


def _bpm(case: _Case) -> _Found:
    readings = (case.structure.tempo_bpm, *case.structure.tempo_alternatives)
    for name, text in case.texts():
        for match in _BPM.finditer(text):
            # Half a BPM more: a text names whole numbers.
            if not any(abs(float(match[1]) - bpm) <= BPM_TOLERANCE * bpm + 0.5 for bpm in readings):
                yield f"{match.group()} in {name}", f"within 8 % of one of {[round(bpm, 1) for bpm in readings]}"


def _key(case: _Case) -> _Found:
    known = _KEY.fullmatch(case.structure.key)
    for name, text in case.texts():
        for match in _KEY.finditer(text):
            if case.structure.key_confidence < KEY_SURE:
                yield (
                    f"{match.group()} in {name}",
                    f"no key at confidence {case.structure.key_confidence:.2f} < {KEY_SURE}",
                )
            elif known is None or _pitch(match) != _pitch(known):
                yield f"{match.group()} in {name}", f"{case.structure.key}, as analysed"


def _duplicate_sentence(case: _Case) -> _Found:
    for name, text in (("long_text", case.caption.long_text), ("clock_free_text", case.caption.clock_free_text)):
        for repeated, count in Counter(s.casefold() for s in sentences(text)).items():
            if count > 1:
                yield f"{count} x {repeated!r} in {name}", "each sentence once"


def _repetition(case: _Case) -> _Found:
    for name, text in (("long_text", case.caption.long_text), ("clock_free_text", case.caption.clock_free_text)):
        if (share := repetition(text)) > MAX_REPETITION:
            yield f"4-gram repetition {share:.3f} in {name}", f"at most {MAX_REPETITION}"


def _forbidden(kind: str) -> Callable[[_Case], _Found]:
    def check(case: _Case) -> _Found:
        for name, text in case.texts():
            for match in FORBIDDEN[kind].finditer(text):
                yield f"{match.group()!r} in {name}", f"no {kind.replace('_', ' ')}"

    return check


def _function_name(case: _Case) -> _Found:
    """A form part may be named only if the analysis has it as a label."""
    labels = {section.label.casefold() for section in case.structure.sections}
    for function in _FUNCTIONS:
        if function in labels:
            continue
        for name, text in case.texts():
            # "chorus" is not to be found inside "pre-chorus", which is its own name.
            if re.search(rf"(?<![\w-]){function}(?:s|es)?\b", text, re.IGNORECASE):
                yield f"{function!r} in {name}", f"one of the analysed labels {sorted(labels)}"


def _seconds(match: re.Match[str]) -> int:
    parts = [int(part) for part in match.groups() if part is not None]
    return parts[0] * 60 + parts[1] if len(parts) == 2 else parts[0] * 3600 + parts[1] * 60 + parts[2]


def _pitch(match: re.Match[str]) -> tuple[int, str]:
    """Pitch class and mode, so that C# minor equals Db minor."""
    accidental = (match[2] or "").strip(" -")
    shift = 1 if accidental in ("#", "♯", "sharp") else -1 if accidental else 0
    return (_SEMITONES[match[1]] + shift) % 12, match[3]


RULES: dict[str, Callable[[_Case], _Found]] = {
    "words_min": _words_min,
    "word_count": _word_count,
    "track_id": _track_id,
    "empty_text": _empty_text,
    "section_count": _section_count,
    "section_tiling": _section_tiling,
    "section_fields": _section_fields,
    "assembled": _assembled,
    "time_range": _time_range,
    "clock_free": _clock_free,
    "bpm": _bpm,
    "key": _key,
    "duplicate_sentence": _duplicate_sentence,
    "repetition": _repetition,
    **{kind: _forbidden(kind) for kind in FORBIDDEN},
    "function_name": _function_name,
}
