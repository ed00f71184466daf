"""What each bar sounds like: timbre, harmony and drum pattern, on scales where 1 is a clear difference.

Shapes: N bars, G chroma frames, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.structure.harmony import unit_rows
from tasks.structure.onsets import Onsets
from tasks.structure.pitch import CHROMA_RATE_HZ, Chroma
from tasks.structure.spans import mean_between
from tasks.structure.spectrum import FRAME_RATE_HZ, Spectrum

STREAM_WEIGHTS = (0.5, 0.25, 0.25)
"""Of timbre, harmony and rhythm. Harmony moves inside a section too, timbre mostly at its ends."""
_POSITIONS = 16
"""Parts of a bar in which drum strokes are told apart."""
_TIMBRE_SPREAD = (0.2, 0.5)
"""Bounds for a track's own spread of log-mel, natural-log units: below, differences are no music."""
_HARMONY_SCALE = 0.9
_RHYTHM_SCALE = 0.25

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BarFeatures:
    """What a bar sounds like, scaled so that 1 is a clear difference in each of the three."""

    timbre_ND: Reals
    harmony_ND: Reals
    rhythm_ND: Reals


def bar_features(spectrum: Spectrum, onsets: Onsets, chroma: Chroma, edges_s: Reals) -> BarFeatures:
    """Features of the bars between ``edges_s[N + 1]``."""
    return BarFeatures(
        timbre_ND=_timbre(mean_between(spectrum.log_mel_FM, FRAME_RATE_HZ, edges_s)),
        harmony_ND=_harmony(chroma, edges_s),
        rhythm_ND=_rhythm(onsets, edges_s),
    )


def squared_distances(rows_ND: Reals) -> Reals:
    """Squared Euclidean distances ``[N, N]``."""
    norms = np.sum(np.square(rows_ND), axis=1)
    return np.maximum(norms[:, None] + norms[None, :] - 2 * rows_ND @ rows_ND.T, 0)


def similarity(features: BarFeatures) -> Reals:
    """Similarity of every two bars ``[N, N]``, 0..1: the mean over timbre, harmony and rhythm."""
    streams = (features.timbre_ND, features.harmony_ND, features.rhythm_ND)
    weighted = zip(STREAM_WEIGHTS, streams, strict=True)
    return np.sum([weight * np.exp(-squared_distances(rows)) for weight, rows in weighted], axis=0)


def subdivide(edges_s: Reals, parts: int) -> Reals:
    """Edges with every span cut into equal parts: ``[N * parts + 1]``."""
    places = np.arange((len(edges_s) - 1) * parts + 1) / parts
    return np.interp(places, np.arange(len(edges_s)), edges_s)


def _timbre(log_mel_NM: Reals) -> Reals:
    spread = np.sqrt(np.mean(np.square(log_mel_NM - log_mel_NM.mean(axis=0))))
    scale = np.clip(spread, *_TIMBRE_SPREAD)
    return log_mel_NM / (scale * np.sqrt(log_mel_NM.shape[1]))


def _harmony(chroma: Chroma, edges_s: Reals) -> Reals:
    harmony = unit_rows(mean_between(chroma.harmony_GC, CHROMA_RATE_HZ, edges_s))
    bass = unit_rows(mean_between(chroma.bass_GC, CHROMA_RATE_HZ, edges_s))
    return np.hstack([harmony, 0.6 * bass]) / _HARMONY_SCALE


def _rhythm(onsets: Onsets, edges_s: Reals) -> Reals:
    curves = np.stack([onsets.low_F, onsets.high_F], axis=1)
    # A stroke on the border of two positions must not flip between them: centre positions on the grid.
    step_s = np.median(np.diff(edges_s)) / _POSITIONS
    means = mean_between(curves, FRAME_RATE_HZ, np.maximum(subdivide(edges_s, _POSITIONS) - step_s / 2, 0))
    rows = means.reshape(len(edges_s) - 1, -1)
    return rows / (_RHYTHM_SCALE * np.sqrt(rows.shape[1]))
