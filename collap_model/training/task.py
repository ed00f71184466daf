"""One training step's work as a module: batch in, this process's share of the loss out.

DistributedDataParallel wraps this and not the model, so that everything with a gradient happens
inside its ``forward``.

Shapes: as ``loss``; J tracks and K clips of this process, D joint dim, E encoder dim.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from collap_model.model import CoLLAP
from collap_model.text import TokenBatch
from collap_model.text.texts import Texts
from collap_model.training.distributed import World, gather, gather_texts
from collap_model.training.loss import ContrastiveLoss, HardNegatives, LossReport
from collap_model.training.text_chunks import embed_in_chunks

__all__ = ["ContrastiveTask"]

_OWNERS_AT_ONCE = 16


class ContrastiveTask(nn.Module):
    """Embed, gather texts, score all texts against own tracks and hard negatives against theirs, take the loss."""

    def __init__(self, model: CoLLAP, loss: ContrastiveLoss, world: World, *, text_chunk: int = 0) -> None:
        """``text_chunk`` texts per pass of the tower, see ``text_chunks``; 0 takes all in one."""
        super().__init__()
        self.model = model
        self.loss = loss
        self.world = world
        self.text_chunk = text_chunk

    def forward(
        self, tokens: TokenBatch, owners_H: Tensor, clips_JKE: Tensor, mask_JK: Tensor, keys_JX: Tensor
    ) -> tuple[Tensor, LossReport]:
        """The share of the loss, see ``loss.symmetric_infonce``, and the report.

        Args:
            tokens: of the texts of the J tracks, then of the hard negatives of the tracks ``owners_H``.
        """
        num_tracks = len(mask_JK)
        texts = embed_in_chunks(self.model, tokens, self.text_chunk)
        clips_JKD = self.model.embed_clips(clips_JKE, mask_JK)
        scores_BJ = self.model.scorer(gather_texts(_rows(texts, slice(num_tracks)), self.world), clips_JKD, mask_JK)
        # A text cut before the exchange reads like the true one, and is no negative.
        differs_H = (tokens.ids_IL[num_tracks:] != tokens.ids_IL[owners_H]).any(1)
        hard = None
        if differs_H.any():
            owners_H = owners_H[differs_H]
            scores_H = self._own_scores(
                _rows(texts, num_tracks + differs_H.nonzero()[:, 0]), clips_JKD[owners_H], mask_JK[owners_H]
            )
            hard = HardNegatives(scores_H=scores_H, owners_H=owners_H)
        return self.loss(scores_BJ, self.model.scale(), gather(keys_JX, self.world), self.world, hard)

    def _own_scores(self, texts: Texts, clips_HKD: Tensor, mask_HK: Tensor) -> Tensor:
        """Of each text against its own track alone: the diagonals of small squares, not of a large one."""
        scores = []
        for first in range(0, len(texts), _OWNERS_AT_ONCE):
            few = slice(first, first + _OWNERS_AT_ONCE)
            scores.append(self.model.scorer(_rows(texts, few), clips_HKD[few], mask_HK[few]).diagonal())
        return torch.cat(scores)


def _rows(texts: Texts, rows: slice | Tensor) -> Texts:
    """Some of the texts."""
    return Texts(
        text_ID=texts.text_ID[rows],
        parts_IPD=None if texts.parts_IPD is None else texts.parts_IPD[rows],
        parts_mask_IP=None if texts.parts_mask_IP is None else texts.parts_mask_IP[rows],
    )
