"""Peak, stereo, silence, clipping and bandwidth of a track, block by block, in memory that does not grow with it.

Peak and clipping look at each channel of the source; silence and bandwidth at the mean of the
channels, which is what the encoders will hear.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

SILENCE_DBFS = -60.0
SILENCE_FRAME_S = 0.1
FULL_SCALE = 0.9999
"""A 16-bit sample of 32765 or more: decoders do not agree on the last steps."""
SHORTEST_CLIP_SAMPLES = 3
QUIETEST_DBFS = -120.0
"""What digital silence is given as."""

_SPECTRUM_SAMPLES = 4096
_SMOOTHING_HZ = 200.0
# The floor of the spectrum is where it ends; above it the band must show by _ABOVE_FLOOR_DB. The two
# bounds below the loudest band keep a flat spectrum (noise) and a bottomless one (synthesis) sensible.
_ABOVE_FLOOR_DB = 10.0
_NEAREST_DB, _FARTHEST_DB = -60.0, -90.0
_FLOOR_QUANTILE = 0.02

Mono = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """As the fields of ``AudioFacts`` with the same names."""

    peak_dbfs: float
    side_db: float | None
    silence_ratio: float
    longest_silence_s: float
    clipping_ratio: float
    bandwidth_hz: float


class Meter:
    """Feed ``[C, T]`` blocks of one track and their channel means ``[T]``, then ask for ``measures``."""

    def __init__(self, sample_rate_hz: int, num_channels: int) -> None:
        self._peak = 0.0
        self._side = _Side() if num_channels == 2 else None
        self._silence = _Silence(sample_rate_hz)
        self._clipping = _Clipping(num_channels)
        self._spectrum = _Spectrum(sample_rate_hz)

    def add(self, block_CT: NDArray[np.float32], mono_T: Mono) -> None:
        peak = max(float(block_CT.max()), -float(block_CT.min()))
        self._peak = max(self._peak, peak)
        if self._side is not None:
            self._side.add(block_CT, mono_T)
        self._silence.add(mono_T)
        self._clipping.add(block_CT, peak)
        self._spectrum.add(mono_T)

    def measures(self) -> Measures:
        silence_ratio, longest_silence_s = self._silence.result()
        return Measures(
            peak_dbfs=dbfs(self._peak),
            side_db=None if self._side is None else self._side.level_db(),
            silence_ratio=silence_ratio,
            longest_silence_s=longest_silence_s,
            clipping_ratio=self._clipping.ratio(),
            bandwidth_hz=self._spectrum.bandwidth_hz(),
        )


def dbfs(amplitude: float) -> float:
    """Level of an amplitude against full scale, never below ``QUIETEST_DBFS``."""
    return max(QUIETEST_DBFS, 20.0 * math.log10(amplitude)) if amplitude > 0 else QUIETEST_DBFS


class _Side:
    """Level of ``(L - R) / 2`` against ``(L + R) / 2``."""

    def __init__(self) -> None:
        self._middle_energy = 0.0
        self._side_energy = 0.0

    def add(self, block_CT: NDArray[np.float32], mono_T: Mono) -> None:
        # The difference itself: from the energies of L, R and their sum nothing below -70 dB could be told.
        side_T = (block_CT[0] - block_CT[1]) * np.float32(0.5)
        self._middle_energy += float(np.einsum("t,t->", mono_T, mono_T))
        self._side_energy += float(np.einsum("t,t->", side_T, side_T))

    def level_db(self) -> float:
        """From ``QUIETEST_DBFS`` (equal signals, also silence) to as much above 0 (opposite signals)."""
        if not self._side_energy:
            return QUIETEST_DBFS
        if not self._middle_energy:
            return -QUIETEST_DBFS
        level_db = 10.0 * math.log10(self._side_energy / self._middle_energy)
        return min(max(level_db, QUIETEST_DBFS), -QUIETEST_DBFS)


class _Silence:
    """Which 0.1 s frames are below -60 dBFS RMS."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._frame_samples = max(1, round(SILENCE_FRAME_S * sample_rate_hz))
        self._rest = np.zeros(0, np.float32)
        self._frames: list[NDArray[np.bool_]] = []

    def add(self, mono_T: Mono) -> None:
        samples = np.concatenate([self._rest, mono_T])
        num_frames = len(samples) // self._frame_samples
        used = num_frames * self._frame_samples
        self._frames.append(_is_silent(samples[:used].reshape(num_frames, self._frame_samples)))
        self._rest = samples[used:]

    def result(self) -> tuple[float, float]:
        """Share of silent frames, and the longest run of them in seconds."""
        silent = np.concatenate([np.zeros(0, bool), *self._frames])
        if not len(silent):  # a track shorter than one frame
            silent = _is_silent(self._rest[None, :]) if len(self._rest) else np.ones(1, bool)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], silent.astype(np.int8), [0]])))
        longest = int((edges[1::2] - edges[::2]).max(initial=0))
        return float(silent.mean()), round(longest * SILENCE_FRAME_S, 6)


