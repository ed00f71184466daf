"""One training step's work as a module: batch in, this process's share of the loss out.

DistributedDataParallel wraps this and not the model, so that everything with a gradient happens
inside its ``forward``.
"""

from __future__ import annotations

from torch import Tensor, nn

from collap_model.distributed import World, gather
from collap_model.loss import LossReport, symmetric_infonce
from collap_model.model import CoLLAP
from collap_model.text import TokenBatch

__all__ = ["ContrastiveTask"]


class ContrastiveTask(nn.Module):
    """Embed, gather texts, score all texts against own tracks, InfoNCE."""

    def __init__(self, model: CoLLAP, world: World) -> None:
        super().__init__()
        self.model = model
        self.world = world

    def forward(
        self, tokens: TokenBatch, clips_JKE: Tensor, mask_JK: Tensor, keys_JX: Tensor
    ) -> tuple[Tensor, LossReport]:
        """The share of the loss, see ``loss.symmetric_infonce``, and the report."""
        text_BD = gather(self.model.embed_texts(tokens), self.world)
        scores_BN = self.model.score(text_BD, self.model.embed_clips(clips_JKE), mask_JK)
        return symmetric_infonce(scores_BN, self.model.scale(), gather(keys_JX, self.world), self.world)
