"""Kaldi's log-mel filter bank, which BEATs hears: 128 mels, frames of 25 ms every 10 ms, for a whole batch at once.

As ``torchaudio.compliance.kaldi.fbank`` with its defaults, which takes one recording at a time
(https://github.com/kaldi-asr/kaldi, src/feat/feature-fbank.cc). In order: frames that fit whole, each
less its mean, pre-emphasis of 0.97, Povey window, power spectrum of 512 points, triangles on the mel
scale, logarithm.

Shapes: N recordings, T samples at 16 kHz, F frames, M = ``NUM_MELS``.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from collap_model.frontends.batch import silent_after

__all__ = ["NUM_MELS", "beats_fbank", "fbank", "num_frames"]

NUM_MELS = 128

_RATE_HZ = 16_000
_FRAME, _SHIFT, _FFT = 400, 160, 512
_PREEMPHASIS = 0.97
_LOW_HZ, _HIGH_HZ = 20.0, 8_000.0
_FLOOR = torch.finfo(torch.float32).eps

# Of the released BEATs checkpoints: https://github.com/microsoft/unilm/blob/master/beats/BEATs.py
_BEATS_SCALE = 2.0**15
_BEATS_MEAN, _BEATS_STD = 15.41663, 6.55582


def num_frames(num_samples: int) -> int:
    """Frames that fit whole into a recording; none into less than 25 ms."""
    return max(0, 1 + (num_samples - _FRAME) // _SHIFT)


def fbank(samples_NT: Tensor, lengths_N: Tensor | None = None) -> Tensor:
    """``fbank_NFM`` in the dtype and on the device of the samples, with ``F = num_frames(T)``.

    The scale is the caller's: Kaldi thinks in 16-bit integers, and ``beats_fbank`` follows it.

    Args:
        samples_NT: mono, 16 kHz, float32 or float64.
        lengths_N: samples of each recording; silence is heard after them. Its own frames are the first
            ``num_frames(length)``; these do not depend on the company.

    Raises:
        ValueError: another shape or dtype.
    """
    samples_NT = silent_after(samples_NT, lengths_N)
    device, dtype = samples_NT.device, samples_NT.dtype
    if not num_frames(samples_NT.shape[1]):
        return samples_NT.new_zeros(len(samples_NT), 0, NUM_MELS)
    with torch.autocast(device.type, enabled=False):  # the product with the filters would round to bfloat16
        frames_NFT = samples_NT.unfold(1, _FRAME, _SHIFT)
        frames_NFT = frames_NFT - frames_NFT.mean(-1, keepdim=True)
        before_NFT = torch.cat([frames_NFT[..., :1], frames_NFT[..., :-1]], dim=-1)
        frames_NFT = (frames_NFT - _PREEMPHASIS * before_NFT) * _window(device, dtype)
        spectrum_NFB = torch.fft.rfft(frames_NFT, n=_FFT)
        power_NFB = spectrum_NFB.real.square() + spectrum_NFB.imag.square()  # abs() would take a root first
        return (power_NFB @ _mel_filters(device, dtype)).clamp_min(_FLOOR).log()


def beats_fbank(samples_NT: Tensor, lengths_N: Tensor | None = None) -> Tensor:
    """``fbank`` as BEATs was trained on it: full scale 1 as 16-bit values, result about -1 to 1 and -2.4 in silence."""
    return (fbank(samples_NT * _BEATS_SCALE, lengths_N) - _BEATS_MEAN) / (2.0 * _BEATS_STD)


@cache
def _window(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Povey's: a Hann window to the power 0.85."""
    with torch.inference_mode(False):  # a cached inference tensor would break every later backward pass
        return torch.hann_window(_FRAME, periodic=False, device=device, dtype=dtype).pow(0.85)


@cache
def _mel_filters(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Triangles ``[B, M]`` of height 1, even on the scale ``1127 ln(1 + f / 700)``.

    The lowest are narrower than a bin: some hold none, some a sliver of one. What BEATs learned there hangs on
    the rounding of float32, so the slopes are computed in float32 on the CPU, in the order of the original.
    """
    with torch.inference_mode(False):
        low_mel, high_mel = (1127.0 * math.log(1.0 + edge_hz / 700.0) for edge_hz in (_LOW_HZ, _HIGH_HZ))
        step = (high_mel - low_mel) / (NUM_MELS + 1)
        number_M1 = torch.arange(NUM_MELS, device="cpu")[:, None]
        left_M1 = low_mel + number_M1 * step
        centre_M1 = low_mel + (number_M1 + 1.0) * step
        right_M1 = low_mel + (number_M1 + 2.0) * step
        bins_hz = _RATE_HZ / _FFT * torch.arange(_FFT / 2, device="cpu")
        bins_B = 1127.0 * (1.0 + bins_hz / 700.0).log()
        rising_MB = (bins_B - left_M1) / (centre_M1 - left_M1)
        falling_MB = (right_M1 - bins_B) / (right_M1 - centre_M1)
        filters_MB = torch.minimum(rising_MB, falling_MB).clamp_min(0.0)
        filters_MB = torch.nn.functional.pad(filters_MB, (0, 1))  # Kaldi leaves the bin at 8 kHz out
        return filters_MB.T.to(device, dtype).contiguous()
