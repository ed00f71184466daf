"""Late interaction: every part of a text looks for its own clips.

After ColBERT (Khattab and Zaharia 2020, arXiv:2004.12832), which takes the best match of each token
and sums; here the best is soft, with a learned sharpness, and the mean over parts keeps scores in -1..1.

Shapes: J tracks, K clips, Q queries (here: parts of texts).
"""

from __future__ import annotations

from torch import Tensor

from collap_model.fusion.attention import attention_weights
from collap_model.fusion.tiles import Tile

__all__ = ["token_scores", "token_weights"]


def token_scores(tile: Tile, tau: Tensor) -> Tensor:
    """Each part's mean cosine over the clips it attends to, ``[J, Q]``."""
    products_JKQ = tile.products_JKQ()
    return (tile.softmax_JKQ(tau * products_JKQ) * products_JKQ).sum(1)


token_weights = attention_weights
