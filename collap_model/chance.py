"""What guessing gives: expectations of the retrieval metrics under a random order of the gallery.

A query with P positives among N items; P may differ between queries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Chance", "chance_level"]

_DEPTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """One expected figure per metric of ``metrics.RankMetrics``."""

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    median_rank: float
    mean_rank: float
    mrr: float
    map_at_10: float


def chance_level(num_positives_Q: npt.NDArray[np.integer], gallery_size: int) -> Chance:
    """Expected figures; the median is that of the ranks of all queries together."""
    places = np.arange(1, gallery_size + 1)
    counts, weights = np.unique(num_positives_Q, return_counts=True)
    weights = weights / weights.sum()
    # Share of queries whose best positive is at place r, mixed over the numbers of positives
    best_at = sum(w * _best_place(int(p), gallery_size) for p, w in zip(counts, weights, strict=True))
    reached = np.minimum(np.cumsum(best_at), 1.0)
    # Rounding must not move the median of an even gallery from N/2 + 1/2 to N/2 + 1.
    lower, upper = (int(np.argmax(reached > 0.5 + slack)) + 1 for slack in (-1e-9, 1e-9))
    return Chance(
        recall_at_1=float(reached[0]),
        recall_at_5=float(reached[min(5, gallery_size) - 1]),
        recall_at_10=float(reached[min(10, gallery_size) - 1]),
        median_rank=(lower + upper) / 2,
        mean_rank=float((best_at * places).sum()),
        mrr=float((best_at / places).sum()),
        map_at_10=float(sum(w * _precision(int(p), gallery_size) for p, w in zip(counts, weights, strict=True))),
    )


def _best_place(num_positives: int, gallery_size: int) -> npt.NDArray[np.float64]:
    """Probability ``[N]`` that the best positive is at place 1, 2 ...: so many negatives in a row, then a positive."""
    probability = np.zeros(gallery_size)
    nothing_yet = 1.0
    for place in range(gallery_size):
        hit = min(1.0, num_positives / (gallery_size - place))
        probability[place] = nothing_yet * hit
        nothing_yet *= 1.0 - hit
    return probability


def _precision(num_positives: int, gallery_size: int) -> float:
    """Expected average precision at 10: a positive at place r has (r - 1)(P - 1)/(N - 1) others before it."""
    places = np.arange(1, min(_DEPTH, gallery_size) + 1)
    others = (places - 1) * (num_positives - 1) / max(1, gallery_size - 1)
    return float((num_positives / gallery_size * (1 + others) / places).sum() / min(num_positives, _DEPTH))
