"""A picture of what a model looks at in a track for a text: its attention over time under the track's sections."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from data_specs.records import Structure
from tasks.structure.picture import section_name

__all__ = ["attention_picture"]

_CHARACTERS = 130
"""Of a text in a line of its title; two lines are shown."""
_LEAST_SHARE = 0.03
"""A section below this share of the track has no room for its name."""


def attention_picture(structure: Structure, heard: Mapping[str, Sequence[tuple[float, float, float]]]) -> bytes:
    """PNG: the sections, equal letters in one colour, and for every text the weight of each clip.

    The dotted line is the weight of a clip if the text cared for none in particular.

    Args:
        heard: ``CoLLAP.attention_over_time`` of the track, by text.

    Raises:
        ValueError: no text, or moments that end elsewhere than the track, so of another one.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not heard:
        raise ValueError("no text to draw: expected attention_over_time of at least one")
    for text, moments in heard.items():
        if not moments or abs(moments[-1][1] - structure.duration_s) > 1.0:
            end = f"ends at {moments[-1][1]:.1f} s" if moments else "is empty"
            raise ValueError(
                f"attention for {text[:40]!r} {end}, track {structure.track_id} at {structure.duration_s:.1f} s"
            )
    figure = Figure(figsize=(9.0, 0.8 + 1.5 * len(heard)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1 + len(heard), 1, sharex=True, squeeze=False, height_ratios=[0.4, *[1] * len(heard)])
    strip, *rows = panels[:, 0]
    _draw_sections(strip, structure)
    for axes, (text, moments) in zip(rows, heard.items(), strict=True):
        _draw_weights(axes, text, moments)
        for section in structure.sections[1:]:
            axes.axvline(section.start_s, color="0.5", linewidth=0.8)
    rows[-1].set_xlabel(f"seconds of {structure.track_id}")
    rows[-1].set_xlim(0, structure.duration_s)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _draw_sections(axes: Any, structure: Structure) -> None:
    letters = sorted({section.letter for section in structure.sections})
    for section in structure.sections:
        colour = f"C{letters.index(section.letter) % 10}"
        axes.axvspan(
            section.start_s, section.end_s, color=colour, alpha=0.35 + 0.3 * (section.variant % 2), linewidth=0
        )
        length_s = section.end_s - section.start_s
        if length_s > _LEAST_SHARE * structure.duration_s:
            label = "" if section.label == "section" else f"\n{section.label}"
            centre = section.start_s + length_s / 2
            axes.text(centre, 0.5, section_name(section) + label, ha="center", va="center", fontsize=8)
    axes.set_ylim(0, 1)
    axes.set_yticks([])


def _draw_weights(axes: Any, text: str, moments: Sequence[tuple[float, float, float]]) -> None:
    edges_s = [moments[0][0], *(end_s for _, end_s, _ in moments)]
    weights = [weight for *_, weight in moments]
    axes.stairs(weights, edges_s, fill=True, color="tab:blue", alpha=0.8)
    axes.axhline(1.0 / len(moments), color="black", linewidth=0.8, linestyle=":")
    axes.set_ylim(0, 1.1 * max(weights))
    axes.set_ylabel("weight", fontsize=8)
    lines = textwrap.wrap(text.replace("$", r"\$"), _CHARACTERS, max_lines=2, placeholder=" ...")
    axes.set_title("\n".join(lines), fontsize=8, loc="left")
