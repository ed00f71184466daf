"""A picture of what a model looks at in a track for a text: its attention over time under the track's sections."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from data_specs.records import Section, Structure
from tasks.structure.picture import section_name

__all__ = ["attention_picture"]

_CHARACTERS = 118
"""Of a text in a line of its title; two lines are shown."""
_LEAST_SHARE = 0.03
"""A section below this share of the track has no room for its name."""
_BARS, _INK, _FAINT = "#2a6f97", "0.15", "0.55"


def attention_picture(structure: Structure, heard: Mapping[str, Sequence[tuple[float, float, float]]]) -> bytes:
    """PNG: the sections, equal letters in one colour, and for every text the share of each clip in its attention.

    All texts have one scale. The dotted line is the share of a clip if the text cared for none in particular.

    Args:
        heard: ``CoLLAP.attention_over_time`` of the track, by text.

    Raises:
        ValueError: no text, or moments that end elsewhere than the track, so of another one.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    _check(structure, heard)
    figure = Figure(figsize=(9.0, 0.9 + 1.4 * len(heard)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1 + len(heard), 1, sharex=True, squeeze=False, height_ratios=[0.32, *[1] * len(heard)])
    strip, *rows = panels[:, 0]
    _draw_sections(strip, structure)
    highest = max(weight for moments in heard.values() for *_, weight in moments)
    for axes, (text, moments) in zip(rows, heard.items(), strict=True):
        _draw_weights(axes, text, moments, highest)
        for section in structure.sections:
            axes.axvspan(section.start_s, section.end_s, color=_colour(structure, section), alpha=0.18, linewidth=0)
        for section in structure.sections[1:]:
            axes.axvline(section.start_s, color="white", linewidth=2, zorder=1.5)  # below the bars
    rows[-1].tick_params(bottom=True, labelbottom=True)
    rows[-1].xaxis.set_major_formatter(lambda time_s, _: f"{int(time_s) // 60}:{int(time_s) % 60:02d}")
    rows[-1].xaxis.set_major_locator(_whole_times(structure.duration_s))
    rows[-1].set_xlim(0, structure.duration_s)
    stream = io.BytesIO()
    # Without the metadata the file would name the program's version, and differ between installations.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _check(structure: Structure, heard: Mapping[str, Sequence[tuple[float, float, float]]]) -> None:
    if not heard:
        raise ValueError("no text to draw: expected attention_over_time of at least one")
    for text, moments in heard.items():
        if not moments or abs(moments[-1][1] - structure.duration_s) > 1.0:
            end = f"ends at {moments[-1][1]:.1f} s" if moments else "is empty"
            raise ValueError(
                f"attention for {text[:40]!r} {end}, track {structure.track_id} at {structure.duration_s:.1f} s"
            )


def _draw_sections(axes: Any, structure: Structure) -> None:
    for section in structure.sections:
        axes.axvspan(
            section.start_s, section.end_s, facecolor=_colour(structure, section), edgecolor="white", linewidth=2
        )
        length_s = section.end_s - section.start_s
        if length_s > _LEAST_SHARE * structure.duration_s:
            label = "" if section.label == "section" else f"  {section.label}"
            centre = section.start_s + length_s / 2
            name = section_name(section) + label
            axes.text(centre, 0.5, name, color=_INK, ha="center", va="center", fontsize=10, clip_on=True)
    axes.set_ylim(0, 1)
    axes.set_title(structure.track_id, fontsize=10, loc="left", color=_INK, fontweight="bold")
    _bare(axes)


def _draw_weights(axes: Any, text: str, moments: Sequence[tuple[float, float, float]], highest: float) -> None:
    for start_s, end_s, weight in moments:
        gap_s = 0.04 * (end_s - start_s)
        axes.bar(start_s + gap_s / 2, weight, end_s - start_s - gap_s, align="edge", color=_BARS, zorder=2)
    even = 1.0 / len(moments)
    axes.axhline(even, color=_INK, linewidth=1, linestyle=":", zorder=3)
    axes.set_ylim(0, 1.05 * highest)
    axes.set_yticks([even, highest], [f"even {even:.0%}", f"{highest:.0%}" if highest > 1.2 * even else ""])
    lines = textwrap.wrap(text.replace("$", r"\$"), _CHARACTERS, max_lines=2, placeholder=" ...")
    axes.set_title("\n".join(lines), fontsize=9, loc="left", color=_INK)
    _bare(axes)
    axes.tick_params(left=False, labelleft=True, labelsize=8, labelcolor=_FAINT)


def _bare(axes: Any) -> None:
    """Without frame and ticks: colour and place say it."""
    axes.spines[:].set_visible(False)
    axes.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)


def _colour(structure: Structure, section: Section) -> Any:
    """Of the section's letter; its later variants are lighter."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgba

    letters = sorted({section.letter for section in structure.sections})
    colour = colormaps["Set2"](letters.index(section.letter) % 8)
    return to_rgba(colour, 0.6 if section.variant % 2 else 1.0)


def _whole_times(duration_s: float) -> Any:
    """Ticks at multiples that a clock has, at most a dozen."""
    from matplotlib.ticker import MultipleLocator

    return MultipleLocator(next((step for step in (5, 10, 15, 30, 60, 120, 300) if duration_s <= 12 * step), 600))
