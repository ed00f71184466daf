"""Sections: bar-synchronous novelty and the best set of boundaries.

Novelty is the correlation of the self-similarity matrix with a checkerboard along its diagonal
(Foote, "Automatic audio segmentation using a measure of audio novelty", ICME 2000). Where the pulse
is clear, its kernels and the phrases are counted in bars; where it is not, bars are a guess, so
kernels are measured in seconds and short sections cost.

Shapes: N bars, S sections.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tasks.structure.bar_features import BarFeatures, similarity
from tasks.structure.letters import name_sections

KERNEL_BARS = (4, 8)
"""Half widths of the checkerboards under a clear pulse; the narrow one sees four-bar sections."""
KERNEL_S = (8.0, 16.0)
"""The same, at least, without a pulse."""
FEWEST_BARS = 3
"""Shorter parts are half a phrase or a last chord that rings, whatever they last in seconds."""
_UNCLEAR_PULSE, _CLEAR_PULSE = 0.3, 0.6
"""Confidence of the tempo up to which bars are a guess, and from which they are trusted."""
_THRESHOLD = 0.17
"""Novelty a boundary must have before its place in the phrase is considered."""
_PHRASE_BONUS = 0.05
"""For a section of a multiple of four bars, once more for eight: 72 % and 54 % of sections in the Harmonix set."""
_SHORT_COST, _SHORT_S = 0.5, 14.0
"""Without a pulse, per natural-log unit that a section is shorter than this."""
_CLEAR_CONTRAST = 0.35
"""Similarity inside sections less that across borders, at which a segmentation is certain."""
_CHANCE_NOVELTY, _CLEAR_NOVELTY = 0.05, 0.45
"""Novelty at the borders that noise gets, and at those between clearly different music."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """What the length of a section is worth."""

    phrase_bonus: float
    short_cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """Boundaries as bar indices and a letter for each section."""

    borders: tuple[int, ...]
    """``0 = first < ... < last = N``."""
    letters: tuple[str, ...]
    letter_confidences: tuple[float, ...]
    boundary_confidences: tuple[float, ...]
    """That something changes where each section begins; 1 for the first."""
    confidence: float


def segment(features: BarFeatures, edges_s: Reals, min_section_s: float, pulse_confidence: float) -> Segmentation:
    """Sections of a track from the features of its bars between ``edges_s[N + 1]``."""
    trust = float(np.clip((pulse_confidence - _UNCLEAR_PULSE) / (_CLEAR_PULSE - _UNCLEAR_PULSE), 0, 1))
    similarity_NN = similarity(features)
    curve_N = novelty_curve(similarity_NN, edges_s, trust)
    lengths = Lengths(phrase_bonus=trust * _PHRASE_BONUS, short_cost=(1 - trust) * _SHORT_COST)
    borders = choose_borders(curve_N - _THRESHOLD, edges_s, min_section_s, lengths)
    return _segmentation(features, similarity_NN, borders, _clearness(curve_N, borders))


def segment_at(features: BarFeatures, edges_s: Reals, borders: tuple[int, ...], hit_rate: float) -> Segmentation:
    """Sections whose borders another engine gave: letters and confidences are measured.

    The engine states no confidence, so its ``hit_rate`` stands for each border and what is measured
    there adds to it.
    """
    similarity_NN = similarity(features)
    measured = _clearness(novelty_curve(similarity_NN, edges_s, 0.0), borders)
    given = tuple(1 - (1 - hit_rate) * (1 - clear) for clear in measured)
    return _segmentation(features, similarity_NN, borders, given)


def _segmentation(
    features: BarFeatures, similarity_NN: Reals, borders: tuple[int, ...], clearness: tuple[float, ...]
) -> Segmentation:
    letters = name_sections(features, borders)
    return Segmentation(
        borders=borders,
        letters=letters.names,
        letter_confidences=letters.confidences,
        boundary_confidences=(1.0, *clearness[1:]),
        confidence=contrast(similarity_NN, borders),
    )


def _clearness(curve_N: Reals, borders: tuple[int, ...]) -> tuple[float, ...]:
    """Novelty where each section begins, as a share of what clear borders have."""
    share = (curve_N[list(borders[:-1])] - _CHANCE_NOVELTY) / (_CLEAR_NOVELTY - _CHANCE_NOVELTY)
    return tuple(float(clear) for clear in np.clip(share, 0, 1))


def novelty_curve(similarity_NN: Reals, edges_s: Reals, trust: float) -> Reals:
    """Mean novelty before each bar ``[N]`` over a narrow and a wide kernel.

    ``trust`` in the bars, 0..1, moves their half widths from seconds (0) to bars (1), evenly on a
    logarithmic scale. Narrower than in bars they never are.
    """
    bar_s = float(np.median(np.diff(edges_s)))
    halves = []
    for bars, seconds in zip(KERNEL_BARS, KERNEL_S, strict=True):
        wide = max(seconds / bar_s, bars)
        half = round(float(np.exp(trust * np.log(bars) + (1 - trust) * np.log(wide))))
        halves.append(min(half, max(len(similarity_NN), 1)))
    return np.mean([novelty(similarity_NN, half) for half in halves], axis=0)


def novelty(similarity_NN: Reals, half: int) -> Reals:
    """Checkerboard novelty before each bar ``[N]``: similarity within both sides less that across, -1..1.

    Bars are weighted by a Gaussian around the border. Near the ends only bars that exist count.
    """
    num_bars = len(similarity_NN)
    offset = np.arange(-half, half) + 0.5
    taper = np.exp(-0.5 * np.square(offset / (0.5 * half)))
    weight = np.outer(taper, taper)
    across = np.sign(offset)[:, None] != np.sign(offset)[None, :]
    padded = np.pad(similarity_NN, half)
    exists = np.pad(np.ones(num_bars), half)
    # Diagonal blocks: the window that starts at (b, b) of the padded matrix is centred before bar b.
    stride = padded.strides[0] + padded.strides[1]
    shape = (num_bars, 2 * half, 2 * half)
    blocks = np.lib.stride_tricks.as_strided(padded, shape, (stride, *padded.strides), writeable=False)
    present = sliding_window_view(exists, 2 * half)[:num_bars]
    result = np.zeros(num_bars)
    for mask, sign in ((~across, 1.0), (across, -1.0)):
        kernel = weight * mask
        num = np.einsum("nij,ij->n", blocks, kernel)
        den = np.einsum("ni,ij,nj->n", present, kernel, present)
        result += sign * num / np.maximum(den, 1e-9)
    result[0] = 0.0
    return result


def choose_borders(gain_N: Reals, edges_s: Reals, min_section_s: float, lengths: Lengths) -> tuple[int, ...]:
    """Borders ``0 .. N`` with the largest sum of gains and of what the sections' lengths are worth.

    No section is below 3 bars or the minimum length, unless the whole track is. Dynamic programming
    over the last border.
    """
    num_bars = len(gain_N)
    bars = np.arange(num_bars + 1)
    bonus = lengths.phrase_bonus * ((bars % 4 == 0) * 1.0 + (bars % 8 == 0) * 1.0)
    best = np.full(num_bars + 1, -np.inf)
    came_from = np.zeros(num_bars + 1, dtype=np.int64)
    best[0] = 0.0
    for end in range(1, num_bars + 1):
        latest = int(np.searchsorted(edges_s, edges_s[end] - min_section_s + 1e-6, side="right"))
        latest = min(latest, end - FEWEST_BARS + 1)
        if latest <= 0:
            continue
        short = np.maximum(np.log(_SHORT_S / (edges_s[end] - edges_s[:latest])), 0)
        options = best[:latest] + bonus[end - np.arange(latest)] - lengths.short_cost * short
        came_from[end] = int(np.argmax(options))
        best[end] = options[came_from[end]] + (gain_N[end] if end < num_bars else 0.0)
    borders = [num_bars]
    while borders[-1] > 0:
        borders.append(int(came_from[borders[-1]]))
    return tuple(borders[::-1])


def contrast(similarity_NN: Reals, borders: tuple[int, ...]) -> float:
    """How much more alike bars are inside sections than across their borders, 0..1; 0 for a single section.

    Over whole sections, not around the borders: those were chosen for being high, also in noise.
    """
    spans = list(pairwise(borders))
    gaps = []
    for (a, b), (_, c) in pairwise(spans):
        left, right = similarity_NN[a:b, a:b], similarity_NN[b:c, b:c]
        off_diagonal = left.sum() + right.sum() - (c - a)  # a bar equals itself, which says nothing
        pairs = left.size + right.size - (c - a)
        gaps.append(off_diagonal / max(pairs, 1) - similarity_NN[a:b, b:c].mean())
    return float(np.clip(np.mean(gaps) / _CLEAR_CONTRAST, 0, 1)) if gaps else 0.0
