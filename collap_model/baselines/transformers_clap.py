"""LAION-CLAP as transformers has it: any ``ClapModel`` (arXiv 2211.06687).

Shapes: T samples, N windows, I texts, D joint width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import transformers
from torch import Tensor
from transformers import ClapModel, ClapProcessor

from collap_model.baselines.baseline import Samples, weights_sha256
from collap_model.encoders.pretrained import load_form, load_network

__all__ = ["TransformersClap"]

_TEXTS_AT_ONCE = 64


class TransformersClap:
    """From a folder of ``save_pretrained`` or a hub name."""

    name = "clap"
    filling = "repeated as often as it fits, then silence"

    def __init__(self, weights: str, device: torch.device) -> None:
        """Raises ``ValueError`` where there is no ``ClapModel``, one without all its weights, or no processor."""
        load_form(weights, "clap")
        self.network = load_network(ClapModel, weights).eval().to(device)
        try:
            processor = ClapProcessor.from_pretrained(weights)
        except (OSError, ValueError) as error:
            raise ValueError(f"{weights} holds no processor of a CLAP model: {error}") from error
        self.hearer, self.tokenizer = processor.feature_extractor, processor.tokenizer
        self.version = f"transformers {transformers.__version__}, weights {weights_sha256(self.network)[:16]}"
        self.sample_rate_hz: int = self.hearer.sampling_rate
        self.window_samples: int = self.hearer.nb_max_samples
        # RoBERTa counts positions from the padding id on, so two of them are never used.
        positions: int = self.network.config.text_config.max_position_embeddings - self.tokenizer.pad_token_id - 1
        self.max_tokens = min(positions, self.tokenizer.model_max_length)

    @torch.inference_mode()
    def embed_audio(self, windows: Sequence[Samples]) -> Tensor:
        """As the protocol says. A window is never longer than the model's, so nothing is cropped at random."""
        inputs = self.hearer(list(windows), sampling_rate=self.sample_rate_hz, return_tensors="pt")
        # Where no sound is long, the extractor of a fused checkpoint calls one of the batch, drawn at random, long.
        is_longer = torch.zeros_like(inputs["is_longer"])
        device = self.network.device
        return _pooled(self.network.get_audio_features(inputs["input_features"].to(device), is_longer.to(device)))

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """As the protocol says; transformers' own example does not cut and fails on what is longer."""
        read = []
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            tokens = self.tokenizer(
                list(texts[first : first + _TEXTS_AT_ONCE]),
                padding=True,
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="pt",
            ).to(self.network.device)
            read.append(_pooled(self.network.get_text_features(tokens["input_ids"], tokens["attention_mask"])))
        return torch.cat(read)

    def num_tokens(self, text: str) -> int:
        """As the protocol says."""
        return len(self.tokenizer(text)["input_ids"])


def _pooled(outputs: object) -> Tensor:
    vectors: Tensor = outputs.pooler_output  # type: ignore[attr-defined]
    return vectors
