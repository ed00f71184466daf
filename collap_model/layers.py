"""The trainable head over frozen audio features.

Shapes: E encoder dim (all encoders side by side), D joint dim; ``...`` any leading axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["AudioHead", "Residual"]


class Residual(nn.Module):
    """``x + MLP(norm(x))``, width kept."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.layers(inputs)


class AudioHead(nn.Module):
    """Standardised features ``[..., E]`` to ``[..., D]``.

    Each encoder has a projection of its own and their sum goes on. That is one projection of the
    concatenation, as in SALMONN (arXiv 2310.13289) and CoLLAP, but begun so that every encoder
    weighs the same at first, whether it has 160 dimensions or 1280.
    """

    def __init__(self, encoder_dims: Sequence[int], dim: int, dropout: float) -> None:
        super().__init__()
        self.encoder_dims = list(encoder_dims)
        self.dropout = nn.Dropout(dropout)
        self.projections = nn.ModuleList(nn.Linear(width, dim) for width in encoder_dims)
        self.mix = nn.Sequential(Residual(dim, dropout), nn.LayerNorm(dim), nn.Linear(dim, dim, bias=False))

    def forward(self, features_E: Tensor) -> Tensor:
        parts = self.dropout(features_E).split(self.encoder_dims, dim=-1)
        projected = [layer(part) for layer, part in zip(self.projections, parts, strict=True)]
        # Over the root of their number, so that the sum varies as much as one would
        return self.mix(sum(projected[1:], start=projected[0]) / math.sqrt(len(projected)))
