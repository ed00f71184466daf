"""How a section's paragraph begins: its clock times, or its place in the order.

Leads ending in a colon stand before any sentence. The others are joined by a comma where the
sentence can go on in lower case, by a colon where it cannot.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from data_specs.hashing import digest
from data_specs.records import SectionCaption

__all__ = ["clock", "clock_leads", "foldable", "joined", "order_leads", "words"]

LEADS: dict[str, tuple[str, ...]] = {
    "clock": (
        "From {a} to {b}",
        "Between {a} and {b}",
        "From {a} until {b}",
        "At {a}, lasting until {b}",
        "From {a} up to {b}",
        "Starting at {a} and lasting to {b}",
    ),
    "clock_label": (
        "From {a} to {b}, in the {label}",
        "In the {label}, from {a} to {b}",
        "The {label} runs from {a} to {b}:",
        "Between {a} and {b}, in the {label}",
        "The {label} starts at {a} and lasts until {b}:",
        "During the {label}, between {a} and {b}",
        "In the {label}, lasting from {a} up to {b}",
    ),
    "first": ("First", "To begin", "At first", "At the outset", "In the beginning", "To start with"),
    "first_label": (
        "First, in the {label}",
        "The {label} comes first:",
        "To begin, in the {label}",
        "At the outset, in the {label}",
    ),
    "next": (
        "Then",
        "Next",
        "After that",
        "From there",
        "Thereafter",
        "Following that",
        "Afterwards",
        "After this",
    ),
    "next_label": (
        "Then, in the {label}",
        "Next comes the {label}:",
        "The {label} follows:",
        "After that, in the {label}",
        "Following that, the {label}:",
        "Next, in the {label}",
        "Then comes the {label}:",
        "From there, on to the {label}:",
    ),
    "again": (
        "The music returns:",
        "Once more",
        "Familiar music returns:",
        "Again",
        "Earlier music returns:",
        "Once again",
        "Music from before returns:",
        "Next, the music returns:",
    ),
    "again_label": (
        "The {label} returns:",
        "Then, back in the {label}",
        "Once more, the {label}:",
        "Next, the {label} returns:",
        "Again the {label}:",
        "Another time, in the {label}",
        "Then the {label} returns:",
    ),
    "same": ("The same music goes on:", "Then, without a break", "It continues:", "Carrying on", "Still unbroken"),
    "same_label": (
        "Still in the {label}",
        "The {label} goes on:",
        "Then more of the {label}:",
        "Carrying on in the {label}",
    ),
    "last": ("Finally", "In the end", "To close", "Last of all", "Lastly", "At the very end"),
    "last_label": ("Finally, in the {label}", "Last comes the {label}:", "To close, in the {label}"),
    "last_again": ("Finally, the music returns:", "To close, earlier music returns:", "In the end, once more"),
    "last_again_label": ("Finally, the {label} returns:", "To close, back in the {label}", "Last, the {label} again:"),
}
"""Per kind of lead its wordings, which take turns."""

_RETURNS = re.compile(
    r"\b(?:returns?|returning|again|back|repeats?|repeated|once more|recurs|reprises?|goes round|goes on|keeps going"
    r"|stays on|carries on|continues|still|remains|follows at once|more of|same|statement|pass"
    r"|hearing|reappears?)\b",
    re.I,
)
_FOLDABLE = frozenset(
    "the an this these that those it its there here with without in on at over under above below as while when both"
    " one two three each every some most another no neither still now what something for from by after before against"
    " section new more less little familiar soft softer loud louder bright dark dense sparse slow fast steady"
    " drums percussion bass guitars strings synths vocals tone texture level loudness colour timbre harmony chords"
    " music balanced brilliant warm very medium medium-dense busy underneath again onsets silence heard earlier".split()
)
_NOTE = re.compile(r"A(?:[ -](?:major|minor|flat|sharp|dorian|mixolydian|phrygian|lydian)\b|[^a-z ])", re.I)


def clock(seconds: float) -> str:
    """``m:ss``, rounded to the second; minutes go past 59."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def words(text: str) -> list[str]:
    """Lower-case words without the punctuation around them, for counting n-grams."""
    return [w for token in text.lower().split() if (w := token.strip(".,;:()!?\"'"))]


def foldable(text: str) -> bool:
    """Whether a sentence may lose its first capital: not ``A minor ...``, nor a name that we do not know."""
    first = text.split(" ", 1)[0]
    return first.lower() in _FOLDABLE or (first == "A" and not _NOTE.match(text)) or not first[:1].isupper()


def joined(lead: str, text: str, *, fold: bool) -> str:
    """Lead and description; ``fold`` lets the description go on in lower case. Without a lead it stands alone."""
    if not lead:
        return text
    if fold:
        text = text[:1].lower() + text[1:]
    return f"{lead} {text}" if lead.endswith(":") else f"{lead}{',' if fold else ':'} {text}"


def clock_leads(sections: Sequence[SectionCaption], seed: str) -> list[str]:
    """One lead per section that names its times, and its label where it has one."""
    kinds = ["clock" if s.label == "section" else "clock_label" for s in sections]
    return _chosen(sections, kinds, seed)


def order_leads(sections: Sequence[SectionCaption], seed: str) -> list[str]:
    """One lead per section that names its place in the order; none where there is one section only."""
    if len(sections) == 1:
        return [""]
    return _chosen(sections, _places(sections), seed)


def _places(sections: Sequence[SectionCaption]) -> list[str]:
    """The kind of each section's lead. That music returns is said by the lead only where its own words do not."""
    kinds, seen = [], {(sections[0].letter, sections[0].label)}
    for before, section in pairwise(sections):
        music = (section.letter, section.label)
        told = bool(_RETURNS.search(section.description))
        again = "" if told or music not in seen else "same" if music == (before.letter, before.label) else "again"
        if section is sections[-1]:
            again = "last_again" if again == "again" else "last"
        kinds.append(again or "next")
        seen.add(music)
    suffixes = ["" if s.label == "section" else "_label" for s in sections]
    return [kind + suffix for kind, suffix in zip(["first", *kinds], suffixes, strict=True)]


def _chosen(sections: Sequence[SectionCaption], kinds: Sequence[str], seed: str) -> list[str]:
    """Per section the lead that echoes the text so far least, then the one used least; ties fall by the seed."""
    ranks = {kind: {lead: digest(seed, kind, lead) for lead in LEADS[kind]} for kind in set(kinds)}
    used: Counter[str] = Counter()
    said: set[tuple[str, ...]] = set()
    chosen: list[str] = []
    before: list[str] = []
    for section, kind in zip(sections, kinds, strict=True):
        tokens = words(section.description)
        filled = {
            lead: lead.format(a=clock(section.start_s), b=clock(section.end_s), label=section.label)
            for lead in LEADS[kind]
        }
        grams = {lead: _grams([*before[-3:], *words(text), *tokens[:3]]) for lead, text in filled.items()}
        best = min(filled, key=lambda lead: (len(grams[lead] & said), used[lead], ranks[kind][lead]))
        used[best] += 1
        said |= grams[best] | _grams(tokens)
        chosen.append(filled[best])
        before = tokens
    return chosen


def _grams(tokens: Sequence[str]) -> set[tuple[str, ...]]:
    return set(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))
