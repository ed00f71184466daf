"""LAION-CLAP through its own package and a checkpoint file (``pip install laion_clap``; arXiv 2211.06687).

The package reads ``roberta-base`` from the hub's cache when it is opened. Read at 1.1.7.

Shapes: T samples, N windows, I texts, D joint width.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from collap_model.baselines.baseline import Samples, weights_sha256
from collap_model.baselines.foreign import foreign, load_checkpoint

__all__ = ["LaionClap"]

_TOWERS = {96: "HTSAT-tiny", 128: "HTSAT-base", 256: "HTSAT-large"}
"""By the width of the first layer, so that no name of a file decides."""
_TEXTS_AT_ONCE = 64
_PATCHES = "audio_branch.patch_embed.proj.weight"


class LaionClap:
    """From a published ``.pt``; which tower, and whether fused, is read from its weights."""

    name = "laion-clap"
    filling = "repeated as often as it fits, then silence"
    sample_rate_hz = 48_000
    window_samples = 480_000
    max_tokens = 77

    def __init__(self, weights: str, device: torch.device) -> None:
        """Raises ``ValueError`` without the package, or where the file is no checkpoint of it."""
        package = foreign("laion_clap", "laion_clap")
        state = {name.removeprefix("module."): value for name, value in load_checkpoint(weights, "state_dict").items()}
        # Made by an older transformers, which kept the numbers 0, 1, 2 ... as weights; the package drops them as well.
        state.pop("text_branch.embeddings.position_ids", None)
        width = len(state.get(_PATCHES, ()))
        if width not in _TOWERS:
            raise ValueError(f"{weights} is no checkpoint of LAION-CLAP with HTSAT: {_PATCHES} has {width} channels")
        is_fused = any(".mel_conv2d." in name for name in state)
        self.module: Any = package.CLAP_Module(enable_fusion=is_fused, device=str(device), amodel=_TOWERS[width])
        try:
            self.module.model.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"{weights} does not fit {_TOWERS[width]} of laion_clap: {error}") from error
        self.module.eval()
        self.version = f"laion_clap {version('laion_clap')}, weights {weights_sha256(self.module.model)[:16]}"

    @torch.inference_mode()
    def embed_audio(self, windows: Sequence[Samples]) -> Tensor:
        """As the protocol says. The package crops at random what is longer than its window; nothing here is."""
        vectors: Tensor = self.module.get_audio_embedding_from_data(
            [np.ascontiguousarray(window_T) for window_T in windows], use_tensor=False
        )
        return torch.as_tensor(vectors)

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """As the protocol says; cut at 77 tokens by the package."""
        groups = [list(texts[first : first + _TEXTS_AT_ONCE]) for first in range(0, len(texts), _TEXTS_AT_ONCE)]
        return torch.cat([self.module.get_text_embedding(group, use_tensor=True) for group in groups])

    def num_tokens(self, text: str) -> int:
        """As the protocol says."""
        return len(self.module.tokenize(text)["input_ids"])
