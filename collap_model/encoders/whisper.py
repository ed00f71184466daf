"""The encoder half of Whisper (Radford et al. 2023, arXiv:2212.04356) through transformers.

Shapes: N windows, T samples, M mels, F = 1500 frames, E encoder dim.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor
from transformers.models.whisper.modeling_whisper import WhisperEncoder as WhisperNetwork

from collap_model.encoders.pretrained import load_form, load_network
from collap_model.encoders.windowed import Precision, WindowedEncoder
from collap_model.features.encoder_keys import ENCODER_VERSIONS
from collap_model.frontends import whisper_mel

__all__ = ["WhisperEncoder"]

_TOLD = ("encoder_attention_heads", "activation_function", "scale_embedding")
_OF_DECODER = [r"decoder\.", r"proj_out\."]


class WhisperEncoder(WindowedEncoder):
    """Windows of 30 s one after another, the last filled up with silence: the only length Whisper was trained on.

    The silence is heard, as in Whisper, which has no mask; frames beyond the sound are dropped.
    """

    name = "whisper"
    version = ENCODER_VERSIONS[name]
    window_seconds = 30.0
    frames_per_s = 50.0

    def __init__(
        self, network: WhisperNetwork, *, precision: Precision = "float32", windows_per_batch: int = 16
    ) -> None:
        super().__init__(precision=precision, windows_per_batch=windows_per_batch)
        positions = network.config.max_source_positions
        if 2 * positions != whisper_mel.NUM_FRAMES:
            raise ValueError(f"this Whisper hears {positions} frames; expected {whisper_mel.NUM_FRAMES // 2}, in 30 s")
        self.dim = network.config.d_model
        self.network = network.requires_grad_(False)
        # What changes vectors and is not to be seen in the weights is told too.
        shape = [(name, getattr(network.config, name)) for name in _TOLD]
        self.preprocessing = f"log-mel, silence to 30 s; {shape}"

    @classmethod
    def load(cls, model: str, *, precision: Precision = "float32", windows_per_batch: int = 16) -> Self:
        """Load ``openai/whisper-large-v2``, another name or a folder; the decoder is left where it is.

        Raises:
            ValueError: no such checkpoint, one of another architecture, or truncated or missing weights.
        """
        load_form(model, "whisper")
        network = load_network(_WithoutDecoder, model, key_mapping={r"^(model\.)?encoder\.": ""})
        return cls(network, precision=precision, windows_per_batch=windows_per_batch)

    def frames(self, windows_NT: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        mel_NMF = whisper_mel.log_mel(windows_NT, self.network.config.num_mel_bins)
        with self.autocast():
            frames_NFE = self.network(mel_NMF).last_hidden_state
        return frames_NFE, torch.full_like(lengths_N, frames_NFE.shape[1])


class _WithoutDecoder(WhisperNetwork):
    _keys_to_ignore_on_load_unexpected = _OF_DECODER
