"""From the text of an answer, whatever it is, to descriptions per section. Nothing here raises.

In turn: JSON as asked for; JSON as models write it (``lenient``); prose under headings (``prose``).
Sections are found under any of the usual names and matched with those asked for by their times, by
their numbers, else by their place. What was mended is named in ``repairs``; what the answer broke, in
``flaws``, which ``tasks.caption.validate`` lists.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from data_specs.records import Attributes
from tasks.caption.model.found import Entry, Found, gather
from tasks.caption.model.lenient import Reading, read_lenient, read_strict
from tasks.caption.model.prose import read_prose
from tasks.caption.validate import in_order
from tasks.caption.validation.phrases import PHRASES, is_text

MAX_PART_CHARACTERS = 8000
"""Of one description. Ten times what is asked for; behind it a model only repeats itself."""
TIME_TOLERANCE_S = 0.5
"""By which a copied time may differ before it counts as another one."""
MATCH_S = 2.0
MATCH_OVERLAP = 0.5
"""Two spans are the same section where they start together or share half of their union."""
PERCENT_BOUND = 100.5
MIN_PROSE_WORDS = 3
_THOUGHT = re.compile(r"\A.{0,200000}?</think(?:ing)?>|\A\s*<think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"```[a-zA-Z]{0,10}")
_ORDER = ("thought", "fence", "around", "prose", "percent", "order", "cut")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for."""

    indices: tuple[int, ...]
    """Of the sections, in order; not looked at where the answer is not anchored."""
    wants_global: bool
    anchored: bool
    duration_s: float
    spans: tuple[tuple[float, float], ...] = ()
    """Start and end in seconds of the sections asked for, one per index; without them times match nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What was found; empty where nothing was."""

    descriptions: dict[int, str]
    """By index of the section; by place in ``spans`` where the answer is not anchored."""
    global_text: str
    attributes: Attributes
    spans: tuple[tuple[float, float, str], ...]
    """Start, end and label as the model wrote it, in order of time; empty where the answer is anchored."""
    repairs: tuple[str, ...]
    flaws: tuple[str, ...]


def parse_answer(text: str, wanted: Wanted) -> Parsed:
    """What an answer says, as far as it says anything.

    Args:
        text: any text, in any state.
        wanted: decides which section a description belongs to.
    """
    repairs: set[str] = set()
    flaws: set[str] = set()
    if not text.strip():
        return _parsed({}, Found(), (), wanted, repairs, {"empty"})
    found = _found(text, wanted, repairs, flaws)
    entries = [replace(entry, text=_cleaned(entry.text, repairs)) for entry in found.entries]
    entries = [entry for entry in entries if entry.text]
    found = replace(found, entries=entries, global_text=_cleaned(found.global_text, repairs))
    if not entries and not found.global_text:
        flaws.add("refusal" if PHRASES["refusal"].search(text[:2000]) else "json")
    if not wanted.anchored:
        timed = _timed(entries, wanted.duration_s, repairs)
        if len(timed) < len(entries):
            flaws.add("section_times")
        spans = tuple((entry.start or 0.0, entry.end or 0.0, entry.label) for entry in timed)
        return _parsed({i: entry.text for i, entry in enumerate(timed)}, found, spans, wanted, repairs, flaws)
    return _parsed(_matched(entries, wanted, repairs, flaws), found, (), wanted, repairs, flaws)


def _parsed(
    descriptions: dict[int, str],
    found: Found,
    spans: tuple[tuple[float, float, str], ...],
    wanted: Wanted,
    repairs: set[str],
    flaws: set[str],
) -> Parsed:
    if (wanted.anchored and not set(wanted.indices) <= descriptions.keys()) or not (wanted.anchored or spans):
        flaws.add("section_missing")
    if wanted.wants_global and not found.global_text:
        flaws.add("global_missing")
    names = [*(n for n in _ORDER if n in repairs), *sorted(repairs.difference(_ORDER))]
    return Parsed(
        descriptions=descriptions,
        global_text=found.global_text if wanted.wants_global else "",
        attributes=found.attributes if wanted.wants_global else Attributes(),
        spans=spans,
        repairs=tuple(f"parse:{name}" for name in names),
        flaws=in_order(flaws),
    )


