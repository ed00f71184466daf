"""Short-time spectra of 16 kHz mono sound, in blocks so that memory does not grow with the FFT size.

Shapes: T samples, F frames (100 a second), W window samples, N bins, M mel bands.
Frame f is centred on sample ``f * HOP_SAMPLES``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.fft import rfft

SAMPLE_RATE_HZ = 16_000
HOP_SAMPLES = 160
FRAME_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES
WINDOW_SAMPLES = 1024
NUM_BANDS = 48
LOWEST_HZ, HIGHEST_HZ = 30.0, 7_600.0
BASS_HZ = 150.0

_LEVEL = 0.1
"""RMS every track is brought to first, so that no threshold depends on how loud it was mastered."""
_COMPRESSION = 1000.0
"""``log(1 + 1000 m)``: bands more than 60 dB below full scale fade into a common floor."""
_BLOCK_FRAMES = 1024

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """What later steps need of the short-time spectrum, one row per frame."""

    log_mel_FM: Floats
    """Compressed magnitude in mel bands."""
    power_F: Floats
    """Total energy of the frame, as mean square of the samples brought to a common level."""
    bass_power_F: Floats
    """The part of it below 150 Hz."""
    centroid_F: Floats
    """Spectral centroid, Hz; 0 in silence."""


def framed(samples_T: Floats, window_samples: int, hop_samples: int) -> Iterator[Floats]:
    """Blocks ``[at most 1024, W]`` of centred frames; the ends are padded with zeros."""
    half = window_samples // 2
    num_frames = 1 + len(samples_T) // hop_samples
    for first in range(0, num_frames, _BLOCK_FRAMES):
        count = min(_BLOCK_FRAMES, num_frames - first)
        start = first * hop_samples - half
        stop = start + (count - 1) * hop_samples + window_samples
        piece = samples_T[max(start, 0) : min(stop, len(samples_T))]
        padded = np.pad(piece, (max(-start, 0), max(stop - len(samples_T), 0)))
        yield sliding_window_view(padded, window_samples)[::hop_samples]


def hann(window_samples: int) -> Floats:
    """Periodic Hann window, scaled so that a sine of amplitude a has a peak magnitude of a."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_samples) / window_samples)
    return (2 * window / window.sum()).astype(np.float32)


def mel_bank(window_samples: int, num_bands: int) -> Floats:
    """Triangular filters ``[N, M]`` of unit sum, evenly spaced on the mel scale (O'Shaughnessy 1987)."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    edges_hz = 700 * (10 ** (np.linspace(low, high, num_bands + 2) / 2595) - 1)
    bins_hz = np.fft.rfftfreq(window_samples, 1 / SAMPLE_RATE_HZ)[:, None]
    # The lowest triangles are narrower than a bin; widening them keeps every band fed.
    width_hz = SAMPLE_RATE_HZ / window_samples
    left = np.minimum(edges_hz[:-2], edges_hz[1:-1] - width_hz)
    right = np.maximum(edges_hz[2:], edges_hz[1:-1] + width_hz)
    rising = (bins_hz - left) / (edges_hz[1:-1] - left)
    falling = (right - bins_hz) / (right - edges_hz[1:-1])
    bank = np.clip(np.minimum(rising, falling), 0, None)
    return (bank / bank.sum(axis=0)).astype(np.float32)


def band_centres_hz(num_bands: int = NUM_BANDS) -> NDArray[np.float64]:
    """Centre frequency of each mel band ``[M]``."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    return 700 * (10 ** (np.linspace(low, high, num_bands + 2)[1:-1] / 2595) - 1)


def levelled(samples_T: Floats) -> Floats:
    """The samples at a common RMS level."""
    rms = float(np.sqrt(np.mean(np.square(samples_T, dtype=np.float64))))
    return samples_T * np.float32(_LEVEL / rms)


def measure(samples_T: Floats) -> Spectrum:
    """One pass over levelled samples ``[T]``."""
    window = hann(WINDOW_SAMPLES)
    bins_hz = np.fft.rfftfreq(WINDOW_SAMPLES, 1 / SAMPLE_RATE_HZ).astype(np.float32)
    bank = mel_bank(WINDOW_SAMPLES, NUM_BANDS)
    # With the window scaled to sine amplitude, mean square = sum of squared magnitudes * this constant.
    to_power = np.float32(0.5 / 1.5)
    is_bass = (bins_hz < BASS_HZ).astype(np.float32)
    parts: list[tuple[Floats, Floats, Floats, Floats]] = []
    for frames in framed(samples_T, WINDOW_SAMPLES, HOP_SAMPLES):
        magnitude = np.abs(rfft(frames * window, axis=1))
        power = np.square(magnitude) * to_power
        total = magnitude.sum(axis=1)
        centroid = np.where(total > 1e-6, (magnitude @ bins_hz) / np.maximum(total, 1e-6), 0)
        log_mel = np.log1p(_COMPRESSION * (magnitude @ bank))
        parts.append((log_mel, power.sum(axis=1), power @ is_bass, centroid.astype(np.float32)))
    log_mel_FM, power_F, bass_power_F, centroid_F = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Spectrum(log_mel_FM=log_mel_FM, power_F=power_F, bass_power_F=bass_power_F, centroid_F=centroid_F)
