"""Tempo from the self-similarity of the onset curve.

Autocorrelation with a log-normal preference for tempi near 120 (Ellis, "Beat tracking by dynamic
programming", JNMR 2007), summed over multiples of the period; the pulse-clarity reading of its
height is Lartillot et al., ISMIR 2008.

Shapes: F frames, L lags, W windows of 8 s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from tasks.structure.spectrum import FRAME_RATE_HZ, Floats

SLOWEST_BPM, FASTEST_BPM = 45.0, 220.0
_CENTRE_BPM, _SPREAD_OCTAVES = 115.0, 0.9
_WINDOW_S, _WINDOW_HOP_S = 8.0, 2.0
_SLOW_BPM, _FAST_BPM = 92.0, 132.0
_SPLIT_IN_FOUR = 0.06
"""Correlation at a quarter of the period: at tempi that are right it is below zero."""
_NOTHING_BETWEEN = 0.05
"""Correlation at parts of the period below which nothing is played between the beats."""
_EVERY_OTHER = 1.05
"""Correlation at twice the period, as a share of that at the period, from which every other beat is alike."""
_CHANCE, _CLEAR = 0.1, 0.8
"""Autocorrelation that the best lag of noise reaches, and that of a clear loop."""
_EQUAL_HALVES = 0.94
"""Correlation at half the period, as a share of that at the period, from which both halves sound alike."""
_WANDER = 1.3
"""A track's local tempo stays within this factor of its main one."""
_CHANGE_COST = 40.0
"""Per squared natural-log change of the period between windows, in units of correlation."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """The main pulse and how it moves."""

    period_frames: float
    local_period_F: Reals
    """Period at each frame."""
    alternatives_bpm: tuple[float, ...]
    confidence: float
    """That there is a pulse of this period or of a simple multiple, 0..1; from how much of the onset curve repeats."""


def autocorrelations(strength_F: Floats, max_lag: int) -> Reals:
    """Normalised autocorrelation ``[W, L]`` of windows of the onset curve, lags ``0 .. max_lag``."""
    size = min(round(_WINDOW_S * FRAME_RATE_HZ), len(strength_F))
    hop = round(_WINDOW_HOP_S * FRAME_RATE_HZ)
    starts = np.arange(0, max(len(strength_F) - size, 0) + 1, hop)
    windows = np.stack([strength_F[s : s + size] for s in starts]).astype(np.float64)
    windows -= windows.mean(axis=1, keepdims=True)
    num = next_fast_len(2 * size, real=True)
    raw = irfft(np.abs(rfft(windows, num, axis=1)) ** 2, num, axis=1)[:, : max_lag + 1]
    # Fewer pairs overlap at long lags; without the correction every track would look fast.
    raw *= size / np.maximum(size - np.arange(raw.shape[1]), size / 2)
    return raw / np.maximum(raw[:, :1], 1e-9)


def estimate(strength_F: Floats) -> Tempo:
    """Main period, its path over time and other readings, from an onset curve ``[F]``."""
    lags = _lags()
    correlation_WL = autocorrelations(strength_F, 4 * int(lags[-1]))
    combed_WL = _combed(correlation_WL, lags)
    score_L = _scores(combed_WL, lags)
    best = int(np.argmax(score_L))
    best = _undivided(correlation_WL.mean(axis=0), lags, best)
    best = _undoubled(correlation_WL.mean(axis=0), lags, best)
    period = float(lags[best]) + _peak_offset(score_L, best)
    path_W = _path(combed_WL, lags, period)
    centres = np.arange(len(path_W)) * _WINDOW_HOP_S * FRAME_RATE_HZ + _WINDOW_S * FRAME_RATE_HZ / 2
    # Music whose beats differ repeats itself by the bar rather than by the beat.
    multiples = np.round(path_W[:, None] * (1, 2, 4)).astype(int)
    height = np.take_along_axis(correlation_WL, multiples, axis=1).mean(axis=0).max()
    return Tempo(
        period_frames=period,
        local_period_F=np.interp(np.arange(len(strength_F)), centres, path_W),
        alternatives_bpm=_alternatives(score_L, lags, period),
        confidence=float(np.clip((height - _CHANCE) / (_CLEAR - _CHANCE), 0, 1)),
    )


def other_readings(strength_F: Floats, period_frames: float) -> tuple[float, ...]:
    """Tempi at simple ratios of one that is known, strongest first, by the onset curve ``[F]``."""
    lags = _lags()
    combed_WL = _combed(autocorrelations(strength_F, 4 * int(lags[-1])), lags)
    return _alternatives(_scores(combed_WL, lags), lags, period_frames)


def _lags() -> NDArray[np.int64]:
    """Periods in frames ``[L]`` from the fastest to the slowest tempo."""
    shortest = int(np.floor(60 * FRAME_RATE_HZ / FASTEST_BPM))
    return np.arange(shortest, int(np.ceil(60 * FRAME_RATE_HZ / SLOWEST_BPM)) + 1)


def _scores(combed_WL: Reals, lags: NDArray[np.int64]) -> Reals:
    """Strength of each period ``[L]`` over the track, weighted by how usual its tempo is."""
    prior_L = np.exp(-0.5 * (np.log2(60 * FRAME_RATE_HZ / lags / _CENTRE_BPM) / _SPREAD_OCTAVES) ** 2)
    return np.maximum(combed_WL.mean(axis=0), 0) * prior_L


def _combed(correlation_WL: Reals, lags: NDArray[np.int64]) -> Reals:
    """Correlation at each lag together with its multiples: a beat also repeats every two and four beats.

    A multiple is read as the best of its neighbours, because whole frames round the period.
    """
    combed = correlation_WL[:, lags].copy()
    for multiple, weight in ((2, 0.5), (3, 0.2), (4, 0.5)):
        near = [
            correlation_WL[:, np.minimum(lags * multiple + d, correlation_WL.shape[1] - 1)]
            for d in range(-(multiple // 2), multiple // 2 + 1)
        ]
        combed += weight * np.max(near, axis=0)
    return combed / 2.2


def _undivided(correlation_L: Reals, lags: NDArray[np.int64], best: int) -> int:
    """Index of the period, halved where the beat of a slow reading splits into four or its halves are equal.

    A slow beat splits into two or three; a clear pulse at a quarter of it says that it was two beats.
    """
    lag = int(lags[best])
    if 60 * FRAME_RATE_HZ / lag > _SLOW_BPM:
        return best
    whole, half, quarter = (_near(correlation_L, lag / part) for part in (1, 2, 4))
    if quarter > _SPLIT_IN_FOUR or half > _EQUAL_HALVES * whole:
        return _strongest(correlation_L, lags, lag / 2)
    return best


def _undoubled(correlation_L: Reals, lags: NDArray[np.int64], best: int) -> int:
    """Index of the period, doubled where a fast reading has nothing between its beats and every other one is alike.

    Music played at 140 has notes between its beats; the eighths of a ballad at 70 have none. Even
    clicks, which repeat after one as well as after two, stay.
    """
    lag = int(lags[best])
    if 60 * FRAME_RATE_HZ / lag < _FAST_BPM:
        return best
    between = max(_near(correlation_L, lag * part) for part in (1 / 2, 1 / 3, 2 / 3))  # thirds: swing
    if between < _NOTHING_BETWEEN and _near(correlation_L, 2 * lag) > _EVERY_OTHER * _near(correlation_L, lag):
        return _strongest(correlation_L, lags, 2 * lag)
    return best


def _near(correlation_L: Reals, position: float) -> float:
    """Correlation at a lag, read as the best of three neighbours."""
    centre = round(position)
    return float(correlation_L[centre - 1 : centre + 2].max())


def _strongest(correlation_L: Reals, lags: NDArray[np.int64], position: float) -> int:
    """Index of the best lag within two frames of a position that lies inside the range."""
    near = np.flatnonzero(np.abs(lags - position) <= 2)
    return int(near[np.argmax(correlation_L[lags[near]])])


def _peak_offset(score_L: Reals, best: int) -> float:
    """Position of a parabola's top relative to the highest of three points."""
    if not 0 < best < len(score_L) - 1:
        return 0.0
    left, top, right = score_L[best - 1 : best + 2]
    bend = left - 2 * top + right
    return float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0