def _found(text: str, wanted: Wanted, repairs: set[str], flaws: set[str]) -> Found:
    """The parts of the answer, read in the first of three ways that yields any."""
    if (thought := _THOUGHT.match(text)) is not None:
        text = text[thought.end() :]
        repairs.add("thought")
    reading = read_strict(text)
    if reading is None:
        flaws.add("json")
        if "```" in text:
            repairs.add("fence")
        reading = read_lenient(text)
        if "truncated" in reading.repairs:
            flaws.add("length")
    found = gather(reading.values)
    if found.entries or found.global_text:
        _note(reading, repairs, flaws)
        return found
    found = read_prose(_FENCE.sub("", text))
    is_talk = not reading.values and len(found.rest.split(None, MIN_PROSE_WORDS)) >= MIN_PROSE_WORDS
    if is_talk and not found.entries and not PHRASES["refusal"].search(text[:2000]):
        # Prose without a heading can only be the one text that was asked for.
        if wanted.wants_global:
            found = replace(found, global_text=found.global_text or _bare(found.rest))
        elif wanted.anchored and len(wanted.indices) == 1:
            found = replace(found, entries=[Entry(text=_bare(found.rest))])
    if found.entries or found.global_text:
        repairs.add("prose")
        if PHRASES["preamble"].search(text[:500]):
            flaws.add("preamble")
    return found


def _bare(prose: str) -> str:
    """Prose without the quotes of a JSON string."""
    return prose[1:-1] if prose.startswith('"') and prose.endswith('"') and prose.count('"') == 2 else prose


def _note(reading: Reading, repairs: set[str], flaws: set[str]) -> None:
    repairs |= reading.repairs
    around = _FENCE.sub("", reading.rest[:4000])
    if re.search(r"\w", around):
        repairs.add("around")
        flaws.add("preamble")


def _cleaned(text: str, repairs: set[str]) -> str:
    """Without characters that are no text; line breaks stay for mending, which knows what a list is."""
    if len(text) > MAX_PART_CHARACTERS:
        repairs.add("cut")
        text = text[:MAX_PART_CHARACTERS]
    kept = "".join(c for c in text.replace("\r\n", "\n").replace("\r", "\n") if is_text(c))
    if kept != text:
        repairs.add("control")
    return kept.strip()


def _scaled(entries: Sequence[Entry], duration_s: float, repairs: set[str], scale: float | None = None) -> list[Entry]:
    """Times in seconds: percent of the track where the answer says so, or where nothing else can be meant."""
    ends = [t for entry in entries for t in (entry.start, entry.end) if t is not None]
    if not ends:
        return list(entries)
    if scale is None:
        # Percent end at 100. Seconds that do so are a track of 100 s.
        is_percent = any(e.percent for e in entries) or (97 <= max(ends) <= PERCENT_BOUND and duration_s > 110)
        scale = duration_s / 100 if is_percent else 1.0
    if scale == 1.0:
        return list(entries)
    repairs.add("percent")
    return [
        replace(e, start=None if e.start is None else e.start * scale, end=None if e.end is None else e.end * scale)
        for e in entries
    ]


def _timed(entries: Sequence[Entry], duration_s: float, repairs: set[str]) -> list[Entry]:
    """Entries that have a time, in order of time; an end that is missing is the next one's start."""
    timed = [entry for entry in _scaled(entries, duration_s, repairs) if entry.start is not None]
    starts = [entry.start or 0.0 for entry in timed]
    if starts != sorted(starts):
        repairs.add("order")
        timed.sort(key=lambda entry: entry.start or 0.0)
    following = [*(entry.start for entry in timed[1:]), duration_s]
    return [replace(e, end=e.end if e.end is not None else then) for e, then in zip(timed, following, strict=False)]


