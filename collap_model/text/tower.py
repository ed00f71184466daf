"""What every text tower offers, so that the model and the trainer know no tower by name.

Shapes: I texts, L tokens, W tower width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from collap_model.text.tokens import TokenBatch

__all__ = ["TextTower"]


class TextTower(nn.Module, ABC):
    """Trainable text encoder with its tokenizer. ``forward(ids_IL, mask_IL) -> text_IW``."""

    width: int
    """Of the vectors it gives."""
    max_tokens: int
    """Longer texts are cut; ``tokenize`` counts them."""

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        """Right-padded ids of the texts."""

    @abstractmethod
    def forward(self, ids_IL: Tensor, mask_IL: Tensor) -> Tensor: ...

    @abstractmethod
    def save_form(self, folder: Path) -> None:
        """Write everything but the weights (form and tokenizer) into an existing folder."""

    @classmethod
    @abstractmethod
    def from_form(cls, folder: Path) -> TextTower:
        """The tower ``save_form`` described, weights not yet loaded."""
