"""A learned positive number that stays between two bounds and can always turn back from them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["BoundedScale"]


class BoundedScale(nn.Module):
    """``forward() -> scalar`` in ``low..high``, moving on a logarithmic scale.

    A clamp would have no gradient beyond its bound; the sigmoid used here has one everywhere.
    """

    def __init__(self, low: float, high: float, *, init: float) -> None:
        """Raises ``ValueError`` unless ``0 < low < init < high``."""
        super().__init__()
        if not 0.0 < low < init < high:
            raise ValueError(f"need 0 < low < init < high, got low {low}, init {init}, high {high}")
        self.log_low = math.log(low)
        self.log_range = math.log(high) - self.log_low
        share = (math.log(init) - self.log_low) / self.log_range
        self.logit = nn.Parameter(torch.tensor(math.log(share / (1.0 - share))))

    def forward(self) -> Tensor:
        return (self.log_low + self.log_range * self.logit.sigmoid()).exp()
