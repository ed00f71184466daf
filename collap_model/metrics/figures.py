"""What each query is worth: every figure is its expectation over the orders of items that score the same.

That is exact (McSherry and Najork, "Computing information retrieval performance measures efficiently in the
presence of tied scores", ECIR 2008) and it has a use: a model whose scores are all equal gets what guessing
gets, not luck, and not the bottom. With one positive the expected rank is the middle of its tie, the mid-rank.

A hit at k is a positive among the first k, whichever. The rank is that of the best positive. Average precision and
nDCG (gain 1, discount log2(1 + place)) look at all positives among the first 10; both are divided by what a perfect
order of the first 10 would give.

Shapes: Q queries, L levels (see ``levels``), F figures, T places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collap_model.metrics.levels import Levels

__all__ = ["DEPTH", "FIGURES", "Figures", "best_place", "query_figures"]

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

DEPTH = 10
FIGURES = ("recall_at_1", "recall_at_5", "recall_at_10", "rank", "mrr", "map_at_10", "ndcg_at_10")
_PLACES = np.arange(1, DEPTH + 1)
_DISCOUNTS = 1.0 / np.log2(1 + _PLACES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One direction, query by query: what intervals and comparisons of runs are made of."""

    values_QF: Floats
    """In the order of ``FIGURES``."""
    tied_Q: npt.NDArray[np.bool_]
    """True where the best positive scores exactly like some negative."""
    group_Q: Ints
    """Queries that share a text or a track, directly or through others, have one number: they are not independent."""
    gallery_size: int


def query_figures(levels: Levels, group_Q: Ints, gallery_size: int) -> Figures:
    """Figures of the queries ``0 .. Q - 1``, each of which has a level."""
    first_Q = np.searchsorted(levels.query_L, np.arange(len(group_Q)))
    before_Q, positives_Q, size_Q = (
        values_L[first_Q] for values_L in (levels.before_L, levels.positives_L, levels.size_L)
    )
    hit_QT = _hit(before_Q, positives_Q, size_Q)
    precision_Q, gain_Q = _first_ten(levels, len(group_Q))
    columns = {
        **{f"recall_at_{k}": hit_QT[:, k - 1] for k in (1, 5, 10)},
        "rank": before_Q + (size_Q + 1) / (positives_Q + 1),
        "mrr": _reciprocal(before_Q, positives_Q, size_Q),
        "map_at_10": precision_Q,
        "ndcg_at_10": gain_Q,
    }
    return Figures(
        values_QF=np.stack([columns[name] for name in FIGURES], axis=1),
        tied_Q=size_Q > positives_Q,
        group_Q=group_Q,
        gallery_size=gallery_size,
    )


def best_place(num_positives: int, size: int) -> Floats:
    """Probability ``[T]`` that the best of some positives is at place 1, 2 ... of ``size`` items in random order."""
    hit_T = num_positives / np.arange(size, num_positives - 1, -1)
    # So many negatives in a row, then a positive.
    return hit_T * np.cumprod(np.append(1.0, 1.0 - hit_T[:-1]))


def _hit(before_Q: Ints, positives_Q: Ints, size_Q: Ints) -> Floats:
    """Probability ``[Q, T]`` that a positive is among the first 1, 2 ... 10 items."""
    drawn_QT = _PLACES - before_Q[:, None]
    left_QT = np.maximum(size_Q[:, None] - drawn_QT + 1, 1)
    miss_QT = np.where(drawn_QT >= 1, 1.0 - np.minimum(1.0, positives_Q[:, None] / left_QT), 1.0)
    return 1.0 - np.cumprod(miss_QT, axis=1)


def _reciprocal(before_Q: Ints, positives_Q: Ints, size_Q: Ints) -> Floats:
    """Expectation of 1 / rank; the sum over a tie is done once per kind of tie."""
    reciprocal_Q = 1.0 / (before_Q + 1.0)
    tied_Q = size_Q > positives_Q
    kinds, kind_Q = np.unique(np.stack([before_Q, positives_Q, size_Q], axis=1)[tied_Q], axis=0, return_inverse=True)
    values = np.empty(len(kinds))
    for number, (before, positives, size) in enumerate(kinds.tolist()):
        probability_T = best_place(positives, size)
        values[number] = (probability_T / np.arange(before + 1, before + 1 + len(probability_T))).sum()
    reciprocal_Q[tied_Q] = values[kind_Q]
    return reciprocal_Q


def _first_ten(levels: Levels, num_queries: int) -> tuple[Floats, Floats]:
    """Average precision and nDCG at 10, both ``[Q]``."""
    drawn_LT = _PLACES - levels.before_L[:, None]
    positives_L1, size_L1 = levels.positives_L[:, None], levels.size_L[:, None]
    here_LT = np.where((drawn_LT >= 1) & (drawn_LT <= size_L1), positives_L1 / size_L1, 0.0)
    # Given a positive at this place, its peers of the same level share the places before it.
    peers_LT = (drawn_LT - 1) * (positives_L1 - 1) / np.maximum(size_L1 - 1, 1)
    precision_LT = here_LT * (levels.found_L[:, None] + 1 + peers_LT) / _PLACES
    wanted_Q = np.minimum(np.bincount(levels.query_L, levels.positives_L, num_queries).astype(int), DEPTH)
    precision_Q = np.bincount(levels.query_L, precision_LT.sum(1), num_queries) / wanted_Q
    gain_Q = np.bincount(levels.query_L, here_LT @ _DISCOUNTS, num_queries) / np.cumsum(_DISCOUNTS)[wanted_Q - 1]
    return precision_Q, gain_Q
