"""Whisper's log-mel spectrogram of 30 s windows, for a whole batch at once on any device.

As ``transformers.WhisperFeatureExtractor``, which returns to NumPy and the CPU each time, and as
``whisper/audio.py`` of https://github.com/openai/whisper. The floor of 80 dB below the loudest value is
each window's own: a window's features do not depend on its batch.

Shapes: N windows, T samples at 16 kHz, F = ``NUM_FRAMES``, B bins, M mels.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from collap_model.frontends.batch import silent_after

__all__ = ["NUM_FRAMES", "WINDOW_SAMPLES", "log_mel"]

WINDOW_SAMPLES = 480_000
"""30 s: the Whisper encoder takes nothing else."""
NUM_FRAMES = 3_000
"""One every 10 ms."""

_RATE_HZ, _FFT, _HOP = 16_000, 400, 160
_FLOOR = 1e-10
_RANGE = 8.0
"""Decades of power that are kept below the loudest value: 80 dB."""


def log_mel(samples_NT: Tensor, num_mels: int = 80, *, lengths_N: Tensor | None = None) -> Tensor:
    """``mel_NMF``, silence -1.5 and music about -1 to 1.5, in the dtype and on the device of the samples.

    Args:
        samples_NT: mono, 16 kHz, full scale 1, float32 or float64, at most 30 s; silence fills it up to 30 s.
        num_mels: 80, or 128 for large-v3 and its kin.
        lengths_N: samples of each window; silence is heard after them.

    Raises:
        ValueError: another shape or dtype, more than 30 s, or a number of mels that no Whisper has.
    """
    if num_mels not in (80, 128):
        raise ValueError(f"Whisper hears 80 or 128 mels, got {num_mels}")
    samples_NT = silent_after(samples_NT, lengths_N)
    num_samples = samples_NT.shape[1]
    if num_samples > WINDOW_SAMPLES:
        raise ValueError(f"a window has at most {WINDOW_SAMPLES} samples (30 s at 16 kHz), got {num_samples}; cut it")
    device, dtype = samples_NT.device, samples_NT.dtype
    with torch.autocast(device.type, enabled=False):  # the product with the filters would round to bfloat16
        samples_NT = torch.nn.functional.pad(samples_NT, (0, WINDOW_SAMPLES - num_samples))
        spectrum_NBF = torch.stft(samples_NT, _FFT, _HOP, window=_window(device, dtype), return_complex=True)
        spectrum_NBF = spectrum_NBF[..., :-1]  # the frame centred at the end
        power_NBF = spectrum_NBF.real.square() + spectrum_NBF.imag.square()  # abs() would take a root first
        log_NMF = (_mel_filters(num_mels, device, dtype) @ power_NBF).clamp_min(_FLOOR).log10()
        loudest_N11 = log_NMF.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(log_NMF, loudest_N11 - _RANGE) + 4.0) / 4.0


@cache
def _window(device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # a cached inference tensor would break every later backward pass
        return torch.hann_window(_FFT, device=device, dtype=dtype)


@cache
def _mel_filters(num_mels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Triangles ``[M, B]`` of equal area from 0 to 8 kHz, even on Slaney's scale (Auditory Toolbox, 1998).

    That scale is linear up to 1 kHz (15 mels) and logarithmic above, 27 mels for a factor of 6.4.
    """
    linear_mels, per_mel, factor_per_mel = 15.0, 200.0 / 3.0, 6.4 ** (1.0 / 27.0)
    highest_mel = linear_mels + np.log(_RATE_HZ / 2 / 1_000.0) / np.log(factor_per_mel)
    edges_mel = np.linspace(0.0, highest_mel, num_mels + 2)
    above = np.maximum(edges_mel - linear_mels, 0.0)
    edges_hz = np.where(above > 0.0, 1_000.0 * factor_per_mel**above, per_mel * edges_mel)
    bins_hz = np.linspace(0.0, _RATE_HZ / 2, _FFT // 2 + 1)
    rising_MB = (bins_hz - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    falling_MB = (edges_hz[2:, None] - bins_hz) / np.diff(edges_hz)[1:, None]
    filters_MB = np.maximum(0.0, np.minimum(rising_MB, falling_MB)) * 2.0 / (edges_hz[2:] - edges_hz[:-2])[:, None]
    with torch.inference_mode(False):
        return torch.from_numpy(filters_MB).to(device, dtype)
