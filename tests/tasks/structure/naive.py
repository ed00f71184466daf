"""Slow, obvious twins of the analyser's vectorised pieces."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.structure.sections import Lengths

Reals = NDArray[np.float64]


def novelty(similarity_NN: Reals, half: int) -> Reals:
    """Checkerboard novelty by a double loop over the bars around each border."""
    num_bars = len(similarity_NN)
    result = np.zeros(num_bars)
    for border in range(1, num_bars):
        sums, weights = {True: 0.0, False: 0.0}, {True: 0.0, False: 0.0}
        for i in range(max(border - half, 0), min(border + half, num_bars)):
            for j in range(max(border - half, 0), min(border + half, num_bars)):
                away = (i + 0.5 - border) ** 2 + (j + 0.5 - border) ** 2
                weight = np.exp(-0.5 * away / (0.5 * half) ** 2)
                same_side = (i < border) == (j < border)
                sums[same_side] += weight * similarity_NN[i, j]
                weights[same_side] += weight
        result[border] = sums[True] / weights[True] - sums[False] / weights[False]
    return result


def best_chain_score(local_F: Reals, period: float, tightness: float) -> float:
    """Value of the best chain, trying every subset of frames."""
    num_frames = len(local_F)
    shortest, longest = max(int(period / 2), 1), int(np.ceil(2 * period))
    last_stretch = num_frames - int(np.ceil(period))
    best = -np.inf
    for size in range(1, num_frames + 1):
        for chain in combinations(range(num_frames), size):
            steps = np.diff(chain)
            if chain[-1] < last_stretch or np.any(steps < shortest) or np.any(steps > longest):
                continue
            best = max(best, chain_score(local_F, np.array(chain), period, tightness))
    return best


def chain_score(local_F: Reals, chain: NDArray[np.int64], period: float, tightness: float) -> float:
    """What a chain of frames earns less what its steps cost."""
    return float(local_F[chain].sum() - tightness * np.square(np.log(np.diff(chain) / period)).sum())


def best_path_score(gain_WL: Reals, step_LL: Reals) -> float:
    """Value of the best path, by recursion over all of them."""

    def rest(w: int, state: int) -> float:
        if w == len(gain_WL) - 1:
            return float(gain_WL[w, state])
        return float(gain_WL[w, state]) + max(
            float(step_LL[state, to]) + rest(w + 1, to) for to in range(gain_WL.shape[1])
        )

    return max(rest(0, state) for state in range(gain_WL.shape[1]))


def path_score(gain_WL: Reals, step_LL: Reals, states: NDArray[np.int64]) -> float:
    """What a path of states earns."""
    return float(gain_WL[np.arange(len(states)), states].sum() + step_LL[states[:-1], states[1:]].sum())


def borders_score(borders: tuple[int, ...], gain_N: Reals, edges_s: Reals, worth: Lengths) -> float:
    """Value of a set of borders."""
    total = 0.0
    for a, b in pairwise(borders):
        total += worth.phrase_bonus * (((b - a) % 4 == 0) + ((b - a) % 8 == 0))
        total -= worth.short_cost * max(float(np.log(14.0 / (edges_s[b] - edges_s[a]))), 0.0)
    return total + float(gain_N[list(borders[1:-1])].sum())


def best_borders_score(gain_N: Reals, edges_s: Reals, min_section_s: float, fewest_bars: int, worth: Lengths) -> float:
    """The best value over every set of borders that keeps the shortest lengths."""
    num_bars = len(gain_N)
    best = -np.inf
    for size in range(num_bars):
        for inner in combinations(range(1, num_bars), size):
            borders = (0, *inner, num_bars)
            lengths_s = np.diff(edges_s[list(borders)])
            if size and (lengths_s.min() < min_section_s or np.diff(borders).min() < fewest_bars):
                continue
            best = max(best, borders_score(borders, gain_N, edges_s, worth))
    return best


def separations(distances_SS: Reals, letters: tuple[str, ...], bound: float) -> list[float]:
    """For each section: mean distance to the nearest other letter less that to its own, in units of the bound."""
    found = []
    for i, letter in enumerate(letters):
        own = [distances_SS[i, j] for j, other in enumerate(letters) if j != i and other == letter] or [bound]
        rest = [
            float(np.mean([distances_SS[i, j] for j, o in enumerate(letters) if o == other]))
            for other in set(letters) - {letter}
        ]
        nearest = min([*rest, 2 * bound])
        found.append(min(max((nearest - float(np.mean(own))) / bound, 0.0), 1.0))
    return found


def mean_between(values_F: Reals, rate_hz: float, start_s: float, end_s: float) -> float:
    """Mean by a fine grid of points."""
    points = np.linspace(start_s, end_s, 200_001)
    points = (points[1:] + points[:-1]) / 2
    return float(np.mean(values_F[np.clip(np.floor(points * rate_hz + 0.5).astype(int), 0, len(values_F) - 1)]))


def rises(log_mel_FM: Reals, lag: int) -> Reals:
    """SuperFlux by loops."""
    result = np.zeros_like(log_mel_FM)
    num_frames, num_bands = log_mel_FM.shape
    for frame in range(lag, num_frames):
        for band in range(num_bands):
            before = log_mel_FM[frame - lag, max(band - 1, 0) : band + 2].max()
            result[frame, band] = max(log_mel_FM[frame, band] - before, 0)
    return result