def _matched(entries: list[Entry], wanted: Wanted, repairs: set[str], flaws: set[str]) -> dict[int, str]:
    """Descriptions by index of the section asked for."""
    left = list(range(len(wanted.indices)))
    assigned: dict[int, Entry] = {}
    if wanted.spans:
        entries, by_time = _by_time(entries, wanted, repairs)
        assigned |= by_time
    rest = [entry for entry in entries if not any(entry is taken for taken in assigned.values())]
    left = [place for place in left if place not in assigned]
    numbers = _numbered(rest, wanted)
    if rest and numbers is not None and not assigned:
        assigned |= {place: entry for place, entry in numbers.items() if place in left}
    elif len(rest) == len(left) or not assigned:
        ordered = rest
        if not wanted.spans and all(entry.start is not None for entry in rest):
            ordered = sorted(rest, key=lambda entry: entry.start or 0.0)
        assigned |= dict(zip(left, ordered, strict=False))
    if len(entries) > len(assigned):
        flaws.add("section_extra")
    places = [place for entry in entries for place, taken in assigned.items() if taken is entry]
    if places != sorted(places):
        repairs.add("order")
    if wanted.spans and any(_other_times(entry, wanted.spans[place]) for place, entry in assigned.items()):
        flaws.add("section_times")
    return {wanted.indices[place]: assigned[place].text for place in sorted(assigned)}


def _by_time(entries: list[Entry], wanted: Wanted, repairs: set[str]) -> tuple[list[Entry], dict[int, Entry]]:
    """The reading of the times, in seconds or in percent, that more sections agree with."""
    best: tuple[list[Entry], dict[int, Entry], set[str]] = (entries, {}, set())
    for scale in (1.0, wanted.duration_s / 100):
        noted: set[str] = set()
        scaled = _scaled(entries, wanted.duration_s, noted, scale)
        pairs = sorted(
            (-_agreement(entry, span), place, number)
            for number, entry in enumerate(scaled)
            for place, span in enumerate(wanted.spans[: len(wanted.indices)])
            if _agreement(entry, span) > 0
        )
        taken: dict[int, int] = {}
        for _, place, number in pairs:
            if place not in taken and number not in taken.values():
                taken[place] = number
        if len(taken) > len(best[1]):
            best = (scaled, {place: scaled[number] for place, number in taken.items()}, noted)
    repairs |= best[2]
    return best[0], best[1]


def _agreement(entry: Entry, span: tuple[float, float]) -> float:
    """0 for another section, else up to 2: 1 for an equal start, and the share of the union that both have."""
    if entry.start is None:
        return 0.0
    start, end = span
    starts = max(0.0, 1 - abs(entry.start - start) / MATCH_S)
    if entry.end is None or entry.end <= entry.start:
        return starts
    shared = max(0.0, min(entry.end, end) - max(entry.start, start))
    overlap = shared / max(1e-9, max(entry.end, end) - min(entry.start, start))
    return starts + overlap if starts > 0 or overlap >= MATCH_OVERLAP else 0.0


def _other_times(entry: Entry, span: tuple[float, float]) -> bool:
    return any(
        t is not None and abs(t - known) > TIME_TOLERANCE_S
        for t, known in zip((entry.start, entry.end), span, strict=True)
    )


def _numbered(entries: Sequence[Entry], wanted: Wanted) -> dict[int, Entry] | None:
    """Entries by place, where each carries another number and all are of the sections asked for."""
    numbers = [entry.index for entry in entries]
    if not numbers or len(set(numbers)) < len(numbers):
        return None
    for base in (1, 0):  # people count from one
        places = {index + base: place for place, index in enumerate(wanted.indices)}
        if all(number in places for number in numbers):
            return {places[number]: entry for number, entry in zip(numbers, entries, strict=True) if number is not None}
    return None
