"""How the clips of a track combine into one score against a text: mean, max or text-conditioned attention.

Shapes: I texts, J tracks, K clips, D joint dim. Inputs are unit vectors; ``mask_JK`` is True on
real clips, every track has at least one, and padded clips are zero.
No ``[I, J, D]`` tensor is built: with g = text . clip, the attended track a = sum_k w_k clip_k
enters a cosine only through its product with the text, sum_k w_k g_k, and its squared length,
w' G w with the Gram matrix G of the track's clips.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["attention_scores", "max_scores", "mean_scores", "mean_tracks"]

_TINY = 1e-12
"""Guards the length of clips that cancel out."""


def mean_tracks(clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
    """Unit mean over real clips, ``[J, D]``: the whole track's direction."""
    total_JD = (clips_JKD * mask_JK.unsqueeze(-1)).sum(1)
    return total_JD / total_JD.square().sum(-1, keepdim=True).clamp_min(_TINY).sqrt()


def mean_scores(text_ID: Tensor, clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
    """Cosine of each text with each track's mean clip, ``[I, J]``."""
    return text_ID @ mean_tracks(clips_JKD, mask_JK).T


def max_scores(text_ID: Tensor, clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
    """Cosine of each text with the best clip of each track, ``[I, J]``."""
    return _products(text_ID, clips_JKD).masked_fill(~mask_JK, -torch.inf).amax(-1)


def attention_scores(text_ID: Tensor, clips_JKD: Tensor, mask_JK: Tensor, gram_JKK: Tensor, tau: Tensor) -> Tensor:
    """Cosine of each text with the track as that text attends to it, ``[I, J]``; ``tau`` is the sharpness."""
    products_IJK = _products(text_ID, clips_JKD)
    weights_IJK = (tau * products_IJK).masked_fill(~mask_JK, -torch.inf).softmax(-1)
    # [J, I, K] @ [J, K, K]: a batched product over tracks
    attended_IJK = (weights_IJK.transpose(0, 1) @ gram_JKK).transpose(0, 1)
    square_IJ = (attended_IJK * weights_IJK).sum(-1)
    return (weights_IJK * products_IJK).sum(-1) / square_IJ.clamp_min(_TINY).sqrt()


def _products(text_ID: Tensor, clips_JKD: Tensor) -> Tensor:
    """Every text against every clip, ``[I, J, K]``, as one matrix product."""
    return (text_ID @ clips_JKD.flatten(0, 1).T).unflatten(1, clips_JKD.shape[:2])
