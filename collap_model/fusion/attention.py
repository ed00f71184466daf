"""Text-conditioned attention over time, the paper's fusion (CoLLAP, arXiv:2410.02271).

No ``[I, J, D]`` tensor of attended tracks is built: with g = text . clip, the attended track
a = sum_k w_k clip_k enters a cosine only through its product with the text, sum_k w_k g_k, and its
squared length, w' G w with the Gram matrix G of the track's clips.

Shapes: J tracks, K clips, Q queries (here: one per text).
"""

from __future__ import annotations

from torch import Tensor

from collap_model.fusion.mean import SMALLEST_SQUARE
from collap_model.fusion.tiles import Tile

__all__ = ["attention_scores", "attention_weights"]


def attention_scores(tile: Tile, tau: Tensor) -> Tensor:
    """Cosine of each text with the track as that text attends to it, ``[J, Q]``; ``tau`` is the sharpness."""
    products_JKQ = tile.products_JKQ()
    weights_JKQ = tile.softmax_JKQ(tau * products_JKQ)
    gram_JKK = tile.clips_JKD @ tile.clips_JKD.mT
    square_JQ = (weights_JKQ * (gram_JKK @ weights_JKQ)).sum(1)
    return (weights_JKQ * products_JKQ).sum(1) * square_JQ.clamp_min(SMALLEST_SQUARE).rsqrt()


def attention_weights(tile: Tile, tau: Tensor) -> Tensor:
    """``softmax(tau text . clip)`` over real clips, ``[J, K, Q]``."""
    return tile.softmax_JKQ(tau * tile.products_JKQ())
