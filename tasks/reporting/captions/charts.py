"""The charts that only captions have, see ``tasks.reporting.pages.charts``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from data_specs.records import LABELS
from tasks.reporting.captions.distribution import Distribution
from tasks.reporting.pages.charts import colour, svg

_HEIGHT = 120


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


def label_colour(label: str) -> str:
    """Grey for ``section``, which says nothing, and for what is no label."""
    return colour(LABELS.index(label)) if label in LABELS[:-1] else "ground"
