"""A picture of an analysis: self-similarity with sections and letters above, loudness and tempo below."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_specs.records import Section, Structure
from tasks.structure import onsets, pitch, spectrum
from tasks.structure.bar_features import bar_features, similarity
from tasks.structure.spans import mean_between

_COLUMNS = 400
"""Resolution of the matrix: more cannot be told apart at the printed size."""
_LEAST_SHARE = 0.02
"""A section below this share of the track has no room for its letter inside."""
_TEMPO_SPREAD = 1.35
"""The tempo axis reaches this factor beyond the track's tempo; a bar outside it is a gap in the grid."""

Reals = NDArray[np.float64]


def picture(structure: Structure, samples: NDArray[np.float32]) -> bytes:
    """PNG of a track's structure, drawn from its record and its 16 kHz samples ``[T]``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    duration_s = len(samples) / spectrum.SAMPLE_RATE_HZ
    matrix, loudness_db, edges_s = _curves(samples, duration_s)
    # Figure and canvas of its own: pyplot would keep global state in a worker that draws thousands.
    figure = Figure(figsize=(6.4, 8.0), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=(5, 1, 1))
    upper.imshow(
        matrix, origin="lower", extent=(0, duration_s, 0, duration_s), cmap="magma", aspect="auto", interpolation="none"
    )
    upper.set_ylabel("seconds")
    upper.set_title(_title(structure), fontsize=9)
    middle.plot((edges_s[:-1] + edges_s[1:]) / 2, loudness_db, color="0.2", linewidth=1)
    middle.set_ylabel("dB")
    _draw_tempo(lower, structure)
    lower.set_xlabel("seconds")
    for section in structure.sections:
        _draw_section(upper, section, duration_s)
        for axes in (middle, lower):
            axes.axvline(section.start_s, color="tab:cyan", linewidth=1)
    lower.set_xlim(0, duration_s)
    upper.set_ylim(0, duration_s)
    stream = BytesIO()
    # Without the metadata the file would name the program's version, and differ between installations.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def section_name(section: Section) -> str:
    """Letter with a prime per variant, ``A′``; from the third on with its number, ``A(3)``."""
    primes = "′" * section.variant if section.variant <= 2 else f"({section.variant})"
    return section.letter + primes


def _title(structure: Structure) -> str:
    return (
        f"{structure.track_id}   {structure.engine}\n"
        f"{structure.tempo_bpm:.0f} BPM ({structure.tempo_confidence:.2f})   "
        f"{structure.beats_per_bar} beats to the bar ({structure.meter_confidence:.2f})   "
        f"{structure.key} ({structure.key_confidence:.2f})   sections ({structure.sections_confidence:.2f})"
    )


def _draw_section(axes: Any, section: Section, duration_s: float) -> None:
    """A frame around the section on the diagonal, its name inside and its label, where it has one, above."""
    length_s = section.end_s - section.start_s
    corners = (section.start_s, section.end_s)
    axes.plot(
        [*corners, corners[1], corners[0], corners[0]],
        [corners[0], corners[0], corners[1], corners[1], corners[0]],
        color="tab:cyan",
        linewidth=0.5 + section.boundary_confidence,
    )
    centre = section.start_s + length_s / 2
    box = {"boxstyle": "round,pad=0.2", "facecolor": "black", "edgecolor": "none", "alpha": 0.7}
    size = 11 if length_s > 2 * _LEAST_SHARE * duration_s else 7
    axes.text(centre, centre, section_name(section), color="white", ha="center", va="center", fontsize=size, bbox=box)
    if section.label != "section":
        is_low = centre < duration_s / 2
        axes.text(
            centre,
            corners[1] if is_low else corners[0],
            f" {section.label} ",
            color="white",
            ha="center",
            va="bottom" if is_low else "top",
            rotation=90 if length_s < 0.1 * duration_s else 0,
            fontsize=8,
            bbox=box,
        )


def _draw_tempo(axes: Any, structure: Structure) -> None:
    """Tempo of each bar between downbeats: a level line is a steady pulse."""
    axes.set_ylabel("BPM of bars", fontsize=8)
    axes.set_ylim(structure.tempo_bpm / _TEMPO_SPREAD, structure.tempo_bpm * _TEMPO_SPREAD)
    axes.axhline(structure.tempo_bpm, color="0.8", linewidth=1)
    if len(structure.downbeats_s) < 2:
        return
    downbeats_s = np.array(structure.downbeats_s)
    bpm = 60 * structure.beats_per_bar / np.diff(downbeats_s)
    axes.plot((downbeats_s[:-1] + downbeats_s[1:]) / 2, bpm, ".", color="tab:orange", markersize=3)


def _curves(samples: NDArray[np.float32], duration_s: float) -> tuple[Reals, Reals, Reals]:
    """Similarity of equal steps of time, their level in dB, and their edges."""
    levelled = spectrum.levelled(samples.astype(np.float32, copy=False))
    spectra = spectrum.measure(levelled)
    steps = int(np.clip(duration_s, 8, _COLUMNS))
    edges_s = np.linspace(0, duration_s, steps + 1)
    features = bar_features(spectra, onsets.detect(spectra.log_mel_FM), pitch.chroma(levelled), edges_s)
    power = mean_between(spectra.power_F, spectrum.FRAME_RATE_HZ, edges_s)
    return similarity(features), 10 * np.log10(np.maximum(power / power.mean(), 1e-6)), edges_s
