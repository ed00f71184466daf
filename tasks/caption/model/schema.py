"""The JSON Schema of one song's answer: times and labels are constants, every string and array is bounded.

A model that decodes under it cannot misplace a section, leave one out or ramble without end. Text is bounded
by a pattern of words, not by ``minLength``: a floor in characters is met by two endless "words", and only a
pattern keeps quotation marks, line breaks and control characters out. Patterns of this size need the
``guidance`` backend of vLLM (llguidance); xgrammar fails on them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from data_specs.records import LABELS, VOCALS, Structure
from tasks.caption.bands import TEMPO

MIN_WORDS = 250
"""For a track of two minutes or more; shorter ones in proportion."""
FULL_LENGTH_S = 120.0
AIM_WORDS_PER_SECTION = 24
GLOBAL_WORDS = 60
AIM_WORDS = (300, 450)
"""Of a whole caption. Ten sections of 24 words and a paragraph of 60 make the natural size."""
MIN_SECTION_WORDS = 8
FLOOR = 0.85
"""Of the aim. The floors of a caption add up to more than ``MIN_WORDS``."""
CEILING = 1.6
MAX_WORD_CHARACTERS = 24
TIME_STEP_S = 0.25
"""Of times that the model chooses: a power of two, so that ``multipleOf`` is exact in floating point."""
SHORTEST_OWN_SECTION_S = 8.0
MAX_OWN_SECTIONS = 24
TOKENS_PER_WORD = 4
"""English needs 1.4; sharps, accents and odd words more."""
TOKENS_PER_ENTRY = 48
"""Two numbers, a label and the names of the fields."""
TOKENS_OF_ATTRIBUTES = 320

_CAPITALS = r"A-ZÀ-ÖØ-Þ"
_LETTERS = r"A-Za-zÀ-ÖØ-öø-ž"
_CHARACTERS = _LETTERS + r"0-9♯♭#.,;:!?'’()/%&+°–—-"
_NAME = rf"^[{_LETTERS}0-9][{_LETTERS}0-9'’&/ -]{{0,30}}[{_LETTERS}0-9]$"


@dataclass(frozen=True, slots=True)
class Span:
    """One entry of the answer: its place and name."""

    start_s: float
    end_s: float
    label: str


@dataclass(frozen=True, slots=True)
class Budget:
    """How many words a caption is asked for."""

    section: int
    global_: int

    @classmethod
    def of(cls, duration_s: float, num_sections: int, min_words: int = MIN_WORDS) -> Budget:
        """Long passages for few sections, short ones for many, so that the whole keeps its size.

        Args:
            min_words: of a track of two minutes or more; the floors add up to no less.
        """
        scale = min(1.0, duration_s / FULL_LENGTH_S)
        low, high = AIM_WORDS
        natural = min(max(GLOBAL_WORDS + AIM_WORDS_PER_SECTION * num_sections, low), high)
        total = max(natural, min_words / FLOOR) * scale
        global_ = max(MIN_SECTION_WORDS, round(min(GLOBAL_WORDS, total / 3)))
        return cls(max(MIN_SECTION_WORDS, math.ceil((total - global_) / max(1, num_sections))), global_)


def bounds(aim_words: int) -> tuple[int, int]:
    """Fewest and most words that the schema lets through for an aim."""
    return max(1, math.ceil(FLOOR * aim_words)), math.ceil(CEILING * aim_words)


def answer_schema(
    structure: Structure,
    indices: Collection[int],
    wants_global: bool,
    anchored: bool,
    min_words: int = MIN_WORDS,
) -> dict[str, Any]:
    """What an answer about a song must look like (JSON Schema 2020-12).

    Args:
        indices: sections of the analysis that are asked for, in any order; the answer has them in order.
        wants_global: whether the paragraph on the whole and its attributes are asked for, after the sections.
        anchored: whether sections are those of the analysis; else the model divides the track itself and
            ``indices`` are not looked at.
        min_words: of the caption of a track of two minutes or more.

    Raises:
        IndexError: an index is not one of the analysis.
    """
    if not anchored:
        duration_s = structure.duration_s
        words = Budget.of(duration_s, own_section_counts(duration_s)[0], min_words).global_ if wants_global else None
        return own_sections_schema(0.0, duration_s, own_section_words(duration_s, min_words), words)
    spans = [Span(s.start_s, s.end_s, s.label) for i in sorted(set(indices)) if (s := structure.sections[i])]
    budget = Budget.of(structure.duration_s, len(structure.sections), min_words)
    return spans_schema(spans, budget, wants_global)


def spans_schema(spans: Sequence[Span], budget: Budget, wants_global: bool) -> dict[str, Any]:
    """An answer with exactly these sections, in this order."""
    properties: dict[str, Any] = {}
    if spans:
        entries = [_section(_fixed(span), _text(*bounds(budget.section))) for span in spans]
        properties["sections"] = {
            "type": "array",
            "minItems": len(entries),
            "maxItems": len(entries),
            "prefixItems": entries,
            "items": False,
        }
    return _object(properties | (_whole(budget.global_) if wants_global else {}))


def own_sections_schema(
    start_s: float, end_s: float, words: tuple[int, int], global_words: int | None
) -> dict[str, Any]:
    """An answer whose sections the model chooses between two times.

    Args:
        words: fewest and most of one section.
        global_words: aim for the paragraph on the whole; None where it is not asked for.
    """
    fewest, most = own_section_counts(end_s - start_s)
    time = {
        "type": "number",
        "minimum": math.floor(start_s / TIME_STEP_S) * TIME_STEP_S,
        "maximum": math.ceil(end_s / TIME_STEP_S) * TIME_STEP_S,
        "multipleOf": TIME_STEP_S,
    }
    entry = _section({"start": time, "end": time, "label": {"enum": list(LABELS)}}, _text(*words))
    sections = {"type": "array", "minItems": fewest, "maxItems": most, "items": entry}
    return _object({"sections": sections} | (_whole(global_words) if global_words else {}))


def own_section_words(duration_s: float, min_words: int = MIN_WORDS) -> tuple[int, int]:
    """Fewest and most words of a section whose length is the model's choice: fit for many sections and for few."""
    fewest, most = own_section_counts(duration_s)
    short, long = (Budget.of(duration_s, count, min_words).section for count in (most, fewest))
    return bounds(short)[0], bounds(long)[1]


