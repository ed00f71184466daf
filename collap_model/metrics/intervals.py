"""Bootstrap intervals of a run, and of the difference of two runs on the same queries.

Queries are not drawn one by one: the captions of one track succeed and fail together, and taking them for
independent makes intervals too narrow. What is drawn, with replacement, is whole groups of texts and tracks
that belong together (a cluster bootstrap, Field and Welsh 2007); where each text has one track and each track
one text, that is a bootstrap over queries. The same draws serve every figure, both directions and both
runs of a comparison, so that a difference keeps what is common to the runs out of its interval.

Shapes: Q queries, F figures, G groups, R draws, S statistics.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from collap_model.metrics.figures import FIGURES, Figures
from collap_model.metrics.levels import Pairing

__all__ = ["STATISTICS", "groups", "interval", "statistics"]

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

STATISTICS = (*("mean_rank" if name == "rank" else name for name in FIGURES), "median_rank")
"""Means of the figures, in their order, and the median of one."""
_RANK = FIGURES.index("rank")
_DRAWS = 1000
_DRAWS_AT_ONCE = 32


def groups(pairing: Pairing) -> tuple[Ints, Ints]:
    """The connected parts of texts and tracks: the number of each text's part and of each track's."""
    num_all = pairing.num_texts + pairing.num_tracks
    edges = (np.ones(len(pairing.text_E)), (pairing.text_E, pairing.track_E + pairing.num_texts))
    _, part_all = connected_components(coo_array(edges, shape=(num_all, num_all)), directed=False)
    return part_all[: pairing.num_texts].astype(np.int64), part_all[pairing.num_texts :].astype(np.int64)


def statistics(figures: Figures, *, seed: int) -> tuple[Floats, Floats]:
    """``[S]`` of the queries as they are, and ``[R, S]`` of the draws; the same ``seed`` draws the same groups."""
    num_groups = int(figures.group_Q.max()) + 1
    sum_GF = np.zeros((num_groups, len(FIGURES)))
    np.add.at(sum_GF, figures.group_Q, figures.values_QF)
    size_G = np.bincount(figures.group_Q, minlength=num_groups).astype(float)
    order_Q = np.argsort(figures.values_QF[:, _RANK], kind="stable")
    rank_Q, group_Q = figures.values_QF[order_Q, _RANK], figures.group_Q[order_Q]

    def of(weight_RG: Floats) -> Floats:
        mean_RF = (weight_RG @ sum_GF) / (weight_RG @ size_G)[:, None]
        median_R = np.array([_median(rank_Q, weight_G[group_Q]) for weight_G in weight_RG])
        return np.column_stack([mean_RF, median_R])

    drawn_RS = np.concatenate([of(weight_RG) for weight_RG in _draws(num_groups, seed)])
    return of(np.ones((1, num_groups)))[0], drawn_RS


def interval(drawn_R: Floats, num_groups: int, bounds: tuple[float, float]) -> tuple[float, float]:
    """The middle 95 % of the draws. One group says nothing of how groups differ: then all that is possible."""
    if num_groups < 2:
        return bounds
    low, high = np.percentile(drawn_R, [2.5, 97.5])
    return float(low), float(high)


def _draws(num_groups: int, seed: int) -> Iterator[Floats]:
    """How often each group is drawn, some draws ``[R, G]`` at a time."""
    rng = np.random.default_rng(seed)
    for first in range(0, _DRAWS, _DRAWS_AT_ONCE):
        num_draws = min(_DRAWS_AT_ONCE, _DRAWS - first)
        picked = [rng.integers(num_groups, size=num_groups) for _ in range(num_draws)]
        yield np.stack([np.bincount(few, minlength=num_groups) for few in picked]).astype(float)


def _median(sorted_Q: Floats, weight_Q: Floats) -> float:
    """Of values that each occur a whole number of times."""
    until_Q = np.cumsum(weight_Q)
    half = until_Q[-1] / 2
    lower, upper = np.searchsorted(until_Q, half, "left"), np.searchsorted(until_Q, half, "right")
    return float(sorted_Q[lower] + sorted_Q[upper]) / 2
