"""Letters for sections: equal letters are the same music returning.

Shapes: N bars, D features, S sections.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from tasks.structure.bar_features import STREAM_WEIGHTS, BarFeatures, squared_distances

SAME_LETTER = 0.6
"""Sections whose mean distance is below this are the same music."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """One letter per section, in order of first appearance."""

    names: tuple[str, ...]
    confidences: tuple[float, ...]


def name_sections(features: BarFeatures, borders: tuple[int, ...]) -> Letters:
    """Average-link clustering of the sections between the borders (Sokal and Michener 1958)."""
    distances_SS = section_distances(features, borders)
    if len(borders) == 2:
        return Letters(names=("A",), confidences=(1.0,))
    tree = linkage(squareform(distances_SS, checks=False), method="average")
    cluster_S = fcluster(tree, SAME_LETTER, criterion="distance")
    order = list(dict.fromkeys(cluster_S.tolist()))
    names = tuple(letter_name(order.index(cluster)) for cluster in cluster_S.tolist())
    return Letters(names=names, confidences=tuple(float(c) for c in separations(distances_SS, cluster_S)))


def section_distances(features: BarFeatures, borders: tuple[int, ...]) -> Reals:
    """Distance between sections ``[S, S]``: timbre and rhythm by their means, harmony bar by bar from the start."""
    spans = list(pairwise(borders))
    timbre = squared_distances(np.stack([features.timbre_ND[a:b].mean(axis=0) for a, b in spans]))
    rhythm = squared_distances(np.stack([features.rhythm_ND[a:b].mean(axis=0) for a, b in spans]))
    harmony = np.zeros_like(timbre)
    for i, (a, b) in enumerate(spans):
        for j, (c, d) in enumerate(spans[:i]):
            shared = min(b - a, d - c)
            gap = features.harmony_ND[a : a + shared] - features.harmony_ND[c : c + shared]
            harmony[i, j] = harmony[j, i] = np.sum(np.square(gap), axis=1).mean()
    weighted = zip(STREAM_WEIGHTS, (timbre, harmony, rhythm), strict=True)
    distances = np.sqrt(np.sum([weight * squared for weight, squared in weighted], axis=0))
    np.fill_diagonal(distances, 0.0)
    return distances


def separations(distances_SS: Reals, cluster_S: NDArray[np.int64]) -> Reals:
    """How much nearer each section ``[S]`` is to its own letter than to the next one, 0..1.

    The bound between letters is the unit: a section alone with its letter counts as lying at the
    bound to it, and nothing counts as further away than twice the bound.
    """
    same_SS = cluster_S[:, None] == cluster_S[None, :]
    own, other = np.full(len(cluster_S), SAME_LETTER), np.full(len(cluster_S), 2 * SAME_LETTER)
    for section, is_same in enumerate(same_SS):
        mates = is_same & (np.arange(len(cluster_S)) != section)
        if mates.any():
            own[section] = distances_SS[section, mates].mean()
        means = [distances_SS[section, cluster_S == cluster].mean() for cluster in set(cluster_S[~is_same].tolist())]
        other[section] = min(means, default=2 * SAME_LETTER)
    return np.clip((np.minimum(other, 2 * SAME_LETTER) - own) / SAME_LETTER, 0, 1)


def letter_name(index: int) -> str:
    """``A .. Z``, then ``AA``, ``AB`` ..."""
    name = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        name = chr(ord("A") + rest) + name
    return name
