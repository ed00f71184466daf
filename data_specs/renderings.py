"""The texts of one caption: with clock times, in order without them, and without any order.

All are pure functions of the global paragraph and the sections, so a crop of a track and a hard
negative get their texts without a captioner. Nothing here knows who wrote the words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from data_specs.hashing import digest
from data_specs.leads import clock_leads, foldable, joined, order_leads
from data_specs.records import LABELS, Caption, SectionCaption
from data_specs.scope import AGAINST_BEFORE, ORDER, RETURN, WHOLE, without

__all__ = ["SubCaption", "clock_free", "order_free", "sub_caption", "swappable", "swapped", "timestamped"]

PARAGRAPH = "\n\n"
"""Between the global paragraph and the sections; no description holds it."""
A_PART = "This is part of a longer piece."
"""Of a crop for which no sentence of the global paragraph holds; that paragraph is always the first."""
GOES_ON = "The music goes on."
"""Of a section none of whose sentences holds within the crop."""
_EDGE_LABELS = {"intro", "outro", "silence"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubCaption:
    """The texts of a crop that holds a run of whole sections; times in the texts count from its start."""

    start_s: float
    """In the track."""
    end_s: float
    timestamped: str
    clock_free: str
    order_free: str


def timestamped(global_text: str, sections: Sequence[SectionCaption], seed: str) -> str:
    """The global paragraph, then one paragraph per section that begins with its times ``m:ss`` and its label."""
    return _paragraphs(global_text, sections, clock_leads(sections, seed))


def clock_free(global_text: str, sections: Sequence[SectionCaption], seed: str) -> str:
    """The same in order, with words of order for the times: first, next, then, the music returns, finally."""
    return _paragraphs(global_text, sections, order_leads(sections, seed))


def order_free(global_text: str, sections: Sequence[SectionCaption], seed: str) -> str:
    """A bag: the sentences without words of order, the sections in an order drawn from the seed.

    A section of which nothing but its place in the order was said is left out.
    """
    drawn = sorted(range(len(sections)), key=lambda index: digest(seed, "bag", index))
    kept = [without(ORDER, global_text), *(without(ORDER, sections[index].description) for index in drawn)]
    return PARAGRAPH.join(filter(None, kept))


def sub_caption(caption: Caption, first: int, last: int, seed: str = "") -> SubCaption:
    """The texts for the audio of the sections ``first`` to ``last``, both included.

    Of the global paragraph stay the sentences that claim nothing of the whole (``scope.WHOLE``) and
    name no part that the crop lacks, ``A_PART`` where none does; of each description those that lean
    on nothing beyond the crop.
    A run of all sections keeps every sentence.

    Raises:
        ValueError: the run is empty or not within the caption's sections.
    """
    if not 0 <= first <= last < len(caption.sections):
        raise ValueError(f"sections {first}..{last} of a caption that has 0..{len(caption.sections) - 1}")
    run, global_text, seed = caption.sections[first : last + 1], caption.global_text, seed or caption.track_id
    start_s, end_s = run[0].start_s, run[-1].end_s
    if len(run) < len(caption.sections):
        global_text = _global_lite(global_text, run)
        run = tuple(replace(s, description=_within(run, index)) for index, s in enumerate(run))
    run = tuple(replace(s, start_s=s.start_s - start_s, end_s=s.end_s - start_s) for s in run)
    return SubCaption(
        start_s=start_s,
        end_s=end_s,
        timestamped=timestamped(global_text, run, seed),
        clock_free=clock_free(global_text, run, seed),
        order_free=order_free(global_text, run, seed),
    )


def swappable(caption: Caption) -> list[tuple[int, int]]:
    """Pairs of sections whose exchange gives a hard negative that the text alone does not give away.

    Their letters differ, else the exchange might be true. Both are new or both have been heard, and
    neither stands or belongs at an edge of the track: no reader needs the music to see an ending in
    the middle.
    """
    inner = [
        (index, section, section.letter in {s.letter for s in caption.sections[:index]})
        for index, section in enumerate(caption.sections[1:-1], 1)
        if section.label not in _EDGE_LABELS
    ]
    return [
        (i, j)
        for (i, a, a_heard), (j, b, b_heard) in combinations(inner, 2)
        if a.letter != b.letter and a_heard == b_heard and a.description.casefold() != b.description.casefold()
    ]


def swapped(caption: Caption, i: int, j: int) -> str:
    """The clock-free text with the descriptions of two sections exchanged; all leads stay at their places.

    It has exactly the words of ``caption.clock_free_text``: a model that ignores order cannot tell
    the two apart.

    Raises:
        ValueError: the two have the same letter, or the text is not one paragraph per section.
    """
    if caption.sections[i].letter == caption.sections[j].letter:
        raise ValueError(f"sections {i} and {j} are both {caption.sections[i].letter}: the exchange may be true")
    paragraphs = caption.clock_free_text.split(PARAGRAPH)
    offset = len(paragraphs) - len(caption.sections)
    if offset not in (0, 1):
        raise ValueError(f"{len(paragraphs)} paragraphs of {len(caption.sections)} sections and a global text")
    (lead_i, text_i), (lead_j, text_j) = (
        _parted(paragraphs[index + offset], caption.sections[index].description) for index in (i, j)
    )
    paragraphs[i + offset], paragraphs[j + offset] = lead_i + text_j, lead_j + text_i
    return PARAGRAPH.join(paragraphs)


def _paragraphs(global_text: str, sections: Sequence[SectionCaption], leads: Sequence[str]) -> str:
    # One way of joining per caption: a description then reads the same at any place in it.
    fold = all(foldable(s.description) for s in sections)
    told = [joined(lead, s.description, fold=fold) for lead, s in zip(leads, sections, strict=True) if s.description]
    return PARAGRAPH.join(filter(None, [global_text, *told]))


def _parted(paragraph: str, description: str) -> tuple[str, str]:
    """A paragraph's lead and its description, as they stand there."""
    at = len(paragraph) - len(description)
    if at < 0 or paragraph[at:].casefold() != description.casefold():
        raise ValueError(f"the paragraph {paragraph[:40]!r} does not end in its section's description")
    return paragraph[:at], paragraph[at:]


def _global_lite(global_text: str, run: Sequence[SectionCaption]) -> str:
    absent = [label for label in LABELS if label != "section" and label not in {s.label for s in run}]
    names = re.compile(rf"(?<![\w-])(?:{'|'.join(absent)})(?:s|es)?\b", re.IGNORECASE)
    return without(names, without(WHOLE, global_text)) or A_PART


def _within(run: Sequence[SectionCaption], index: int) -> str:
    """A description without what leans on music beyond the crop."""
    section = run[index]
    kept = without(WHOLE, section.description)
    if index == 0:
        kept = without(AGAINST_BEFORE, kept)
    elif section.letter not in {s.letter for s in run[:index]}:
        kept = without(RETURN, kept)
    return kept or GOES_ON
