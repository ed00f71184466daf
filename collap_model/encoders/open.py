"""From the settings of a dataset's spec to the encoder itself."""

from __future__ import annotations

from pathlib import Path

import torch

from collap_model.encoders.encoder import AudioEncoder
from collap_model.encoders.windowed import Precision
from data_specs.spec import BeatsEncoding, EncoderSettings, MertEncoding, SpectralEncoding, WhisperEncoding

__all__ = ["open_encoder"]


def open_encoder(settings: EncoderSettings, precision: Precision, device: str | torch.device) -> AudioEncoder:
    """Load an encoder with its weights onto ``device``; the weight-free one computes on the CPU in any case.

    Raises:
        ValueError: a checkpoint that is missing, truncated or of another architecture.
    """
    # Each imports its own network: what is not asked for is not loaded.
    match settings:
        case SpectralEncoding():
            from collap_model.encoders.spectral import SpectralEncoder

            return SpectralEncoder()
        case BeatsEncoding():
            from collap_model.encoders.beats import BeatsEncoder

            return BeatsEncoder.load(Path(settings.weights), precision=precision).to(device)
        case WhisperEncoding():
            from collap_model.encoders.whisper import WhisperEncoder

            return WhisperEncoder.load(settings.model, precision=precision).to(device)
        case MertEncoding():
            from collap_model.encoders.mert import MertEncoder

            return MertEncoder.load(settings.model, precision=precision).to(device)
