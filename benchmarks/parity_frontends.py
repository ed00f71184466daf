"""The frontends against the code they follow. See ``parity``.

Shapes: N recordings, T samples at 16 kHz.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from collap_model.frontends.kaldi import beats_fbank, fbank
from collap_model.frontends.whisper_mel import log_mel

__all__ = ["filter_bank", "filter_bank_in_a_batch", "filter_bank_of_beats", "largest", "music", "whisper_mel"]


def music(num_recordings: int, duration_s: float) -> Tensor:
    """Chords of decaying partials over faint noise, ``[N, T]`` at 16 kHz: wide dynamics within a frame, as in music."""
    generator = torch.Generator().manual_seed(0)
    time_T = torch.arange(round(16_000 * duration_s)) / 16_000
    pitch_NP1 = 55.0 * 2.0 ** (torch.randint(0, 48, (num_recordings, 24, 1), generator=generator) / 12)
    decay_T = (-3.0 * (time_T % 0.5)).exp()
    tones_NT = torch.stack([(torch.sin(2 * math.pi * pitch_P1 * time_T) * decay_T).mean(0) for pitch_P1 in pitch_NP1])
    return tones_NT + 1e-4 * torch.randn(tones_NT.shape, generator=generator)


def largest(ours: Tensor, theirs: Tensor) -> float:
    """Difference of any two values in the same place."""
    if ours.shape != theirs.shape:
        raise ValueError(f"ours is {list(ours.shape)}, theirs {list(theirs.shape)}")
    return float((ours - theirs).abs().max())


def filter_bank() -> float:
    samples_NT = music(8, 10.0)
    return largest(fbank(samples_NT), _torchaudio(samples_NT))


def filter_bank_of_beats() -> float:
    samples_NT = music(8, 10.0)
    # As unilm's BEATs.preprocess has it.
    return largest(beats_fbank(samples_NT), (_torchaudio(samples_NT * 2**15) - 15.41663) / (2 * 6.55582))


def filter_bank_in_a_batch() -> float:
    samples_NT = music(4, 5.0)
    lengths_N = torch.tensor([80_000, 400, 31_337, 64_000])
    silent_NT = samples_NT * (torch.arange(80_000) < lengths_N[:, None])
    return largest(fbank(samples_NT, lengths_N), _torchaudio(silent_NT))


def whisper_mel(num_mels: int) -> float:
    from transformers import WhisperFeatureExtractor

    samples_NT = music(2, 30.0)
    extract = WhisperFeatureExtractor(feature_size=num_mels)
    theirs = extract(list(samples_NT.numpy()), sampling_rate=16_000, return_tensors="pt").input_features
    return largest(log_mel(samples_NT, num_mels), theirs)


def _torchaudio(samples_NT: Tensor) -> Tensor:
    from torchaudio.compliance import kaldi

    return torch.stack([kaldi.fbank(samples_T[None], num_mel_bins=128) for samples_T in samples_NT])
