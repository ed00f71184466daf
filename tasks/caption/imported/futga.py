"""FUTGA's captions (arXiv 2407.20445): a global paragraph, then segments in percent of the song.

Three styles of headers are known of its raw answers, and one of JSON::

    **0-18% - Intro/Verse:**            {"0-18": {"func": "Intro/Verse", "head": ..., "text": "- ..."},
    **0-16:** Intro and Verse            "global": {"func": null, "head": "global", "text": "..."}}
    27-58%: Chorus and Bridge - text

The percentages are of what FUTGA was given, by its own script the first 180 s. Whether that was the
whole song no record says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Any

from tasks.caption.imported.source import Unreadable

MAX_SLACK = 2.0
"""Percent by which neighbours may miss each other: whole percents are a rounding of times."""

_BOLD = re.compile(
    r"^\*\*\s*(\d{1,3})\s*-\s*(\d{1,3})\s*%?\s*(?:[-:]\s*([^*]*?))?\s*:?\s*\*\*\s*:?\s*(.*)$", re.MULTILINE
)
_PLAIN = re.compile(r"^(\d{1,3})\s*-\s*(\d{1,3})\s*%\s*:\s*(.+?)\s+-\s+(.*)$", re.MULTILINE)
_RANGE = re.compile(r"\s*(\d{1,3})\s*-\s*(\d{1,3})\s*%?\s*")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment as FUTGA has it."""

    start: float
    """Percent of the song."""
    end: float
    name: str
    """Its own words for the function: ``Intro and Verse``."""
    text: str
    """Whole sentences."""


@dataclass(frozen=True, slots=True)
class Record:
    global_text: str
    segments: tuple[Segment, ...]
    """In order of time."""


def read(record: str | Mapping[str, Any]) -> Record:
    """The parts of a record in any of its styles.

    Raises:
        Unreadable: no segment in it, or a part is not text.
    """
    found = _read_text(record) if isinstance(record, str) else _read_json(record)
    if not found.segments:
        raise Unreadable("no segment with a range of percents, such as **0-18% - Intro:**")
    return found


def tiled(segments: tuple[Segment, ...]) -> list[tuple[float, float]]:
    """The segments' spans in percent, moved by up to ``MAX_SLACK`` so that they fill the song without gaps.

    Raises:
        Unreadable: a gap or an overlap is larger, or a segment has no length.
    """
    borders = [0.0]
    for before, segment in zip((None, *segments), segments, strict=False):
        expected = before.end if before else 0.0
        if abs(segment.start - expected) > MAX_SLACK:
            after = f"the one before ends at {expected:g}" if before else "the song begins at 0"
            raise Unreadable(f"segment {segment.start:g}-{segment.end:g} % where {after} %")
        if before:
            borders.append((before.end + segment.start) / 2)
    if abs(segments[-1].end - 100) > MAX_SLACK:
        raise Unreadable(f"the last segment ends at {segments[-1].end:g} % of the song")
    borders.append(100.0)
    spans = list(pairwise(borders))
    for (start, end), segment in zip(spans, segments, strict=True):
        if end <= start or segment.end <= segment.start:
            raise Unreadable(f"segment {segment.start:g}-{segment.end:g} % has no length")
    return spans


def _read_json(record: Mapping[str, Any]) -> Record:
    segments, told, global_text = [], [], ""
    for key, part in record.items():
        text = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(text, str):
            raise Unreadable(f"part {key!r} has no text")
        if match := _RANGE.fullmatch(key):
            name = str(part.get("func") or "") if isinstance(part, Mapping) else ""
            segment, rest = _segment(match[1], match[2], name, text)
            segments.append(segment)
            told.append(rest)
        elif key == "global":
            global_text = text
        else:
            raise Unreadable(f"part {key!r} is neither a range of percents nor global")
    return _record(global_text, segments, told)


def _read_text(text: str) -> Record:
    headers = sorted([*_BOLD.finditer(text), *_PLAIN.finditer(text)], key=lambda match: match.start())
    segments, told = [], []
    for match, following in zip_longest(headers, headers[1:]):
        body = text[match.end() : following.start() if following else len(text)]
        if match.re is _PLAIN or match[3]:
            name, body = match[3], f"{match[4]}\n{body}"
        else:
            name = match[4]
        segment, rest = _segment(match[1], match[2], name or "", body)
        segments.append(segment)
        told.append(rest)
    return _record(text[: headers[0].start()] if headers else text, segments, told)


def _segment(start: str, end: str, name: str, text: str) -> tuple[Segment, str]:
    """A segment, and what follows its bullets as a paragraph of its own: that is about the whole song."""
    block, _, rest = text.strip().partition("\n\n")
    lines = [line for line in block.splitlines() if line.strip(" *:.") and line.strip(" *:.") != name.strip()]
    if any(_BULLET.match(line) for line in rest.splitlines()):
        lines, rest = [*lines, *rest.splitlines()], ""
    return Segment(float(start), float(end), name.strip(), _prose(lines)), rest


def _record(global_text: str, segments: list[Segment], told: list[str]) -> Record:
    whole = _prose(paragraph for text in (global_text, *told) for paragraph in text.splitlines())
    return Record(whole, tuple(sorted(segments, key=lambda segment: segment.start)))


def _prose(lines: Any) -> str:
    """Bullets as sentences, one after the other; the same one twice only once."""
    found: dict[str, None] = {}
    for line in lines:
        plain = " ".join(_BULLET.sub("", line).replace("**", "").split())
        if plain:
            found[plain[0].upper() + plain[1:] + ("" if plain[-1] in ".!?" else ".")] = None
    return " ".join(found)
