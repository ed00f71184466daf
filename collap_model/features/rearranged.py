"""A track with its sections in another order, as seconds to take from the feature store.

Shapes: S seconds of the track.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["exchange", "exchanged", "rearranged"]


def rearranged(starts_s: Sequence[float], order: Sequence[int], num_seconds: int) -> npt.NDArray[np.int64]:
    """All seconds ``[S]`` of a track, section ``order[0]`` first.

    Features are one vector per second, so borders fall on the nearest whole second.

    Args:
        starts_s: of each section; every section lasts to the next one's start, the last to the track's end.
        order: a permutation of the sections.

    Raises:
        ValueError: sections that do not begin at 0 or go back in time, or no permutation.
    """
    if not starts_s or round(starts_s[0]) != 0 or list(starts_s) != sorted(starts_s):
        raise ValueError(f"expected sections from 0 on in the order of time, got starts {list(starts_s)[:10]}")
    if sorted(order) != list(range(len(starts_s))):
        raise ValueError(f"expected a permutation of {len(starts_s)} sections, got {list(order)[:10]}")
    borders = np.minimum(np.round(starts_s[1:]).astype(np.int64), num_seconds)
    sections = np.split(np.arange(num_seconds), borders)
    return np.concatenate([sections[index] for index in order])


def exchanged(starts_s: Sequence[float], i: int, j: int, num_seconds: int) -> npt.NDArray[np.int64]:
    """As ``rearranged``, with the sections i and j in each other's place."""
    return rearranged(starts_s, exchange(len(starts_s), i, j), num_seconds)


def exchange(num_sections: int, i: int, j: int) -> list[int]:
    """The order of the sections with i and j in each other's place."""
    order = list(range(num_sections))
    order[i], order[j] = order[j], order[i]
    return order
