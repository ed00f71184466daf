"""What every text tower offers, so that the model and the trainer know no tower by name.

Shapes: I texts, L tokens, W tower width.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer
from torch import Tensor, nn

from collap_model.text.tokens import TokenBatch, token_batch

__all__ = ["TextStates", "TextTower", "check_architecture", "read_form"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStates:
    """What a tower makes of a batch of texts."""

    pooled_IW: Tensor
    """One vector for the whole text."""
    states_ILW: Tensor
    """One per token, finite but without meaning where the mask is False."""


class TextTower(nn.Module, ABC):
    """Trainable text encoder with its tokenizer."""

    architecture: ClassVar[str]
    """As ``model_type`` in a saved form: a folder of another is refused."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        width: int,
        max_tokens: int,
        pad_id: int,
        before: tuple[int, ...] = (),
        after: tuple[int, ...] = (),
    ) -> None:
        """``width`` W; ``before`` and ``after`` are the tokens that the tower reads around every text."""
        super().__init__()
        self.reader = tokenizer
        self.width = width
        self.max_tokens = max_tokens
        self.pad_id = pad_id
        self.before = before
        self.after = after

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        """Right-padded ids. A text of more than ``max_tokens`` is shortened as ``shorten`` says, and counted.

        Raises:
            ValueError: no texts, or one without a word; named by its index.
            TypeError: a text that is no string, or one string in place of a sequence of them.
        """
        return token_batch(
            self.reader,
            texts,
            pad_id=self.pad_id,
            max_tokens=self.max_tokens,
            before=self.before,
            after=self.after,
        )

    @abstractmethod
    def forward(self, ids_IL: Tensor, mask_IL: Tensor) -> TextStates:
        """Read right-padded ids, mask True on real tokens. A text reads the same alone and in a batch."""

    @abstractmethod
    def save_form(self, folder: Path) -> None:
        """Write everything but the weights (form and tokenizer) into an existing folder."""

    @classmethod
    @abstractmethod
    def from_form(cls, folder: Path) -> TextTower:
        """The tower ``save_form`` described, weights not yet loaded. Nothing is downloaded.

        Raises:
            ValueError: ``folder`` holds no form, or that of another architecture.
        """


def read_form(folder: Path) -> dict[str, Any]:
    """``config.json`` of a saved form.

    Raises:
        ValueError: there is none, or it is no JSON object.
    """
    try:
        form = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"no text tower in {folder}: config.json is missing") from error
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'} is not JSON: {error}") from error
    if not isinstance(form, dict):
        raise ValueError(f"{folder / 'config.json'} holds a {type(form).__name__}; expected an object")
    return form


def check_architecture(form: dict[str, Any], expected: str, source: str | Path) -> None:
    """Raise ``ValueError`` unless ``form`` is of the ``expected`` architecture: transformers only warns of it."""
    found = form.get("model_type")
    if found != expected:
        raise ValueError(f"{source} holds a text model of type {found!r}; this tower needs {expected!r}")
