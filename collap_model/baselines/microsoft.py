"""MS-CLAP 2023 through its own package and its weights (``pip install msclap``; arXiv 2309.05767).

The package reads ``gpt2`` from the hub's cache when it is opened. Its own readers take a window at a random place, lay
the channels of a stereo file end to end, and load weights that do not fit without a word: none of that is used here.
Read at 1.3.4.

Shapes: T samples, N windows, I texts, D joint width.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from collap_model.baselines.baseline import Samples, repeated, weights_sha256
from collap_model.baselines.foreign import foreign, load_checkpoint, numbers_allowed

__all__ = ["MicrosoftClap"]

_TEXTS_AT_ONCE = 64
_END = " <|endoftext|>"
"""What the package adds to a text of GPT-2; of a text that is too long it is cut off again."""


class MicrosoftClap:
    """From ``CLAP_weights_2023.pth``."""

    name = "ms-clap"
    filling = "repeated until it is full"

    def __init__(self, weights: str, device: torch.device) -> None:
        """Raises ``ValueError`` without the package, or where the file lacks a weight of the model."""
        package = foreign("msclap", "msclap")
        state = load_checkpoint(weights, "model")
        with numbers_allowed():
            wrapper = package.CLAP(model_fp=weights, version="2023", use_cuda=False)
        lacking = sorted({name for name, _ in wrapper.clap.named_parameters()} - set(state))
        if lacking:
            raise ValueError(f"{weights} lacks {len(lacking)} weights of MS-CLAP 2023, {lacking[0]} for one")
        self.network: Any = wrapper.clap.eval().to(device)
        self.tokenizer, self.device = wrapper.tokenizer, device
        self.sample_rate_hz: int = wrapper.args.sampling_rate
        self.window_samples: int = wrapper.args.sampling_rate * wrapper.args.duration
        self.max_tokens: int = wrapper.args.text_len
        self.version = f"msclap {version('msclap')}, weights {weights_sha256(self.network)[:16]}"

    @torch.inference_mode()
    def embed_audio(self, windows: Sequence[Samples]) -> Tensor:
        """As the protocol says."""
        batch_NT = np.stack([repeated(window_T, self.window_samples) for window_T in windows])
        vectors_ND: Tensor = self.network.audio_encoder(torch.from_numpy(batch_NT).to(self.device))[0]
        return vectors_ND

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """As the protocol says; the package's tokens, cut at 77."""
        read = []
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            tokens = self.tokenizer(
                [text + _END for text in texts[first : first + _TEXTS_AT_ONCE]],
                max_length=self.max_tokens,
                padding="max_length",
                truncation=True,
                return_tensors="pt",
            )
            wanted = {name: tokens[name].to(self.device) for name in ("input_ids", "attention_mask")}
            read.append(self.network.caption_encoder(wanted))
        return torch.cat(read)

    def num_tokens(self, text: str) -> int:
        """As the protocol says."""
        return len(self.tokenizer(text + _END)["input_ids"])
