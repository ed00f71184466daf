"""Late interaction that knows order. Ours: neither in the CoLLAP paper nor in ColBERT.

Long captions sum a song up and then tell it from beginning to end, a paragraph for a section. Of a text's P parts the
first has no place, and part p of the others stands at x = (p - 1/2) / (P - 1) of the song, p from 1; the k-th of a
track's K real clips stands at y = (k + 1/2) / K. Attention of the one to the other loses ``((x - y) / width)**2``, so a
part looks for its music about where it tells of it. A share of ``1 - strength`` of each part ignores places, because
instruments fit anywhere. With strength 0 this is ``token``. Sections are counted, not timed: ``width`` learns how
roughly their count tells when they are.

Alignments from left to right that presume no pace were tried in its stead. Sections return, so too many of those fit:
on embeddings of ``attention`` they told the order of 632 pairs of sections in 63 % of cases, places in 73 %.

Shapes: J tracks, K clips, Q queries (here: parts of texts).
"""

from __future__ import annotations

import torch
from torch import Tensor

from collap_model.fusion.tiles import Tile

__all__ = ["ordered_scores", "ordered_weights"]


def ordered_scores(tile: Tile, tau: Tensor, width: Tensor, strength: Tensor) -> Tensor:
    """Each part's mean cosine over the clips it attends to, ``[J, Q]``; ``width`` is in lengths of a track."""
    products_JKQ = tile.products_JKQ()
    return (_weights_JKQ(tile, products_JKQ, tau, width, strength) * products_JKQ).sum(1)


def ordered_weights(tile: Tile, tau: Tensor, width: Tensor, strength: Tensor) -> Tensor:
    """Over real clips, ``[J, K, Q]``."""
    return _weights_JKQ(tile, tile.products_JKQ(), tau, width, strength)


def _weights_JKQ(tile: Tile, products_JKQ: Tensor, tau: Tensor, width: Tensor, strength: Tensor) -> Tensor:
    logits_JKQ = tau * products_JKQ
    distance_JKQ = (tile.clips_at_JK.unsqueeze(-1) - tile.queries_at_Q).masked_fill(tile.queries_at_Q.isnan(), 0.0)
    near_JKQ = tile.softmax_JKQ(logits_JKQ - (distance_JKQ / width).square())
    # Two softmaxes, not one over mixed logits: at a high tau a single one would follow products alone, in any order.
    return torch.lerp(tile.softmax_JKQ(logits_JKQ), near_JKQ, strength)
