"""Finds sections, the paragraph on the whole and attributes in a tree of JSON values, whatever they are called."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from data_specs.records import LABELS, Attributes
from tasks.caption.model.lenient import MAX_DEPTH, Members

SECTIONS = frozenset(
    "sections segments parts structure sectiondescriptions segmentdescriptions descriptions timeline passages".split()
)
DESCRIPTION = ("description", "text", "desc", "caption", "content", "body", "details", "summary", "notes")
GLOBAL = frozenset(
    "global globaltext globaldescription globalparagraph globalsummary overall overalldescription overallsummary"
    " overview summary general whole track song piece paragraph".split()
)
ATTRIBUTES = frozenset("attributes tags metadata".split())
START = frozenset("start starts startsec startseconds starttime begin from".split())
END = frozenset("end ends endsec endseconds endtime to until stop".split())
SPAN = frozenset("time times timestamp timestamps timerange span range interval".split())
LABEL = frozenset("label name type func function title role section segment part head".split())
INDEX = frozenset("index number no nr id idx sectionindex sectionnumber section segment".split())
_LISTS = {
    "genres": frozenset("genres genre styles style".split()),
    "moods": frozenset("moods mood emotions".split()),
    "instruments": frozenset("instruments instrument instrumentation".split()),
    "production": frozenset(["production"]),
}
_TEMPO = frozenset(["tempo", "tempoword", "pace"])
_VOCALS = frozenset(["vocals", "vocal", "voice", "voices"])
_FIELDS = START | END | SPAN | LABEL | INDEX | frozenset(DESCRIPTION)
_MAX_LIST = 64

TIME = re.compile(r"(\d{1,3}):(\d{2})(?::(\d{2}))?(\.\d{1,6})?|(\d{1,6}(?:\.\d{1,6})?)\s{0,3}(%|s\b|sec|min)?")
_BETWEEN = r"\s{0,3}%?s?\s{0,3}(?:-|–|—|~|to|until|\.\.)\s{0,3}"
SPAN_TEXT = re.compile(rf"\W{{0,4}}({TIME.pattern}){_BETWEEN}({TIME.pattern})", re.IGNORECASE)
_NUMBERED = re.compile(r"\W{0,4}(?:section|segment|part)?\W{0,3}(\d{1,3})\W{0,3}$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One section of an answer."""

    text: str
    start: float | None = None
    """In seconds, or in percent where ``percent``."""
    end: float | None = None
    percent: bool = False
    index: int | None = None
    """The number that the answer gave it."""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The parts of one answer."""

    entries: list[Entry] = field(default_factory=list)
    global_text: str = ""
    attributes: Attributes = field(default_factory=Attributes)
    rest: str = ""
    """Prose that belongs to no part."""


def gather(values: list[Any]) -> Found:
    """What a tree of values holds; sections in the order in which they stand."""
    collector = _Collector()
    collector.visit(values, 0, in_sections=False)
    return Found(collector.entries, collector.global_text, Attributes(**collector.attributes))


def times(value: Any) -> tuple[float, bool] | None:
    """A time and whether it is in percent; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (float(value), False) if 0 <= value < 1e6 else None
    match = TIME.match(value.strip()) if isinstance(value, str) else None
    return _time(match.groups()) if match else None


def span(value: Any) -> tuple[float, float, bool] | None:
    """Start, end and whether they are in percent, of ``0:00-0:17``, ``0-18%`` or a list of two."""
    if isinstance(value, list) and not isinstance(value, Members) and len(value) == 2:
        pair = (times(value[0]), times(value[1]))
        return (pair[0][0], pair[1][0], pair[0][1] or pair[1][1]) if pair[0] and pair[1] else None
    match = SPAN_TEXT.match(value) if isinstance(value, str) else None
    return span_of(match) if match else None


def span_of(match: re.Match[str]) -> tuple[float, float, bool]:
    """Of a match of ``SPAN_TEXT``."""
    (start, start_percent), (end, end_percent) = _time(match.groups()[1:7]), _time(match.groups()[8:14])
    return start, end, start_percent or end_percent or "%" in match.group()


def _time(groups: tuple[str | None, ...]) -> tuple[float, bool]:
    first, second, third, fraction, number, unit = groups
    if number is not None:
        return float(number) * (60 if (unit or "").lower() == "min" else 1), unit == "%"
    parts = [int(part) for part in (first, second, third) if part is not None]
    seconds = parts[0] * 60 + parts[1] if len(parts) == 2 else parts[0] * 3600 + parts[1] * 60 + parts[2]
    return seconds + float(fraction or 0), False


def text_of(value: Any, depth: int = 0) -> str:
    """The words of a value: a text, the items of a list, the texts of an object."""
    if isinstance(value, str):
        return value
    if depth > MAX_DEPTH or not isinstance(value, list):
        return ""
    if isinstance(value, Members):
        named = {_plain(key): item for key, item in reversed(value)}
        chosen = next((named[name] for name in DESCRIPTION if text_of(named.get(name), depth + 1).strip()), None)
        items = [chosen] if chosen is not None else [item for _, item in value]
    else:
        items = value
    # One item per line: mending makes sentences of them.
    return "\n".join(text for item in items if (text := text_of(item, depth + 1).strip()))


