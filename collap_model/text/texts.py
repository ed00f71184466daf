"""Texts as the score sees them: a vector for the whole, and for some fusions vectors of its parts in order.

Shapes: I texts, P parts, D joint dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["Texts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Unit vectors in float32."""

    text_ID: Tensor
    parts_IPD: Tensor | None = None
    """Tokens or paragraphs, in order, zero where masked; None for fusions that look at the whole only."""
    parts_mask_IP: Tensor | None = None
    """True on real parts; every text has at least one."""

    def __len__(self) -> int:
        return len(self.text_ID)

    @classmethod
    def join(cls, texts: Sequence[Texts]) -> Texts:
        """All texts of several, parts padded to the most; either all have parts or none."""
        text_ID = torch.cat([item.text_ID for item in texts])
        parts = [item.parts_IPD for item in texts if item.parts_IPD is not None]
        masks = [item.parts_mask_IP for item in texts if item.parts_mask_IP is not None]
        if not parts:
            return cls(text_ID=text_ID)
        most = max(item.shape[1] for item in parts)
        return cls(
            text_ID=text_ID,
            parts_IPD=torch.cat([pad(item, (0, 0, 0, most - item.shape[1])) for item in parts]),
            parts_mask_IP=torch.cat([pad(item, (0, most - item.shape[1])) for item in masks]),
        )
