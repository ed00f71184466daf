"""Late interaction that knows order. Ours: neither in the CoLLAP paper nor in ColBERT.

Long captions tell a song from beginning to end, so the parts of a true caption find their clips without ever going
back in time. An alignment gives each part a clip, no earlier than the clip of the part before; clips may be passed
over and may serve several parts, so nothing is presumed of pace. With g the cosines of parts and clips, and N the
number of alignments,

    in order = (logsumexp over alignments a of tau * sum_p g[p, a(p)]  -  log N) / (tau * P)

is a soft maximum of the mean cosine along an alignment: it lies between the mean over all of them and the best one.
It is the forward recursion of a left-to-right hidden Markov model (Rabiner 1989) with equal transitions, near of kin to
soft dynamic time warping (Cuturi and Blondel 2017, arXiv:1703.01541). A share of ``1 - strength`` is ``token``'s score,
because summaries and instruments fit anywhere.

Shapes: I texts, P parts of a text, J tracks, K clips, Q queries (here: the parts of all texts).
"""

from __future__ import annotations

import torch
from torch import Tensor

from collap_model.fusion.tiles import Tile
from collap_model.fusion.token import token_scores, token_weights

__all__ = ["ordered_scores", "ordered_weights"]

_NEVER = -1e9
"""For minus infinity, whose differences have no gradient."""


def ordered_scores(tile: Tile, tau: Tensor, strength: Tensor) -> Tensor:
    """``[J, I]``, between the smallest and the largest cosine of a text's parts with a track's clips."""
    in_order_JI = _log_sum_JI(tile, tau * tile.products_JKQ()) / (tau * tile.counts_I)
    return torch.lerp(token_scores(tile, tau), in_order_JI, strength)


def ordered_weights(tile: Tile, tau: Tensor, strength: Tensor) -> Tensor:
    """How likely each part is at each clip, ``[J, K, Q]``: over all alignments, weighted as the score weights them."""
    with torch.enable_grad():
        logits_JKQ = (tau * tile.products_JKQ()).detach().requires_grad_()
        # What a logit adds to the logarithm of a sum is the share of the sum that it takes part in.
        [likely_JKQ] = torch.autograd.grad(_log_sum_JI(tile, logits_JKQ).sum(), logits_JKQ)
    return torch.lerp(token_weights(tile, tau), likely_JKQ, strength)


def _log_sum_JI(tile: Tile, logits_JKQ: Tensor) -> Tensor:
    """Of the exponentials of all alignments, less the logarithm of how many there are."""
    logits_JKQ = logits_JKQ.masked_fill(~tile.mask_JK.unsqueeze(-1), _NEVER)
    starts_I = tile.counts_I.cumsum(0) - tile.counts_I
    # Of the parts so far: all alignments in which the last of them has its clip at k or before.
    so_far_JKI = logits_JKQ.new_zeros(*tile.mask_JK.shape, len(tile.counts_I))
    for part in range(int(tile.counts_I.max())):
        has_part_I = tile.counts_I > part
        logits_JKI = logits_JKQ[:, :, starts_I + part * has_part_I]
        so_far_JKI = torch.where(has_part_I, torch.logcumsumexp(logits_JKI + so_far_JKI, dim=1), so_far_JKI)
    return so_far_JKI[:, -1] - _log_number_JI(tile).to(logits_JKQ.dtype)


def _log_number_JI(tile: Tile) -> Tensor:
    """Of sequences of P clips out of K that never go back: ``(K + P - 1)! / (P! (K - 1)!)``."""
    clips_J1, parts_I = tile.mask_JK.sum(1, keepdim=True).double(), tile.counts_I.double()
    return torch.lgamma(clips_J1 + parts_I) - torch.lgamma(parts_I + 1) - torch.lgamma(clips_J1)