class _Collector:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.global_text = ""
        self.attributes: dict[str, Any] = {}

    def visit(self, value: Any, depth: int, *, in_sections: bool) -> None:
        if depth > MAX_DEPTH or not isinstance(value, list):
            return
        if not isinstance(value, Members):
            for item in value:
                if in_sections and isinstance(item, str) and item.strip():
                    self.entries.append(Entry(text=item))
                else:
                    self.visit(item, depth + 1, in_sections=in_sections)
            return
        entry = _entry(value, in_sections=in_sections)
        if entry is not None and entry.text:
            self.entries.append(entry)
            return
        if entry is not None and in_sections:  # a section that was given no words
            return
        for key, item in value:
            self._member(key, item, depth, in_sections=in_sections)

    def _member(self, key: str, item: Any, depth: int, *, in_sections: bool) -> None:
        name = _plain(key)
        if name in SECTIONS and isinstance(item, list):
            self.visit(item, depth + 1, in_sections=True)
        elif name in ATTRIBUTES and isinstance(item, Members):
            for inner, value in item:
                self._attribute(_plain(inner), value)
        elif (entry := _keyed_entry(key, item, in_sections=in_sections)) is not None:
            self.entries.append(entry)
        elif name in GLOBAL and (text := text_of(item).strip()):
            # The longer of two: one of them is a heading.
            self.global_text = max(self.global_text, text, key=len)
        elif not self._attribute(name, item):
            self.visit(item, depth + 1, in_sections=in_sections)

    def _attribute(self, name: str, value: Any) -> bool:
        """Whether it was one."""
        for attribute, names in _LISTS.items():
            if name in names:
                texts = value[:_MAX_LIST] if isinstance(value, list) and not isinstance(value, Members) else [value]
                parts = [part for text in texts if isinstance(text, str) for part in re.split(r"[,;/\n]", text[:4000])]
                known = self.attributes.get(attribute, ())
                self.attributes[attribute] = (*known, *(p.strip() for p in parts if p.strip()))[:_MAX_LIST]
                return True
        if name in _TEMPO and isinstance(value, str):
            self.attributes["tempo_word"] = value.strip()
        elif name in _VOCALS and isinstance(value, str | list):
            self.attributes["vocals"] = " ".join(text_of(value)[:200].split())
        else:
            return False
        return True


def _entry(members: Members, *, in_sections: bool) -> Entry | None:
    """The section that an object is, if anything places it; its text is empty where it has none."""
    entry, is_placed = Entry(text=""), False
    texts = {}
    for key, value in members:
        name = _plain(key)
        if name in START or name in END:
            if (time := times(value)) is not None:
                entry = replace(entry, start=time[0]) if name in START else replace(entry, end=time[0])
                entry, is_placed = replace(entry, percent=entry.percent or time[1]), True
        elif name in SPAN and (found := span(value)) is not None:
            entry, is_placed = replace(entry, start=found[0], end=found[1], percent=found[2]), True
        elif name in INDEX and (number := _number(value)) is not None:
            entry, is_placed = replace(entry, index=number), True
        elif name in LABEL and isinstance(value, str) and not entry.label:
            entry, is_placed = replace(entry, label=value[:80].strip()), True
        elif name in DESCRIPTION and name not in texts and (text := text_of(value).strip()):
            texts[name] = text
    chosen = next((texts[name] for name in DESCRIPTION if name in texts), "")
    return replace(entry, text=chosen) if is_placed or (in_sections and chosen) else None


def _keyed_entry(key: str, item: Any, *, in_sections: bool) -> Entry | None:
    """A section whose times, number or label are its key: ``"0:00-0:17": "..."``, ``"section 2": {...}``."""
    if not (text := text_of(item).strip()):
        return None
    inner = _entry(item, in_sections=True) if isinstance(item, Members) else None
    entry = inner if inner is not None and inner.text else Entry(text=text)
    if (found := span(key)) is not None:
        return replace(entry, start=found[0], end=found[1], percent=found[2] or entry.percent)
    if match := _NUMBERED.match(key):
        return replace(entry, index=int(match[1]))
    is_name = _plain(key) and _plain(key) not in _FIELDS
    if (in_sections and is_name) or _plain_label(key) in LABELS:
        return replace(entry, label=entry.label or key[:80])
    return None


def _number(value: Any) -> int | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if 0 <= value < 1000 else None
    match = _NUMBERED.match(value) if isinstance(value, str) and len(value) < 40 else None
    return int(match[1]) if match else None


def _plain(key: str) -> str:
    return re.sub(r"[^a-z]", "", key[:80].lower())


def _plain_label(key: str) -> str:
    return re.sub(r"\W*\d*\W*$", "", key[:80].lower()).strip()
