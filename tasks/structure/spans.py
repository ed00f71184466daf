"""Averages of per-frame values over stretches of time whose ends fall between frames.

Shapes: F frames, E edges, D values per frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mean_between(values_FD: ArrayLike, rate_hz: float, edges_s: ArrayLike) -> NDArray[np.float64]:
    """Mean of ``values[F]`` or ``values[F, D]`` between neighbouring edges: ``[E - 1]`` or ``[E - 1, D]``.

    Frame f stands for the time from ``(f - .5) / rate`` to ``(f + .5) / rate``; frames that an edge
    cuts count by the share that lies inside. Edges must rise; parts outside the frames are ignored.
    """
    values = np.asarray(values_FD, dtype=np.float64)
    flat = values.reshape(len(values), -1)
    total = np.vstack([np.zeros((1, flat.shape[1])), np.cumsum(flat, axis=0)])
    place = np.clip(np.asarray(edges_s, dtype=np.float64) * rate_hz + 0.5, 0, len(values))
    whole = np.minimum(place.astype(np.int64), len(values) - 1)
    at_edge = total[whole] + (place - whole)[:, None] * flat[whole]
    width = np.diff(place)
    means = np.diff(at_edge, axis=0) / np.maximum(width, 1e-9)[:, None]
    # A span without any frame (an edge beyond the last one) takes the nearest frame's value.
    means = np.where(width[:, None] > 1e-6, means, flat[whole[:-1]])
    return means.reshape(-1, *values.shape[1:])
