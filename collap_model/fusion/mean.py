"""Mean fusion: a track is the direction of the mean of its clips.

Shapes: I texts, J tracks, K clips, Q queries, D joint dim.
"""

from __future__ import annotations

from torch import Tensor

from collap_model.fusion.tiles import Tile

__all__ = ["SMALLEST_SQUARE", "mean_scores", "mean_weights"]

SMALLEST_SQUARE = 1e-12
"""Guards the length of clips that cancel out."""


def mean_scores(text_ID: Tensor, clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
    """Cosine of each text with each track's mean over real clips, ``[I, J]``."""
    # Zero by selection, not by product: 0 * NaN is NaN, and so is its gradient.
    total_JD = clips_JKD.masked_fill(~mask_JK.unsqueeze(-1), 0.0).sum(1)
    square_J1 = total_JD.square().sum(-1, keepdim=True)
    return text_ID @ (total_JD * square_J1.clamp_min(SMALLEST_SQUARE).rsqrt()).T


def mean_weights(tile: Tile) -> Tensor:
    """Equal for all real clips, ``[J, K, Q]``."""
    weights_JK = tile.mask_JK / tile.mask_JK.sum(1, keepdim=True)
    return weights_JK.unsqueeze(-1).expand(-1, -1, len(tile.queries_QD))
