"""Texts as the score sees them: a vector for the whole, and for some fusions vectors of its parts in order.

Shapes: I texts, P parts, D joint dim.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Texts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Unit vectors in float32."""

    text_ID: Tensor
    parts_IPD: Tensor | None = None
    """Tokens or runs of tokens, in order, zero where masked; None for fusions that look at the whole only."""
    parts_mask_IP: Tensor | None = None
    """True on real parts; every text has at least one."""

    def __len__(self) -> int:
        return len(self.text_ID)
