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

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

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
    log_sum_JI: Tensor = _LogSum.apply(logits_JKQ, tile.counts_I)
    return log_sum_JI - _log_number_JI(tile).to(logits_JKQ.dtype)


class _LogSum(torch.autograd.Function):
    """The forward recursion; its gradient is by the backward one. torch's ``logcumsumexp`` takes five times as long."""

    @staticmethod
    def forward(ctx: Any, logits_JKQ: Tensor, counts_I: Tensor) -> Tensor:
        # Of the parts so far: all alignments in which the last of them has its clip at k or before.
        so_far_JKI = logits_JKQ.new_zeros(*logits_JKQ.shape[:2], len(counts_I))
        before = []
        for query_I, has_part_I in _parts(counts_I):
            before.append(so_far_JKI)
            so_far_JKI = torch.where(has_part_I, _running(logits_JKQ[:, :, query_I] + so_far_JKI), so_far_JKI)
        ctx.save_for_backward(logits_JKQ, counts_I, *before, so_far_JKI)
        return so_far_JKI[:, -1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_JI: Tensor) -> tuple[Tensor, None]:
        logits_JKQ, counts_I, *before, all_JKI = ctx.saved_tensors
        # Of the parts still to come: all alignments in which the first of them has its clip at k or later.
        to_come_JKI = torch.zeros_like(all_JKI)
        grad_JKQ = torch.zeros_like(logits_JKQ)
        for (query_I, has_part_I), before_JKI in reversed(list(zip(_parts(counts_I), before, strict=True))):
            from_here_JKI = logits_JKQ[:, :, query_I] + to_come_JKI
            likely_JKI = (from_here_JKI + before_JKI - all_JKI[:, -1:]).exp()
            grad_JKQ[:, :, query_I[has_part_I]] = (likely_JKI * grad_JI.unsqueeze(1))[:, :, has_part_I]
            to_come_JKI = torch.where(has_part_I, _running(from_here_JKI, backwards=True), to_come_JKI)
        return grad_JKQ, None


def _parts(counts_I: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """First parts of all texts, second parts ...: which query it is, and whether the text has so many."""
    starts_I = counts_I.cumsum(0) - counts_I
    for part in range(int(counts_I.max())):
        has_part_I = counts_I > part
        yield starts_I + part * has_part_I, has_part_I


def _running(values_JKI: Tensor, *, backwards: bool = False) -> Tensor:
    """Logarithm of the sum of exponentials of all clips up to each, or from each on."""
    sums_JKI = values_JKI.clone()
    clips = range(values_JKI.shape[1])
    for last, clip in pairwise(reversed(clips) if backwards else clips):
        torch.logaddexp(sums_JKI[:, last], values_JKI[:, clip], out=sums_JKI[:, clip])
    return sums_JKI


def _log_number_JI(tile: Tile) -> Tensor:
    """Of sequences of P clips out of K that never go back: ``(K + P - 1)! / (P! (K - 1)!)``."""
    clips_J1, parts_I = tile.mask_JK.sum(1, keepdim=True).double(), tile.counts_I.double()
    return torch.lgamma(clips_J1 + parts_I) - torch.lgamma(parts_I + 1) - torch.lgamma(clips_J1)