def own_section_counts(duration_s: float) -> tuple[int, int]:
    """Fewest and most sections into which a model may divide a stretch of music."""
    most = min(MAX_OWN_SECTIONS, max(1, int(duration_s / SHORTEST_OWN_SECTION_S)))
    return min(most, max(1, min(4, int(duration_s / 30)))), most


def answer_tokens(num_sections: int, budget: Budget, wants_global: bool) -> int:
    """Room to leave for an answer: the longest that its schema lets through, in ordinary words, and then some."""
    words = bounds(budget.section)[1] * num_sections + (bounds(budget.global_)[1] if wants_global else 0)
    return TOKENS_PER_WORD * words + TOKENS_PER_ENTRY * num_sections + (TOKENS_OF_ATTRIBUTES if wants_global else 0)


def _fixed(span: Span) -> dict[str, Any]:
    return {
        "start": {"const": round(span.start_s, 2)},
        "end": {"const": round(span.end_s, 2)},
        "label": {"const": span.label},
    }


def _section(place: dict[str, Any], text: dict[str, Any]) -> dict[str, Any]:
    return _object({**place, "description": text})


def _whole(words: int) -> dict[str, Any]:
    attributes = {
        "genres": _names(3),
        "moods": _names(4),
        "instruments": _names(8),
        "vocals": {"enum": list(VOCALS)},
        "tempo": {"enum": ["", *TEMPO.words]},
        "production": _names(3),
    }
    return {"global": _text(*bounds(words)), "attributes": _object(attributes)}


def _text(fewest: int, most: int) -> dict[str, Any]:
    """Whole sentences of so many words, a space between two."""
    first = rf"[{_CAPITALS}0-9][{_CHARACTERS}]{{0,{MAX_WORD_CHARACTERS - 1}}}"
    further = rf"( [{_CHARACTERS}]{{1,{MAX_WORD_CHARACTERS}}})"
    return {"type": "string", "pattern": rf"^{first}{further}{{{fewest - 1},{most - 1}}}[.!?]$"}


def _names(most: int) -> dict[str, Any]:
    return {"type": "array", "minItems": 0, "maxItems": most, "items": {"type": "string", "pattern": _NAME}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }
