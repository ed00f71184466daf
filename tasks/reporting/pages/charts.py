"""Small charts as inline SVG, for pages that must open without a network.

Lengths along the page are per cent of the width, so that a chart fits a phone and its text keeps
its size. Colours are classes of the page's style sheet. Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from data_specs.leads import clock
from data_specs.records import SectionCaption

NUM_COLOURS = 14
_LABEL_WIDTH = 4.5
"""Least share of the width, in per cent, that a section needs for its letter to be written into it."""


def svg(height: int, title: str, parts: Iterable[str]) -> str:
    """A picture as wide as its place; ``title`` is what a screen reader says."""
    head = f'<svg role="img" aria-label="{escape(title)}" width="100%" height="{height}">'
    return f"{head}{''.join(parts)}</svg>"


def bar(share: float) -> str:
    """One bar of a table, 0..1 of its cell; the figure stands beside it."""
    filled = f'<rect class="bar" width="{100 * min(1.0, max(0.0, share)):.2f}%" height="12" rx="2"/>'
    ground = '<rect class="ground" width="100%" height="12" rx="2"/>'
    return f'<svg aria-hidden="true" width="100%" height="12">{ground}{filled}</svg>'


def timeline(sections: Sequence[SectionCaption]) -> str:
    """The sections of a track in proportion, equal letters in equal colours."""
    if not sections:
        return ""
    end_s = max(section.end_s for section in sections) or 1.0
    parts = []
    for section in sections:
        x, width = 100 * section.start_s / end_s, 100 * (section.end_s - section.start_s) / end_s
        name = f"{clock(section.start_s)} to {clock(section.end_s)}, {section.label} {section.letter}"
        place = f'x="{x:.2f}%" width="{max(0.0, width - 0.2):.2f}%"'
        text = f"<title>{escape(name)}</title>"
        parts.append(f'<rect class="{letter_colour(section.letter)}" {place} y="0" height="26">{text}</rect>')
        if width >= _LABEL_WIDTH:
            middle = f'x="{x + width / 2:.2f}%" y="18" text-anchor="middle"'
            parts.append(f'<text class="letter" {middle}>{escape(section.letter)}</text>')
    parts.append('<text x="0" y="40">0:00</text>')
    parts.append(f'<text x="100%" y="40" text-anchor="end">{clock(end_s)}</text>')
    return svg(44, "sections over time", parts)


def colour(index: int) -> str:
    return f"c{index % NUM_COLOURS}"


def letter_colour(letter: str) -> str:
    """``A`` the first colour, ``B`` the second; what is no letter has none."""
    return colour(ord(letter[0]) - ord("A")) if "A" <= letter[:1] <= "Z" else "ground"
