"""Symmetric InfoNCE over texts and tracks, exact on any number of processes.

Only texts are gathered: each process scores *all* texts against its own tracks, and the softmax
of a text over the tracks of all processes is a distributed log-sum-exp of B numbers. Clips, which
are K times larger, never travel.

Shapes: B pairs of the whole batch, N pairs of this process (B = N * world size).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from collap_model.distributed import World, all_max, sum_over_ranks

__all__ = ["LossReport", "symmetric_infonce"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossReport:
    """What a step says of itself; tensors, so that reading them is the caller's choice of moment."""

    loss: Tensor
    """Mean over the whole batch and both directions; ``ln(batch)`` where nothing was learned."""
    accuracy: Tensor
    """Share of this process's tracks whose own text scores best in the batch."""


def symmetric_infonce(
    scores_BN: Tensor, scale: Tensor, keys_BX: Tensor, world: World | None = None
) -> tuple[Tensor, LossReport]:
    """Loss of all texts of the batch against this process's tracks ``[B, N]``.

    Track n of rank r belongs to text ``r * N + n``. A text is no negative of a track it equally
    describes: pairs that share any of the X keys (``keys_BX``, of the whole
    batch: track, caption)
    are left out of both softmaxes.

    Returns this process's share of the loss: the sum over ranks is the loss, see ``distributed``.
    """
    world = world or World()
    num_pairs, num_local = scores_BN.shape
    if num_pairs != num_local * world.size:
        raise ValueError(f"{num_pairs} texts against {num_local} tracks on each of {world.size} processes")
    own_N = world.rank * num_local + torch.arange(num_local, device=scores_BN.device)
    columns_N = torch.arange(num_local, device=scores_BN.device)
    same_BN = (keys_BX.unsqueeze(1) == keys_BX[own_N].unsqueeze(0)).any(-1)
    same_BN[own_N, columns_N] = False

    logits_BN = (scale * scores_BN.float()).masked_fill(same_BN, -torch.inf)
    own_logit_N = logits_BN[own_N, columns_N]
    over_texts_N = logits_BN.logsumexp(0)
    highest_B = all_max(logits_BN.amax(1), world)
    over_tracks_B = sum_over_ranks((logits_BN - highest_B[:, None]).exp().sum(1), world).log() + highest_B
    over_tracks_N = over_tracks_B[own_N]

    share = (over_texts_N + over_tracks_N - 2.0 * own_logit_N).sum() / (2.0 * num_pairs)
    with torch.no_grad():
        accuracy = (logits_BN.argmax(0) == own_N).float().mean()
        loss = sum_over_ranks(share.detach(), world)
    return share, LossReport(loss=loss, accuracy=accuracy)
