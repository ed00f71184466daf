"""Retrieval metrics in both directions, with ties, several positives, intervals and chance.

Shapes: I texts, J tracks; Q queries (the texts, or the tracks) against a gallery of N.

Place of a positive: 1 + gallery items that score higher + half of those that score the same. An
untrained model whose scores are all equal then gets chance, not luck. Positives of one query do
not push each other down: the p-th best has p - 1 others before it and is counted against the
negatives alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from collap_model.chance import Chance, chance_level

__all__ = ["Measure", "RankMetrics", "RetrievalMetrics", "retrieval_metrics"]

Floats = npt.NDArray[np.float64]

_RESAMPLES = 1000
_DEPTH = 10
"""Of mAP@10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A figure, its 95 % bootstrap interval over queries, and what guessing gives on average."""

    value: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RankMetrics:
    """One direction. Recalls, MRR and mAP are shares 0..1 (higher is better); ranks count from 1."""

    num_queries: int
    gallery_size: int
    recall_at_1: Measure
    recall_at_5: Measure
    recall_at_10: Measure
    median_rank: Measure
    mean_rank: Measure
    mrr: Measure
    map_at_10: Measure
    tie_rate: float
    """Share of queries whose best positive scores exactly like some negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalMetrics:
    """Both directions."""

    text_to_track: RankMetrics
    track_to_text: RankMetrics


def retrieval_metrics(
    scores_IJ: npt.ArrayLike, relevant: Sequence[Sequence[int]], *, seed: int = 0
) -> RetrievalMetrics:
    """Measure ``scores_IJ`` where ``relevant[i]`` lists the tracks that text i describes.

    Every text needs a track and every track a text. ``seed`` draws the bootstrap.

    Raises:
        ValueError: scores that are not finite, or texts and tracks that do not fit ``relevant``.
    """
    scores = np.asarray(scores_IJ, dtype=np.float64)
    if scores.ndim != 2 or len(relevant) != len(scores):
        raise ValueError(f"{len(relevant)} lists of positives do not fit scores of shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinity")
    positive_IJ = np.zeros(scores.shape, dtype=bool)
    for text, tracks in enumerate(relevant):
        positive_IJ[text, list(tracks)] = True
    if not positive_IJ.any(1).all() or not positive_IJ.any(0).all():
        raise ValueError("every text needs at least one relevant track, and every track a text")
    return RetrievalMetrics(
        text_to_track=_one_direction(scores, positive_IJ, seed),
        track_to_text=_one_direction(scores.T, positive_IJ.T, seed),
    )


def _one_direction(scores_QN: Floats, positive_QN: npt.NDArray[np.bool_], seed: int) -> RankMetrics:
    ranks_Q, precisions_Q, ties_Q = np.array(
        [_rank_query(scores, positive) for scores, positive in zip(scores_QN, positive_QN, strict=True)]
    ).T
    chance = chance_level(positive_QN.sum(1), positive_QN.shape[1])
    per_query = {
        "recall_at_1": (ranks_Q <= 1).astype(float),
        "recall_at_5": (ranks_Q <= 5).astype(float),
        "recall_at_10": (ranks_Q <= 10).astype(float),
        "median_rank": ranks_Q,
        "mean_rank": ranks_Q,
        "mrr": 1.0 / ranks_Q,
        "map_at_10": precisions_Q,
    }
    assert per_query.keys() == {item.name for item in fields(Chance)}
    measures = {
        name: _measure(values, np.median if name == "median_rank" else np.mean, getattr(chance, name), seed)
        for name, values in per_query.items()
    }
    return RankMetrics(
        num_queries=len(ranks_Q), gallery_size=positive_QN.shape[1], tie_rate=float(ties_Q.mean()), **measures
    )


def _rank_query(scores_N: Floats, positive_N: npt.NDArray[np.bool_]) -> tuple[float, float, bool]:
    """Place of the best positive, average precision at 10, and whether the best positive is tied."""
    negatives = np.sort(scores_N[~positive_N])
    positives = np.sort(scores_N[positive_N])[::-1]
    below = np.searchsorted(negatives, positives, "left")
    not_above = np.searchsorted(negatives, positives, "right")
    order = np.arange(1, len(positives) + 1)
    places = order + (len(negatives) - not_above) + 0.5 * (not_above - below)
    precision = (order / places)[places <= _DEPTH].sum() / min(len(positives), _DEPTH)
    return float(places[0]), float(precision), bool(not_above[0] > below[0])


def _measure(values_Q: Floats, summary: Callable[..., np.floating], chance: float, seed: int) -> Measure:
    rng = np.random.default_rng(seed)
    resampled = [summary(values_Q[rng.integers(len(values_Q), size=len(values_Q))]) for _ in range(_RESAMPLES)]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Measure(value=float(summary(values_Q)), low=float(low), high=float(high), chance=chance)
