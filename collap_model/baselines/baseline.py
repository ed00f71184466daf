"""What a published model must do to be measured: windows of sound and texts become vectors of one space.

Shapes: T samples, N windows, I texts, D joint width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = ["Baseline", "Samples", "cut_texts", "repeated", "weights_sha256"]

Samples = npt.NDArray[np.float32]


class Baseline(Protocol):
    """A frozen model with two towers. The same input gives the same vector, whatever is beside it."""

    name: str
    """As in ``open_baseline``."""
    version: str
    """Of the program and of the weights that are loaded."""
    sample_rate_hz: int
    window_samples: int
    """What the model hears at once: the length it was trained on."""
    filling: str
    """For people: how a window that is not full is filled."""
    max_tokens: int
    """Of a text; what is longer is cut there."""

    def embed_audio(self, windows: Sequence[Samples]) -> Tensor:
        """Vectors ``[N, D]`` of mono windows ``[T]``, each of 1 to ``window_samples`` samples with full scale 1."""

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Vectors ``[I, D]``; of a text that is too long, its beginning."""

    def num_tokens(self, text: str) -> int:
        """Of the whole text, special tokens included."""


def repeated(samples_T: Samples, num_samples: int) -> Samples:
    """A short sound again and again until the window is full, as MS-CLAP's own code does."""
    return np.resize(samples_T, num_samples)


def cut_texts(baseline: Baseline, texts: Sequence[str]) -> int:
    """How many of the texts the model does not read whole."""
    return sum(baseline.num_tokens(text) > baseline.max_tokens for text in texts)


def weights_sha256(network: nn.Module) -> str:
    """Hash of all weights and buffers by name, so that a report says what was loaded, whatever the file was called."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
