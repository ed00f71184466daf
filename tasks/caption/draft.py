"""A caption before it is assembled: the words per section, whoever wrote them."""

from __future__ import annotations

from dataclasses import dataclass

from data_specs.records import Attributes, SectionCaption

GLOBAL = -1
"""Index of the global paragraph where sections are named by index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a captioner has to say of one track, in parts."""

    global_text: str
    """About the whole track, without clock times; empty where it is missing."""
    attributes: Attributes
    sections: tuple[SectionCaption, ...]
    """In order; an empty description is one that is missing."""
    anchored: bool
    """Whether the sections are those of the analysis."""
