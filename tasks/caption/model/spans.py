"""Sections that a model chose itself: their labels brought into the vocabulary, their times into a tiling."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from data_specs.records import LABELS, SectionCaption, Structure
from tasks.caption.validation.sentence_rules import TIME_TOLERANCE_S

MIN_SECTION_S = 3.0
SNAP_S = 1.5
"""A border this close to an analysed one is meant to be that one."""

_ALIASES = {
    "introduction": "intro",
    "opening": "intro",
    "beginning": "intro",
    "hook": "chorus",
    "refrain": "chorus",
    "prechorus": "pre-chorus",
    "postchorus": "post-chorus",
    "middle eight": "bridge",
    "middle 8": "bridge",
    "inst": "instrumental",
    "guitar solo": "solo",
    "breakdown": "break",
    "buildup": "build-up",
    "build": "build-up",
    "riser": "build-up",
    "transition": "interlude",
    "ending": "outro",
    "coda": "outro",
    "conclusion": "outro",
    "fade-out": "outro",
    "fade out": "outro",
}
_SEPARATORS = re.compile(r"\s*(?:[/,&+|(]|\band\b|\bwith\b|\bto\b)\s*")
_NAMES = {name: name for name in LABELS} | _ALIASES
_NAME = re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, _NAMES), key=len, reverse=True))})\b")


def alias(label: str) -> str:
    """The word of the vocabulary that a label means: the first of several, the last word of a compound.

    ``Intro/Verse`` is an intro, an ``Instrumental Bridge`` a bridge, a ``Cover Song`` a section.
    """
    plain = re.sub(r"[^a-z0-9/,&+|( -]", " ", label[:200].lower())
    plain = re.sub(r"\b(pre|post)[ -]?chorus", r"\1-chorus", plain)
    plain = re.sub(r"\bbuild[ -]?up\b", "build-up", plain)
    for part in _SEPARATORS.split(plain):
        if found := _NAME.findall(part):
            return _NAMES[found[-1]]
    return "section"


@dataclass(slots=True)
class Tiling:
    """Sections from the start of the track to its end, and what was done to them."""

    sections: tuple[SectionCaption, ...]
    repairs: list[str] = field(default_factory=list)
    flaws: set[str] = field(default_factory=set)


def tile(sections: Sequence[SectionCaption], structure: Structure) -> Tiling:
    """Labels aliased; times clamped, snapped to the analysis' borders, made gapless; slivers merged."""
    if not sections:
        return Tiling(())
    result = Tiling(())
    named = [replace(section, label=alias(section.label)) for section in sections]
    _count(result, "labels", "label", sum(a.label != b.label for a, b in zip(named, sections, strict=True)))
    ordered = sorted(named, key=lambda section: _finite(section.start_s, structure.duration_s))
    _count(result, "sort", "section_tiling", sum(a is not b for a, b in zip(ordered, named, strict=True)))
    borders = _borders(ordered, structure)
    tiled = [
        replace(section, start_s=start_s, end_s=end_s)
        for section, start_s, end_s in zip(ordered, borders[:-1], borders[1:], strict=True)
    ]
    moves = [
        max(_distance(a.start_s, b.start_s), _distance(a.end_s, b.end_s)) for a, b in zip(tiled, ordered, strict=True)
    ]
    _count(result, "snap", None, sum(0 < move <= SNAP_S for move in moves))
    _count(result, "fill", None, sum(move > SNAP_S for move in moves))
    if any(move > TIME_TOLERANCE_S for move in moves):
        result.flaws.add("section_tiling")
    merged = _merged(tiled)
    _count(result, "merge", "section_tiling", len(tiled) - len(merged))
    result.sections = tuple(merged)
    return result


def _count(result: Tiling, step: str, flaw: str | None, count: int) -> None:
    if count:
        result.repairs.append(f"{step}:{count}")
        if flaw:
            result.flaws.add(flaw)


def _borders(ordered: Sequence[SectionCaption], structure: Structure) -> list[float]:
    """Start of every section and the end of the last; each section goes on until the next begins."""
    known = [section.start_s for section in structure.sections[1:]]
    borders = [0.0]
    for section in ordered[1:]:
        start_s = _finite(section.start_s, structure.duration_s)
        near = min(known, key=lambda border: abs(border - start_s), default=math.inf)
        snapped = near if abs(near - start_s) <= SNAP_S else start_s
        borders.append(max(borders[-1], snapped))
    return [*borders, structure.duration_s]


def _finite(seconds: float, duration_s: float) -> float:
    return min(max(seconds, 0.0), duration_s) if math.isfinite(seconds) else duration_s


def _distance(a: float, b: float) -> float:
    return abs(a - b) if math.isfinite(b) else math.inf


def _merged(sections: Sequence[SectionCaption]) -> list[SectionCaption]:
    """Slivers go to the section before them, a first one to that behind it."""
    merged: list[SectionCaption] = []
    for section in sections:
        # What is too short is not known until all that belongs to it is there, hence the look at both.
        if merged and min(section.end_s - section.start_s, merged[-1].end_s - merged[-1].start_s) < MIN_SECTION_S:
            merged[-1] = _joined(merged[-1], section)
        else:
            merged.append(section)
    return merged


def _joined(a: SectionCaption, b: SectionCaption) -> SectionCaption:
    longer = a if a.end_s - a.start_s >= b.end_s - b.start_s else b
    texts = [section.description for section in (a, b) if section.description.strip()]
    return replace(longer, start_s=a.start_s, end_s=b.end_s, description="\n".join(texts))
