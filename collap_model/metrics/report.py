"""Retrieval metrics in both directions, with ties, several positives, intervals and chance.

Shapes: I texts, J tracks; Q queries (the texts, or the tracks) against a gallery of N; F figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from collap_model.metrics.chance import chance_level
from collap_model.metrics.figures import Figures, query_figures
from collap_model.metrics.intervals import STATISTICS, groups, interval, statistics
from collap_model.metrics.levels import Levels, Pairing, TiledScores, count_levels

__all__ = ["Measure", "Measured", "RankMetrics", "RetrievalMetrics", "bounds", "measure", "retrieval_metrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A figure, its 95 % bootstrap interval, and what guessing gives on average."""

    value: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RankMetrics:
    """One direction. Recalls, MRR, mAP and nDCG are shares 0..1 (higher is better); ranks count from 1."""

    num_queries: int
    gallery_size: int
    num_groups: int
    """Groups of texts and tracks that belong together; intervals are over these."""
    recall_at_1: Measure
    recall_at_5: Measure
    recall_at_10: Measure
    median_rank: Measure
    mean_rank: Measure
    mrr: Measure
    map_at_10: Measure
    ndcg_at_10: Measure
    tie_rate: float
    """Share of queries whose best positive scores exactly like some negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalMetrics:
    """Both directions."""

    text_to_track: RankMetrics
    track_to_text: RankMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Metrics, and the figures of every query that they summarise."""

    metrics: RetrievalMetrics
    text_to_track: Figures
    track_to_text: Figures


def retrieval_metrics(
    scores_IJ: npt.ArrayLike, relevant: Sequence[Sequence[int]], *, seed: int = 0
) -> RetrievalMetrics:
    """Measure a matrix of scores, compared in the type they have; otherwise as ``measure``."""
    scores = np.asarray(scores_IJ)
    if scores.ndim != 2 or len(relevant) != len(scores):
        raise ValueError(f"{len(relevant)} lists of positives do not fit scores of shape {scores.shape}")
    return measure(TiledScores.of(torch.from_numpy(scores)), relevant, seed=seed).metrics


def measure(scores: TiledScores, relevant: Sequence[Sequence[int]], *, seed: int = 0) -> Measured:
    """Measure scores that come in tiles, where ``relevant[i]`` lists the tracks that text i describes.

    Every text needs a track and every track a text. ``seed`` draws the bootstrap. Memory is a few tiles, a few
    numbers for every pair in ``relevant`` and every query, and 32 draws of the bootstrap.

    Raises:
        ValueError: scores that are not finite, or texts and tracks that do not fit ``relevant``.
    """
    pairing = Pairing.of(relevant, scores.num_tracks)
    of_texts, of_tracks = count_levels(scores, pairing)
    text_groups, track_groups = groups(pairing)
    texts = query_figures(of_texts, text_groups, scores.num_tracks)
    tracks = query_figures(of_tracks, track_groups, scores.num_texts)
    metrics = RetrievalMetrics(
        text_to_track=_one_direction(of_texts, texts, seed), track_to_text=_one_direction(of_tracks, tracks, seed)
    )
    return Measured(metrics=metrics, text_to_track=texts, track_to_text=tracks)


def bounds(name: str, gallery_size: int) -> tuple[float, float]:
    """Between which values a statistic can lie at all."""
    return (1.0, float(gallery_size)) if name.endswith("_rank") else (0.0, 1.0)


def _one_direction(levels: Levels, figures: Figures, seed: int) -> RankMetrics:
    num_queries, num_groups = len(figures.group_Q), int(figures.group_Q.max()) + 1
    positives_Q = np.bincount(levels.query_L, levels.positives_L, num_queries).astype(np.int64)
    chance = chance_level(positives_Q, figures.gallery_size)
    value_S, drawn_RS = statistics(figures, seed=seed)
    measures = {}
    for number, name in enumerate(STATISTICS):
        low, high = interval(drawn_RS[:, number], num_groups, bounds(name, figures.gallery_size))
        measures[name] = Measure(value=float(value_S[number]), low=low, high=high, chance=getattr(chance, name))
    return RankMetrics(
        num_queries=num_queries,
        gallery_size=figures.gallery_size,
        num_groups=num_groups,
        tie_rate=float(figures.tied_Q.mean()),
        **measures,
    )
