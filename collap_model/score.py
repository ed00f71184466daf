"""The score of texts against tracks, the same in training and evaluation, always in float32.

Shapes: I texts, J tracks, K clips, D joint dim.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from collap_model.bounded import BoundedScale
from collap_model.choices import FusionName
from collap_model.fusion import attention_scores, max_scores, mean_scores

__all__ = ["FusionName", "Score"]


class Score(nn.Module):
    """``forward(text_ID, clips_JKD, mask_JK) -> scores_IJ``, cosines in -1..1.

    ``attention`` is the paper's: ``(1 - lam) cos(t, mean_k a_k) + lam cos(t, sum_k alpha_k a_k)``
    with ``alpha = softmax(tau t . a)`` over real clips; ``tau`` in 0.1..100 and ``lam`` in 0..1 are learned.
    ``mean`` and ``max`` have no parameters and stand beside it as ablations.

    Texts go in chunks: peak memory is ``texts_per_chunk * J * K`` floats forward and backward,
    because a chunk is computed again where its gradient is needed. Results do not depend on it.
    """

    def __init__(self, fusion: FusionName, *, texts_per_chunk: int = 128) -> None:
        super().__init__()
        if texts_per_chunk < 1:
            raise ValueError(f"texts_per_chunk must be >= 1, got {texts_per_chunk}")
        self.fusion = fusion
        self.texts_per_chunk = texts_per_chunk
        if fusion == "attention":
            self.tau = BoundedScale(0.1, 100.0, init=10.0)
            self.lam_logit = nn.Parameter(torch.tensor(0.0))

    @property
    def lam(self) -> Tensor:
        """Share of the attended track in the score, 0..1."""
        return self.lam_logit.sigmoid()

    def forward(self, text_ID: Tensor, clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
        with torch.autocast(text_ID.device.type, enabled=False):
            text_ID = text_ID.float()
            # Zero by selection, not by product: 0 * NaN is NaN, and so is its gradient.
            clips_JKD = clips_JKD.float().masked_fill(~mask_JK.unsqueeze(-1), 0.0)
            if self.fusion == "mean":
                return mean_scores(text_ID, clips_JKD, mask_JK)
            if self.fusion == "max":
                return self._chunked(max_scores, text_ID, clips_JKD, mask_JK)
            attended_IJ = self._chunked(
                attention_scores, text_ID, clips_JKD, mask_JK, clips_JKD @ clips_JKD.mT, self.tau()
            )
            return torch.lerp(mean_scores(text_ID, clips_JKD, mask_JK), attended_IJ, self.lam)

    def _chunked(self, scorer: Callable[..., Tensor], text_ID: Tensor, *rest: Tensor) -> Tensor:
        """``scorer`` over chunks of texts; with several chunks, activations are recomputed in backward."""
        chunks = text_ID.split(self.texts_per_chunk)
        if len(chunks) == 1 or not torch.is_grad_enabled():
            return torch.cat([scorer(chunk_ID, *rest) for chunk_ID in chunks])
        return torch.cat([checkpoint(scorer, chunk_ID, *rest, use_reentrant=False) for chunk_ID in chunks])
