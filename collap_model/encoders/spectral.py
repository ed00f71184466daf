"""The weight-free audio encoder: per second, statistics of level, harmony, attacks and tempo.

No download, no GPU, deterministic; what a newcomer's first run hears with. Learned encoders
(BEATs, Whisper) give vectors of the same form, one per second.

Shapes: T samples, F frames, B bands, S seconds, N tempi, L lags, D = ``DIM``.
Layout of a vector: 40 log-mel means, 40 log-mel deviations (dB), 12 chroma, 12 bass chroma
(shares, sum 1 where there is sound), 8 flux means, 8 flux deviations, 40 tempogram values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from collap_model.encoders.encoder import SAMPLE_RATE_HZ, Seconds, num_seconds
from collap_model.features.encoder_keys import ENCODER_VERSIONS
from collap_model.frontends.samples import check_samples

__all__ = ["DIM", "TEMPI_BPM", "SpectralEncoder"]

Floats = npt.NDArray[np.float32]

NUM_MELS = 40
NUM_FLUX_BANDS = 8
TEMPI_BPM = np.geomspace(40.0, 240.0, 40)
DIM = 2 * NUM_MELS + 24 + 2 * NUM_FLUX_BANDS + len(TEMPI_BPM)

_WINDOW, _HOP = 1024, 160
"""Short frames for level and attacks: 64 ms every 10 ms."""
_FRAMES_PER_S = SAMPLE_RATE_HZ // _HOP
_LONG_WINDOW, _LONG_HOP = 8192, 4000
"""Long frames for harmony: 512 ms, 2 Hz bins, which tell semitones apart down to about 60 Hz."""
_LONG_FRAMES_PER_S = SAMPLE_RATE_HZ // _LONG_HOP
_TEMPO_WINDOW_S = 8
_FLOOR = 1e-8
"""-80 dB re full scale: digital silence and faint noise read alike."""


class SpectralEncoder:
    """An ``AudioEncoder`` without weights. What a second weighs are its short frames, one every 10 ms."""

    name = "spectral"
    version = ENCODER_VERSIONS[name]
    dim = DIM
    identity = f"{name}-{version}-{hashlib.sha256(b'no weights, float32 samples at 16 kHz').hexdigest()[:16]}"

    def encode(self, tracks: Sequence[Floats]) -> list[Seconds]:
        """Encode mono tracks ``[T]`` at 16 kHz, full scale 1, one after another.

        Raises:
            ValueError: not one-dimensional, empty, not finite, or not within full scale.
        """
        return [_encode(check_samples(samples)) for samples in tracks]


def _encode(samples_T: Floats) -> Seconds:
    seconds = num_seconds(samples_T.size)
    # 10 log10 of power; a full-scale sine reads about 0 dB
    mel_FB = 10.0 * np.log10(_power(samples_T, _WINDOW, _HOP) @ _mel_filters() + _FLOOR)
    rise_FB = np.maximum(mel_FB[2:] - mel_FB[:-2], 0.0) / 10.0  # over 20 ms: robust to frame phase
    rise_FB = np.concatenate([np.zeros_like(mel_FB[: len(mel_FB) - len(rise_FB)]), rise_FB])
    flux_FB = rise_FB.reshape(len(rise_FB), NUM_FLUX_BANDS, -1).mean(-1)
    long_FB = _power(samples_T, _LONG_WINDOW, _LONG_HOP)
    parts = [
        *_mean_and_std(mel_FB, seconds, _FRAMES_PER_S),
        _chroma(long_FB, _pitch_classes(180.0, 4000.0), seconds),
        _chroma(long_FB, _pitch_classes(50.0, 220.0), seconds),
        *_mean_and_std(flux_FB, seconds, _FRAMES_PER_S),
        _tempogram(rise_FB.mean(1), seconds),
    ]
    return Seconds(np.concatenate(parts, axis=1, dtype=np.float32), _counts(len(mel_FB), seconds, _FRAMES_PER_S))


def _power(samples_T: Floats, window: int, hop: int) -> Floats:
    """Power spectra ``[F, window / 2 + 1]`` of frames centred at multiples of ``hop``; a full-scale sine peaks at 1."""
    padded = np.pad(samples_T, window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    taper = np.hanning(window + 1)[:-1].astype(np.float32)
    taper *= 2.0 / taper.sum()
    blocks = []
    for start in range(0, len(frames), 1024):  # bounds memory for long tracks
        spectrum = scipy.fft.rfft(frames[start : start + 1024] * taper, axis=1)
        blocks.append(spectrum.real**2 + spectrum.imag**2)
    return np.concatenate(blocks)


@cache
def _mel_filters() -> Floats:
    """Triangles ``[window / 2 + 1, B]`` even on the mel scale (O'Shaughnessy) from 30 Hz to 8 kHz, peak 1."""
    low_mel, high_mel = 2595.0 * np.log10(1.0 + np.array([30.0, SAMPLE_RATE_HZ / 2]) / 700.0)
    edges_hz = 700.0 * (10.0 ** (np.linspace(low_mel, high_mel, NUM_MELS + 2) / 2595.0) - 1.0)
    bins_hz = np.fft.rfftfreq(_WINDOW, 1.0 / SAMPLE_RATE_HZ)[:, None]
    # The lowest bands are narrower than a bin: widen them so that none is empty.
    half = np.maximum(np.diff(edges_hz), 1.05 * SAMPLE_RATE_HZ / _WINDOW)
    rising = 1.0 - (edges_hz[1:-1] - bins_hz) / half[:-1]
    falling = 1.0 - (bins_hz - edges_hz[1:-1]) / half[1:]
    return np.clip(np.minimum(rising, falling), 0.0, 1.0).astype(np.float32)


@cache
def _pitch_classes(low_hz: float, high_hz: float) -> Floats:
    """Weights ``[bins, 12]``, C first: each bin to its nearest pitch classes at A4 = 440 Hz, half a semitone wide."""
    bins_hz = np.fft.rfftfreq(_LONG_WINDOW, 1.0 / SAMPLE_RATE_HZ)
    pitch = 69.0 + 12.0 * np.log2(np.maximum(bins_hz, 1.0) / 440.0)
    away = np.abs((pitch[:, None] - np.arange(12) + 6.0) % 12.0 - 6.0)
    inside = ((bins_hz >= low_hz) & (bins_hz <= high_hz))[:, None]
    return (np.exp(-0.5 * (away / 0.35) ** 2) * inside).astype(np.float32)


def _chroma(power_FB: Floats, weights: Floats, seconds: int) -> Floats:
    """Share of each pitch class per second ``[S, 12]``, of spectral peaks so that noise counts little; 0 in silence."""
    peaks = np.sqrt(power_FB)
    is_peak = (power_FB[:, 1:-1] > power_FB[:, :-2]) & (power_FB[:, 1:-1] >= power_FB[:, 2:])
    peaks[:, 1:-1] *= is_peak
    mean_SP = _mean(peaks @ weights, seconds, _LONG_FRAMES_PER_S)
    return mean_SP / np.maximum(mean_SP.sum(1, keepdims=True), 1e-4)


def _tempogram(onset_F: Floats, seconds: int) -> Floats:
    """Self-similarity of the onset curve at each tempo, ``[S, N]``, over 8 s centred at each second."""
    half = _TEMPO_WINDOW_S * _FRAMES_PER_S // 2
    centres = np.arange(seconds) * _FRAMES_PER_S + _FRAMES_PER_S // 2
    padded = np.pad(onset_F, (half, half + max(0, centres[-1] + 1 - onset_F.size)))
    windows_SF = np.lib.stride_tricks.sliding_window_view(padded, 2 * half)[centres]
    windows_SF = (windows_SF - windows_SF.mean(1, keepdims=True)) * np.hanning(2 * half).astype(np.float32)
    spectrum = scipy.fft.rfft(windows_SF, 4 * half, axis=1)
    auto_SL = scipy.fft.irfft(spectrum.real**2 + spectrum.imag**2, axis=1)[:, : 2 * half]
    return (auto_SL @ _tempo_filters()) / (auto_SL[:, :1] + 1e-3)


@cache
def _tempo_filters() -> Floats:
    """Weights ``[L, N]``: triangles around one and two beats, one tempo step wide, so that no lag falls between."""
    lags = np.arange(_TEMPO_WINDOW_S * _FRAMES_PER_S)
    step = np.log(TEMPI_BPM[1] / TEMPI_BPM[0])
    filters = np.zeros((len(lags), len(TEMPI_BPM)))
    for beats in (1, 2):
        tempo = 60.0 * _FRAMES_PER_S * beats / np.maximum(lags, 1)
        triangles = np.clip(1.0 - np.abs(np.log(tempo[:, None] / TEMPI_BPM)) / step, 0.0, 1.0)
        filters += triangles / triangles.sum(0)
    return (filters / 2.0).astype(np.float32)


def _starts(num_frames: int, seconds: int, frames_per_s: int) -> npt.NDArray[np.intp]:
    return np.minimum(np.arange(seconds) * frames_per_s, num_frames - 1)


def _counts(num_frames: int, seconds: int, frames_per_s: int) -> npt.NDArray[np.int32]:
    """Frames per second ``[S]``; the last second takes all frames that are left."""
    return np.diff(np.append(_starts(num_frames, seconds, frames_per_s), num_frames)).astype(np.int32)


def _mean(values_FB: Floats, seconds: int, frames_per_s: int) -> Floats:
    """Mean per second ``[S, B]``."""
    starts = _starts(len(values_FB), seconds, frames_per_s)
    counts: Floats = _counts(len(values_FB), seconds, frames_per_s).astype(np.float32)
    sums: Floats = np.add.reduceat(values_FB, starts, axis=0)
    return sums / counts[:, None]


def _mean_and_std(values_FB: Floats, seconds: int, frames_per_s: int) -> tuple[Floats, Floats]:
    mean_SB = _mean(values_FB, seconds, frames_per_s)
    counts = _counts(len(values_FB), seconds, frames_per_s)
    centred = values_FB - np.repeat(mean_SB, counts, axis=0)
    return mean_SB, np.sqrt(_mean(centred**2, seconds, frames_per_s))
