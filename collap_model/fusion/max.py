"""Max fusion: a track is its clip nearest to the text.

Shapes: J tracks, K clips, Q queries.
"""

from __future__ import annotations

import torch
from torch import Tensor

from collap_model.fusion.tiles import Tile

__all__ = ["max_scores", "max_weights"]


def max_scores(tile: Tile) -> Tensor:
    """Cosine of each query with the best clip of each track, ``[J, Q]``."""
    return _hidden_JKQ(tile).amax(1)


def max_weights(tile: Tile) -> Tensor:
    """1 on the best clip, ``[J, K, Q]``."""
    hidden_JKQ = _hidden_JKQ(tile)
    return torch.zeros_like(hidden_JKQ).scatter_(1, hidden_JKQ.argmax(1, keepdim=True), 1.0)


def _hidden_JKQ(tile: Tile) -> Tensor:
    return tile.products_JKQ().masked_fill(~tile.mask_JK.unsqueeze(-1), -torch.inf)
