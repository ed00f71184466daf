"""Reads an answer that is no JSON: paragraphs under headings that name times, numbers or labels."""

from __future__ import annotations

import re

from data_specs.records import LABELS
from tasks.caption.model.found import SPAN_TEXT, Entry, Found, span_of

_MARKS = r"[\s*#>_\-•+(\[]{0,12}"
_HEAD_SPAN = re.compile(
    rf"{_MARKS}(?:\d{{1,3}}[.)]\s{{0,4}})?(?:(?:section|segment|part)\s{{0,3}}\d{{0,3}})?(?P<before>[\w '-]{{0,40}}?)"
    rf"\s{{0,3}}(?P<span>{SPAN_TEXT.pattern})\s{{0,3}}(?:%|s\b|seconds)?",
    re.IGNORECASE,
)
_HEAD_NUMBER = re.compile(
    rf"{_MARKS}(?:(?:section|segment|part)\s{{1,3}}(?P<n>\d{{1,3}})\b|(?P<m>\d{{1,3}})[.)](?=\s))", re.IGNORECASE
)
_NAMES = "|".join(sorted((re.escape(label) for label in LABELS), key=len, reverse=True))
_HEAD_LABEL = re.compile(rf"{_MARKS}(?P<label>(?:{_NAMES})(?: \d{{1,2}})?)\s{{0,3}}\*{{0,3}}\s{{0,3}}:", re.IGNORECASE)
_HEAD_GLOBAL = re.compile(
    rf"{_MARKS}(?:global|overall|overview|summary|in summary|general)(?: (?:description|summary|paragraph|text))?"
    r"\s{0,3}\*{0,3}\s{0,3}[:,]",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"[\s*)\]%]{0,8}(?:[-–—:,|]\s{0,4})?\*{0,3}(?P<label>[A-Za-z][\w /'-]{0,40}?)?\s{0,3}\*{0,3}\s{0,3}:\*{0,3}"
)


def read_prose(text: str) -> Found:
    """Sections by their headings, each with the lines up to the next; the rest apart. One pass over the lines."""
    entries: list[tuple[Entry, list[str]]] = []
    whole: list[str] = []
    rest: list[str] = []
    into = rest
    for line in text.split("\n"):
        head = line[:400]
        if match := _HEAD_GLOBAL.match(head):
            into = whole
            into.append(line[match.end() :])
        elif (entry_end := _head(head)) is not None:
            into = [line[entry_end[1] :]]
            entries.append((entry_end[0], into))
        else:
            into.append(line)
    found = [_filled(entry, lines) for entry, lines in entries]
    return Found([e for e in found if e.text], _joined(whole), rest=_joined(rest))


def _head(line: str) -> tuple[Entry, int] | None:
    """The section that a line begins, without its text, and where that text begins."""
    if match := _HEAD_SPAN.match(line):
        found = SPAN_TEXT.match(match["span"])
        assert found is not None
        start, end, percent = span_of(found)
        label, at = _label(line, match.end())
        percent = percent or "%" in line[match.start("span") : match.end() + 2]
        label = label or (match["before"] or "").strip(" -:'")
        return Entry(text="", start=start, end=end, percent=percent, label=label), at
    if match := _HEAD_NUMBER.match(line):
        label, at = _label(line, match.end())
        return Entry(text="", index=int(match["n"] or match["m"]), label=label), at
    if match := _HEAD_LABEL.match(line):
        return Entry(text="", label=match["label"]), match.end()
    return None


def _label(line: str, at: int) -> tuple[str, int]:
    tail = _TAIL.match(line, at)
    if tail is None:
        return "", at
    return (tail["label"] or "").strip(), tail.end()


def _filled(entry: Entry, lines: list[str]) -> Entry:
    return Entry(
        text=_joined(lines),
        start=entry.start,
        end=entry.end,
        percent=entry.percent,
        index=entry.index,
        label=entry.label,
    )


def _joined(lines: list[str]) -> str:
    return "\n".join(lines).strip().lstrip("*:)]-–— \t")
