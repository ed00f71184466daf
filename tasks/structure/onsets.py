"""Onset strength: how much of the spectrum rises at each moment.

SuperFlux (Boeck and Widmer, "Maximum filter vibrato suppression for onset detection", DAFx 2013):
the rise is taken against a maximum over neighbouring bands a moment ago, so a gliding or
trembling note, which moves to the next band, does not count as a new one.

Shapes: F frames, M mel bands, O onsets, B beats.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from tasks.structure.spectrum import FRAME_RATE_HZ, Floats, band_centres_hz

LAG_FRAMES = 3
"""Reach of the rise. The Hann window is 6 frames wide at half height; half of it parts old from new."""
_LOW_HZ, _HIGH_HZ, _TOP_HZ = 200.0, 3_000.0, 6_500.0
_MIDDLE_HZ = (400.0, 2_500.0)
_BLOCK_FRAMES = 8192
_LEAST_STEP = 0.4
"""Above the mean of 0.4 s that an onset stands out, in deviations."""
_LEAST_RISE = 0.02
"""The same in natural-log units. Where nothing is struck, a deviation is so small that the grain of a held sound
passes for onsets: rendered ambient songs came out at twice their notes, others at .8 of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Onsets:
    """Rises of the spectrum per frame."""

    strength_F: Floats
    """Mean rise over all bands, less its slow trend, scaled to unit standard deviation."""
    unit: float
    """That deviation, in natural-log units."""
    low_F: Floats
    """Mean rise below 200 Hz: bass drum and bass."""
    middle_F: Floats
    """Mean rise from 400 Hz to 2.5 kHz, where notes have most of their partials."""
    high_F: Floats
    """Mean rise above 3 kHz: a broadband attack reaches up there."""
    top_F: Floats
    """Mean rise above 6.5 kHz: cymbals, shakers and brushes, hardly any note."""


def rises(log_mel_FM: Floats) -> Floats:
    """Positive differences ``[F, M]`` against the band maximum ``LAG_FRAMES`` earlier, at the time of the note."""
    widest = maximum_filter1d(log_mel_FM, 3, axis=1, mode="nearest")
    rise = np.zeros_like(log_mel_FM)
    difference = np.maximum(log_mel_FM[LAG_FRAMES:] - widest[:-LAG_FRAMES], 0)
    # A logarithm rises as soon as the window's edge touches a note, so the later of the two frames is
    # the one at the note: 10 ms early for clicks, 10 ms late for struck notes.
    rise[LAG_FRAMES:] = difference
    return rise


def detect(log_mel_FM: Floats) -> Onsets:
    """Onset curves of a log-mel spectrum ``[F, M]``."""
    centres = band_centres_hz(log_mel_FM.shape[1])
    middle = (centres > _MIDDLE_HZ[0]) & (centres < _MIDDLE_HZ[1])
    bands = (centres > 0, centres < _LOW_HZ, middle, centres > _HIGH_HZ, centres > _TOP_HZ)
    num_frames = len(log_mel_FM)
    curves = np.zeros((len(bands), num_frames), dtype=np.float32)
    for start in range(0, num_frames, _BLOCK_FRAMES):
        stop = min(start + _BLOCK_FRAMES, num_frames)
        begin = max(start - LAG_FRAMES, 0)
        rise = rises(log_mel_FM[begin:stop])[start - begin : stop - begin]
        for curve_F, band in zip(curves, bands, strict=True):
            curve_F[start:stop] = rise[:, band].mean(axis=1)
    above = _without_trend(curves[0])
    unit = max(float(above.std()), 1e-6)
    return Onsets(
        strength_F=above / np.float32(unit),
        unit=unit,
        low_F=curves[1],
        middle_F=curves[2],
        high_F=curves[3],
        top_F=curves[4],
    )


def onset_frames(onsets: Onsets) -> NDArray[np.int64]:
    """Frames ``[O]`` of single onsets: local maxima that stand out, at least 50 ms apart (Boeck 2012)."""
    reach = round(0.05 * FRAME_RATE_HZ)
    strength_F = onsets.strength_F
    is_peak = strength_F >= maximum_filter1d(strength_F, 2 * reach + 1)
    least = max(_LEAST_STEP, _LEAST_RISE / onsets.unit)
    stands_out = strength_F > uniform_filter1d(strength_F, round(0.4 * FRAME_RATE_HZ)) + least
    frames = np.flatnonzero(is_peak & stands_out)
    return frames[np.diff(frames, prepend=-reach - 1) > reach]


def near_beats(curve_F: Floats, beats_s: NDArray[np.float64], reach_s: float) -> NDArray[np.float64]:
    """Maximum of a curve ``[F]`` around each beat ``[B]``."""
    reach = round(reach_s * FRAME_RATE_HZ)
    frames = np.round(beats_s * FRAME_RATE_HZ).astype(int)[:, None] + np.arange(-reach, reach + 1)
    return curve_F[np.clip(frames, 0, len(curve_F) - 1)].max(axis=1).astype(np.float64)


def _without_trend(curve_F: Floats) -> Floats:
    """The curve above its mean over a second."""
    return np.maximum(curve_F - uniform_filter1d(curve_F, round(FRAME_RATE_HZ)), 0)