def _is_silent(frames: NDArray[np.float32]) -> NDArray[np.bool_]:
    power = np.einsum("ft,ft->f", frames, frames) / frames.shape[1]
    return np.asarray(power < 10.0 ** (SILENCE_DBFS / 10.0))


class _Clipping:
    """Counts samples in runs of three and more at full scale, also across blocks."""

    def __init__(self, num_channels: int) -> None:
        self._num_clipped = 0
        self._num_samples = 0
        self._tail_CT = np.zeros((num_channels, SHORTEST_CLIP_SAMPLES - 1), bool)
        self._was_run_C1 = np.zeros((num_channels, 1), bool)

    def add(self, block_CT: NDArray[np.float32], peak: float) -> None:
        self._num_samples += block_CT.size
        if peak < FULL_SCALE:  # nearly every block of nearly every track
            self._tail_CT[:] = False
            self._was_run_C1[:] = False
            return
        full_CT = np.concatenate([self._tail_CT, np.abs(block_CT) >= FULL_SCALE], axis=1)
        # run[t]: samples t-2, t-1 and t are full; a run of n samples shows n-2 times and begins once
        run_CT = full_CT[:, 2:] & full_CT[:, 1:-1] & full_CT[:, :-2]
        begins_CT = run_CT & ~np.concatenate([self._was_run_C1, run_CT[:, :-1]], axis=1)
        self._num_clipped += int(run_CT.sum()) + (SHORTEST_CLIP_SAMPLES - 1) * int(begins_CT.sum())
        self._tail_CT = full_CT[:, -(SHORTEST_CLIP_SAMPLES - 1) :]
        self._was_run_C1 = run_CT[:, -1:]

    def ratio(self) -> float:
        return self._num_clipped / max(1, self._num_samples)


class _Spectrum:
    """Mean power spectrum, and where it meets the noise floor."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._bin_hz = sample_rate_hz / _SPECTRUM_SAMPLES
        self._window = np.hanning(_SPECTRUM_SAMPLES).astype(np.float32)
        self._power = np.zeros(_SPECTRUM_SAMPLES // 2 + 1)
        self._rest = np.zeros(0, np.float32)

    def add(self, mono_T: Mono) -> None:
        samples = np.concatenate([self._rest, mono_T])
        num_frames = len(samples) // _SPECTRUM_SAMPLES
        used = num_frames * _SPECTRUM_SAMPLES
        self._add_frames(samples[:used].reshape(num_frames, _SPECTRUM_SAMPLES))
        self._rest = samples[used:]

    def bandwidth_hz(self) -> float:
        """Highest frequency with energy above the floor; 0 for digital silence."""
        if not self._power.any() and self._rest.any():  # a track shorter than one frame
            self._add_frames(np.pad(self._rest, (0, _SPECTRUM_SAMPLES - len(self._rest)))[None, :])
        if not self._power.any():
            return 0.0
        width = max(1, round(_SMOOTHING_HZ / self._bin_hz))
        smooth = np.convolve(self._power, np.full(width, 1.0 / width), mode="same")
        level_db = 10.0 * np.log10(np.maximum(smooth, smooth.max() * 1e-15))
        loudest_db = level_db.max()
        floor_db = np.quantile(level_db, _FLOOR_QUANTILE)
        bound_db = np.clip(floor_db + _ABOVE_FLOOR_DB, loudest_db + _FARTHEST_DB, loudest_db + _NEAREST_DB)
        return float(np.flatnonzero(level_db >= bound_db)[-1] * self._bin_hz)

    def _add_frames(self, frames: NDArray[np.float32]) -> None:
        spectra = scipy.fft.rfft(frames * self._window, axis=1)
        self._power += np.einsum("fb,fb->b", spectra.real, spectra.real, dtype=np.float64)
        self._power += np.einsum("fb,fb->b", spectra.imag, spectra.imag, dtype=np.float64)
