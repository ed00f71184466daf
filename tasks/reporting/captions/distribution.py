"""The distribution of a number over tracks or sections, small enough for a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Moments, quantiles and a histogram in fixed bins, so that the pictures of two builds compare. 0 where empty."""

    count: int
    mean: float
    std: float
    minimum: float
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    maximum: float
    bin_width: float
    """The first bin starts at 0."""
    bins: tuple[int, ...]
    """Values per bin; the last one holds everything from its lower edge on."""


def distribution(values: Sequence[float], bin_width: float, num_bins: int) -> Distribution:
    """The distribution of values that are not negative."""
    values_N = np.asarray(values, np.float64)
    bins = np.minimum(values_N // bin_width, num_bins - 1).astype(np.int64)
    quantiles = np.quantile(values_N, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]) if len(values_N) else np.zeros(7)
    minimum, p5, p25, median, p75, p95, maximum = (round(float(value), 4) for value in quantiles)
    return Distribution(
        count=len(values_N),
        mean=round(float(values_N.mean()), 4) if len(values_N) else 0.0,
        std=round(float(values_N.std()), 4) if len(values_N) else 0.0,
        minimum=minimum,
        p5=p5,
        p25=p25,
        median=median,
        p75=p75,
        p95=p95,
        maximum=maximum,
        bin_width=bin_width,
        bins=tuple(int(count) for count in np.bincount(bins, minlength=num_bins)),
    )
