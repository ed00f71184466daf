"""MuQ-MuLan through its own package (``pip install muq``; arXiv 2501.01108). The weights are CC BY-NC 4.0.

Its text tower averages over padding, so the vector of a text depends on the texts beside it: here each is read alone.
It does not cut and fails on what is longer than XLM-RoBERTa reads: here such a text is cut where that ends.
It was written for transformers 4, whose conformer handed out its layers; version 5 must be made to. Read at 0.1.0.

Shapes: T samples, N windows, I texts, D joint width.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

from collap_model.baselines.baseline import Samples, repeated, weights_sha256
from collap_model.baselines.foreign import foreign

__all__ = ["MuQMuLanModel"]


class MuQMuLanModel:
    """From a folder of ``save_pretrained`` or a hub name such as ``OpenMuQ/MuQ-MuLan-large``."""

    name = "muq-mulan"
    filling = "repeated until it is full"

    def __init__(self, weights: str, device: torch.device) -> None:
        """Raises ``ValueError`` without the package or the weights."""
        package = foreign("muq", "muq")
        try:
            model = package.MuQMuLan.from_pretrained(weights)
        except (OSError, RuntimeError, TypeError) as error:
            raise ValueError(f"cannot load a MuQ-MuLan from {weights}: {error}") from error
        _let_layers_be_seen(model.mulan_module.audio.model.model.conformer)
        self.model: Any = model.eval().to(device)
        self.device = device
        self.tokenizer = self.model.mulan_module.text.tokenizer
        self.sample_rate_hz: int = self.model.sr
        self.window_samples: int = self.model.sr * self.model.clip_secs
        text_form = self.model.mulan_module.text.model.config
        # XLM-RoBERTa counts positions from the padding id on.
        self.max_tokens: int = text_form.max_position_embeddings - text_form.pad_token_id - 1
        self.version = f"muq {version('muq')}, weights {weights_sha256(self.model)[:16]}"

    @torch.inference_mode()
    def embed_audio(self, windows: Sequence[Samples]) -> Tensor:
        """As the protocol says."""
        batch_NT = np.stack([repeated(window_T, self.window_samples) for window_T in windows])
        vectors_ND: Tensor = self.model(wavs=torch.from_numpy(batch_NT).to(self.device))
        return vectors_ND

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """As the protocol says."""
        return torch.cat([self.model(texts=[self._cut(text)]) for text in texts])

    def num_tokens(self, text: str) -> int:
        """As the protocol says."""
        return len(self.tokenizer(text)["input_ids"])

    def _cut(self, text: str) -> str:
        """The package takes text only, so it is cut between the characters of two tokens."""
        num_kept = self.max_tokens
        while self.num_tokens(text) > self.max_tokens:  # what is left may be split into other, more tokens
            kept = self.tokenizer(text, truncation=True, max_length=num_kept, return_offsets_mapping=True)
            text = text[: max(end for _, end in kept["offset_mapping"])]
            num_kept -= 1
        return text


def _let_layers_be_seen(conformer: Any) -> None:
    """Hand out ``hidden_states`` as transformers 4 did: what goes into each layer, and the output."""
    conformer.config._attn_implementation = "eager"  # a bare dictionary, which does not say it
    states: list[Tensor] = []

    def keep(_layer: Any, given: tuple[Tensor, ...]) -> None:
        states.append(given[0])

    def hand_out(_conformer: Any, _given: Any, found: Any) -> BaseModelOutput:
        seen = (*states, found.last_hidden_state)
        states.clear()
        return BaseModelOutput(last_hidden_state=found.last_hidden_state, hidden_states=seen)

    for layer in conformer.layers:
        layer.register_forward_pre_hook(keep)
    conformer.register_forward_hook(hand_out)
