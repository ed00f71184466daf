"""Small charts as inline SVG, for pages that must open without a network.

Lengths along the page are per cent of the width, so that a chart fits a phone and its text keeps
its size. Colours are classes of the page's style sheet. Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from data_specs.leads import clock
from data_specs.records import LABELS, SectionCaption
from tasks.reporting.captions.distribution import Distribution

NUM_COLOURS = 14
_HEIGHT = 120
_LABEL_WIDTH = 4.5
"""Least share of the width, in per cent, that a section needs for its letter to be written into it."""


def svg(height: int, title: str, parts: Iterable[str]) -> str:
    """A picture as wide as its place; ``title`` is what a screen reader says."""
    head = f'<svg role="img" aria-label="{escape(title)}" width="100%" height="{height}">'
    return f"{head}{''.join(parts)}</svg>"


def histogram(values: Distribution, title: str, bound: float | None = None) -> str:
    """Bars from 0, the median as a line, and ``bound`` as a broken one."""
    highest = max(1, *values.bins)
    width = 100 / len(values.bins)
    end = values.bin_width * len(values.bins)
    parts = []
    for index, count in enumerate(values.bins):
        if count:
            height = max(1.0, count / highest * (_HEIGHT - 26))
            low, high = index * values.bin_width, (index + 1) * values.bin_width
            span = f"{low:g} and more" if index == len(values.bins) - 1 else f"{low:g} to {high:g}"
            bar = f'x="{index * width:.2f}%" y="{_HEIGHT - 18 - height:.1f}" width="{width * 0.9:.2f}%"'
            parts.append(f'<rect class="bar" {bar} height="{height:.1f}"><title>{span}: {count}</title></rect>')
    for name, at in (("median", values.median), ("bound", bound)):
        if at is not None and values.count:
            x = min(100.0, 100 * at / end)
            parts.append(f'<line class="{name}" x1="{x:.2f}%" x2="{x:.2f}%" y1="4" y2="{_HEIGHT - 18}"/>')
    parts.append(f'<line class="axis" x1="0" x2="100%" y1="{_HEIGHT - 18}" y2="{_HEIGHT - 18}"/>')
    for share, anchor in ((0.0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1.0, "end")):
        more = "+" if share == 1 else ""
        tick = f'x="{100 * share:g}%" y="{_HEIGHT - 4}" text-anchor="{anchor}"'
        parts.append(f"<text {tick}>{share * end:g}{more}</text>")
    return svg(_HEIGHT, title, parts)


def bar(share: float) -> str:
    """One bar of a table, 0..1 of its cell; the figure stands beside it."""
    filled = f'<rect class="bar" width="{100 * min(1.0, max(0.0, share)):.2f}%" height="12" rx="2"/>'
    ground = '<rect class="ground" width="100%" height="12" rx="2"/>'
    return f'<svg aria-hidden="true" width="100%" height="12">{ground}{filled}</svg>'


def stacked(columns: Mapping[str, Sequence[float]], title: str) -> str:
    """Shares of labels that add up to 1 in each column, the first label at the bottom."""
    num_columns = max((len(shares) for shares in columns.values()), default=0)
    parts = []
    for column in range(num_columns):
        top = 160.0
        for name, shares in columns.items():
            height = 160.0 * shares[column]
            top -= height
            place = f'x="{100 * column / num_columns:.2f}%" width="{97 / num_columns:.2f}%" y="{top:.1f}"'
            text = f"<title>{escape(name)}: {shares[column]:.0%}</title>"
            parts.append(f'<rect class="{label_colour(name)}" {place} height="{height:.1f}">{text}</rect>')
    return svg(160, title, parts)


def legend(labels: Iterable[str]) -> str:
    keys = (f'<span class="key"><i class="{label_colour(name)}"></i>{escape(name)}</span>' for name in labels)
    return f'<p class="legend">{"".join(keys)}</p>'


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


def label_colour(label: str) -> str:
    """Grey for ``section``, which says nothing, and for what is no label."""
    return colour(LABELS.index(label)) if label in LABELS[:-1] else "ground"