def _path(combed_WL: Reals, lags: NDArray[np.int64], period: float) -> Reals:
    """Period in frames per window ``[W]``: the strongest path that moves slowly (Viterbi)."""
    keep = np.flatnonzero((lags >= period / _WANDER) & (lags <= period * _WANDER))
    log_lags = np.log(lags[keep])
    cost = _CHANGE_COST * np.square(log_lags[:, None] - log_lags[None, :])
    # A weak pull towards the main period decides where a window has no pulse of its own.
    gain_WL = combed_WL[:, keep] - 0.5 * np.square(log_lags - np.log(period))
    return lags[keep][best_path(gain_WL, -cost)].astype(np.float64)


def best_path(gain_WL: Reals, step_LL: Reals) -> NDArray[np.int64]:
    """States ``[W]`` that maximise the sum of gains and of ``step[from, to]`` between neighbours."""
    came_from = np.zeros(gain_WL.shape, dtype=np.int64)
    total = gain_WL[0]
    for w in range(1, len(gain_WL)):
        options = total[:, None] + step_LL
        came_from[w] = options.argmax(axis=0)
        total = options[came_from[w], np.arange(len(total))] + gain_WL[w]
    states = np.zeros(len(gain_WL), dtype=np.int64)
    states[-1] = total.argmax()
    for w in range(len(gain_WL) - 1, 0, -1):
        states[w - 1] = came_from[w, states[w]]
    return states


def _alternatives(score_L: Reals, lags: NDArray[np.int64], period: float) -> tuple[float, ...]:
    """Tempi at simple ratios of the main one inside the range, strongest first."""
    found = []
    for ratio in (0.5, 2.0, 1 / 3, 3.0, 2 / 3, 1.5):
        lag = period * ratio
        if lags[0] <= lag <= lags[-1]:
            near = np.abs(lags - lag) <= 1.5
            found.append((float(score_L[near].max()), 60 * FRAME_RATE_HZ / lag))
    return tuple(bpm for score, bpm in sorted(found, reverse=True) if score > 0)
