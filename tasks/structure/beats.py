"""Beat times by dynamic programming (Ellis, "Beat tracking by dynamic programming", JNMR 2007).

The best chain of frames, where each frame earns its onset strength and pays for a distance to its
predecessor that differs from the local period.

Shapes: F frames, B beats.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from tasks.structure.spectrum import FRAME_RATE_HZ, Floats

TIGHTNESS = 400.0
"""Cost per squared natural-log deviation from the period, against onset strength of unit deviation.

Ellis's 100 lets a loud off-beat pull the chain half a beat aside; tempo that really moves is in the local period.
"""
_SMOOTHING_FRAMES = 1.5

Reals = NDArray[np.float64]


def track_beats(strength_F: Floats, local_period_F: Reals, onset_F: NDArray[np.int64]) -> Reals:
    """Beat times ``[B]`` in seconds, from half a period before the first to half a period after the last onset."""
    if len(onset_F) == 0:
        return np.zeros(0)
    local = gaussian_filter1d(strength_F.astype(np.float64), _SMOOTHING_FRAMES)
    beats = best_chain(local, local_period_F)
    margin = 0.5 * float(local_period_F[0])
    beats = beats[(beats >= onset_F[0] - margin) & (beats <= onset_F[-1] + margin)]
    return beats / FRAME_RATE_HZ


def best_chain(local_F: Reals, period_F: Reals, tightness: float = TIGHTNESS) -> NDArray[np.int64]:
    """Frames of the chain with the largest sum of ``local`` less the cost of its steps.

    A step is between half the smallest and twice the largest period long. Frames closer together
    than the shortest step cannot depend on each other, so that many are solved at once.
    """
    shortest = max(int(period_F.min() / 2), 1)
    longest = int(np.ceil(period_F.max() * 2))
    steps = np.arange(longest, shortest - 1, -1)  # the furthest predecessor first, as it lies in memory
    log_steps, log_period_F = np.log(steps), np.log(period_F)
    num_frames = len(local_F)
    total = np.full(longest + num_frames, -np.inf)  # shifted: total[longest + f] belongs to frame f
    came_from = np.full(num_frames, -1, dtype=np.int64)
    for start in range(0, num_frames, shortest):
        stop = min(start + shortest, num_frames)
        earlier = sliding_window_view(total[start : stop + longest - shortest], len(steps))
        cost = tightness * np.square(log_steps - log_period_F[start:stop, None])
        options = earlier - cost
        choice = options.argmax(axis=1)
        gain = options[np.arange(stop - start), choice]
        # A chain may begin anywhere: a predecessor is taken only where it adds something.
        came_from[start:stop] = np.where(gain > 0, np.arange(start, stop) - steps[choice], -1)
        total[longest + start : longest + stop] = local_F[start:stop] + np.maximum(gain, 0)
    last_stretch = max(num_frames - int(np.ceil(period_F[-1])), 0)
    frame = last_stretch + int(total[longest + last_stretch :].argmax())
    chain = []
    while frame >= 0:
        chain.append(frame)
        frame = int(came_from[frame])
    return np.array(chain[::-1], dtype=np.int64)


def refined_tempo(beats_s: Reals, period_frames: float) -> float:
    """Beats per minute over spans of 8 beats: a single interval is rounded to whole frames (1-3 % off)."""
    span = min(8, len(beats_s) - 1)
    if span < 4:
        return 60 * FRAME_RATE_HZ / period_frames
    return float(60 * span / np.median(beats_s[span:] - beats_s[:-span]))
