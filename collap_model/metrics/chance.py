"""What guessing gives: expectations of the retrieval metrics under a random order of the gallery.

A random order is a tie of everything, so the means are those of one level that holds the whole gallery
(see ``figures``). A query has P positives among N items; P may differ between queries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collap_model.metrics.figures import FIGURES, best_place, query_figures
from collap_model.metrics.levels import Levels

__all__ = ["Chance", "chance_level"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """One expected figure per metric of ``RankMetrics``."""

    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    median_rank: float
    mean_rank: float
    mrr: float
    map_at_10: float
    ndcg_at_10: float


def chance_level(num_positives_Q: npt.NDArray[np.integer], gallery_size: int) -> Chance:
    """Expected figures; the median is that of the ranks of all queries together."""
    counts, weights = np.unique(num_positives_Q, return_counts=True)
    weights = weights / weights.sum()
    queries = np.arange(len(counts))
    everything = Levels(
        query_L=queries,
        before_L=np.zeros_like(queries),
        found_L=np.zeros_like(queries),
        positives_L=counts.astype(np.int64),
        size_L=np.full_like(queries, gallery_size),
    )
    means_F = weights @ query_figures(everything, queries, gallery_size).values_QF
    means = dict(zip(FIGURES, means_F.tolist(), strict=True))
    # Share of queries whose best positive is at place r or before, mixed over the numbers of positives
    best_at = np.zeros(gallery_size)
    for count, weight in zip(counts.tolist(), weights.tolist(), strict=True):
        best_at[: gallery_size - count + 1] += weight * best_place(count, gallery_size)
    reached = np.cumsum(best_at)
    # Rounding must not move the median of an even gallery from N/2 + 1/2 to N/2 + 1.
    lower, upper = (int(np.argmax(reached > 0.5 + slack)) + 1 for slack in (-1e-9, 1e-9))
    return Chance(median_rank=(lower + upper) / 2, mean_rank=means.pop("rank"), **means)
