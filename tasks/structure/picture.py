"""A picture of an analysis: self-similarity with sections and letters above, loudness below."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from data_specs.records import Structure
from tasks.structure import onsets, pitch, sections, spectrum
from tasks.structure.bar_features import bar_features
from tasks.structure.spans import mean_between

_COLUMNS = 400
"""Resolution of the matrix: more cannot be told apart at the printed size."""


def picture(structure: Structure, samples: NDArray[np.float32]) -> bytes:
    """PNG of a track's structure, drawn from its record and its 16 kHz samples ``[T]``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    duration_s = len(samples) / spectrum.SAMPLE_RATE_HZ
    matrix, loudness_db, edges_s = _curves(samples, duration_s)
    # Figure and canvas of its own: pyplot would keep global state in a worker that draws thousands.
    figure = Figure(figsize=(6.4, 7.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    upper.imshow(
        matrix, origin="lower", extent=(0, duration_s, 0, duration_s), cmap="magma", aspect="auto", interpolation="none"
    )
    upper.set_ylabel("seconds")
    upper.set_title(_title(structure), fontsize=10)
    lower.plot((edges_s[:-1] + edges_s[1:]) / 2, loudness_db, color="0.2", linewidth=1)
    lower.set_ylabel("dB")
    lower.set_xlabel("seconds")
    for section in structure.sections:
        for axes in (upper, lower):
            axes.axvline(section.start_s, color="tab:cyan", linewidth=1)
        upper.axhline(section.start_s, color="tab:cyan", linewidth=0.5)
        middle = (section.start_s + section.end_s) / 2
        box = {"boxstyle": "round,pad=0.2", "facecolor": "black", "edgecolor": "none", "alpha": 0.7}
        upper.text(middle, middle, section.letter, color="white", ha="center", va="center", fontsize=11, bbox=box)
    lower.set_xlim(0, duration_s)
    stream = BytesIO()
    # Without the metadata the file would name the program's version, and differ between installations.
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _title(structure: Structure) -> str:
    return (
        f"{structure.track_id}   {structure.tempo_bpm:.0f} BPM ({structure.tempo_confidence:.2f})   "
        f"{structure.key} ({structure.key_confidence:.2f})   sections ({structure.sections_confidence:.2f})"
    )


def _curves(
    samples: NDArray[np.float32], duration_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Similarity of equal steps of time, their level in dB, and their edges."""
    levelled = spectrum.levelled(samples.astype(np.float32, copy=False))
    spectra = spectrum.measure(levelled)
    steps = int(np.clip(duration_s, 8, _COLUMNS))
    edges_s = np.linspace(0, duration_s, steps + 1)
    features = bar_features(spectra, onsets.detect(spectra.log_mel_FM), pitch.chroma(levelled), edges_s)
    power = mean_between(spectra.power_F, spectrum.FRAME_RATE_HZ, edges_s)
    return sections.similarity(features), 10 * np.log10(np.maximum(power / power.mean(), 1e-6)), edges_s
