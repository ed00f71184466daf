"""Retrieval metrics: ``report`` counts positions in tiles of scores, averages over ties and draws intervals."""

from __future__ import annotations

from collap_model.metrics.levels import TiledScores
from collap_model.metrics.report import (
    Measure,
    Measured,
    RankMetrics,
    RetrievalMetrics,
    measure,
    retrieval_metrics,
)

__all__ = ["Measure", "Measured", "RankMetrics", "RetrievalMetrics", "TiledScores", "measure", "retrieval_metrics"]
