"""Pitch content: spectral peaks, the track's tuning, and chroma of the harmony and of the bass.

Peaks instead of bins: a parabola through three bins places a partial within a few cents, which a
2 Hz bin cannot do in the bass (Gomez, "Tonal description of music audio signals", 2006).

Shapes: T samples, P peaks, G chroma frames (10 a second).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.ndimage import uniform_filter1d

from tasks.structure.spectrum import SAMPLE_RATE_HZ, Floats, framed, hann

WINDOW_SAMPLES = 8192
HOP_SAMPLES = 1600
CHROMA_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES
_LOWEST_HZ, _HIGHEST_HZ = 38.0, 2_000.0
_BASS_TOP_MIDI = 54.0
"""F sharp 3, 185 Hz: up to here a peak counts for the bass."""
_HARMONY_CENTRE_MIDI, _HARMONY_SPREAD = 64.0, 11.0
"""Weight of a peak in the harmony by its height; partials far up say more of timbre than of chords."""
_PROMINENCE = 3.0
"""A partial stands this far above the mean of the 25 bins around it; peaks of noise reach about 2."""
_FLOOR = 1e-3
_LOOSE, _CLOSE = 0.1, 0.6
"""Length of the mean offset of partials, 0..1, that says nothing of a common tuning, and that leaves no doubt."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """Partials of all frames, one after the other."""

    num_frames: int
    frame_P: NDArray[np.int32]
    midi_P: Floats
    """Pitch in semitones, A4 = 440 Hz = 69."""
    weight_P: Floats
    """Magnitude of the partial, sine amplitude."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Where the track's semitone grid lies."""

    cents: float
    """Above A4 = 440 Hz, -50..50."""
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chroma:
    """Energy per pitch class, C first."""

    harmony_GC: Reals
    bass_GC: Reals
    tuning: Tuning


def chroma(samples_T: Floats) -> Chroma:
    """Tuned chroma of levelled samples ``[T]``."""
    peaks = find_peaks(samples_T)
    tuning = find_tuning(peaks)
    midi = peaks.midi_P - tuning.cents / 100
    off_grid = midi - np.round(midi)
    in_tune = np.exp(-0.5 * np.square(off_grid / 0.3))
    height = np.exp(-0.5 * np.square((midi - _HARMONY_CENTRE_MIDI) / _HARMONY_SPREAD))
    cell = peaks.frame_P.astype(np.int64) * 12 + np.round(midi).astype(np.int64) % 12
    size = peaks.num_frames * 12
    # The square root keeps one loud voice from hiding the chord; the bass is one voice, so its square.
    harmony = _sums(cell, np.sqrt(peaks.weight_P) * in_tune * height, size)
    is_bass = midi < _BASS_TOP_MIDI
    bass = _sums(cell, np.where(is_bass, np.square(peaks.weight_P) * in_tune, 0), size)
    return Chroma(harmony_GC=harmony.reshape(-1, 12), bass_GC=np.sqrt(bass).reshape(-1, 12), tuning=tuning)


def _sums(cell_P: NDArray[np.int64], value_P: Floats, size: int) -> Reals:
    """Sum of the values that fall in each cell."""
    return np.bincount(cell_P, value_P, size).astype(np.float64)


def find_peaks(samples_T: Floats) -> Peaks:
    """Prominent local maxima of the magnitude spectrum, placed between bins by a parabola."""
    window = hann(WINDOW_SAMPLES)
    low = int(_LOWEST_HZ * WINDOW_SAMPLES / SAMPLE_RATE_HZ)
    high = int(_HIGHEST_HZ * WINDOW_SAMPLES / SAMPLE_RATE_HZ)
    parts, num_frames = [], 0
    for frames in framed(samples_T, WINDOW_SAMPLES, HOP_SAMPLES):
        # Small batches: a block of 1024 such frames would not fit the processor's cache.
        for begin in range(0, len(frames), 64):
            batch = frames[begin : begin + 64]
            magnitude = np.abs(rfft(batch * window, axis=1)[:, low - 1 : high + 1])
            parts.append(_batch_peaks(magnitude, num_frames, low))
            num_frames += len(batch)
    frame_P, midi_P, weight_P = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Peaks(num_frames=num_frames, frame_P=frame_P, midi_P=midi_P, weight_P=weight_P)


def _batch_peaks(magnitude: Floats, first_frame: int, first_bin: int) -> tuple[NDArray[np.int32], Floats, Floats]:
    around = uniform_filter1d(magnitude, 25, axis=1, mode="reflect")
    inner = magnitude[:, 1:-1]
    is_peak = (inner > magnitude[:, :-2]) & (inner >= magnitude[:, 2:])
    is_peak &= (inner > _PROMINENCE * around[:, 1:-1]) & (inner > _FLOOR)
    frame, place = np.nonzero(is_peak)
    left, top, right = (np.log(magnitude[frame, place + d] + 1e-9) for d in (0, 1, 2))
    offset = 0.5 * (left - right) / np.minimum(left - 2 * top + right, -1e-6)
    hz = (first_bin + place + np.clip(offset, -0.5, 0.5)) * (SAMPLE_RATE_HZ / WINDOW_SAMPLES)
    midi = 69 + 12 * np.log2(hz / 440)
    return (frame + first_frame).astype(np.int32), midi.astype(np.float32), inner[frame, place]


def find_tuning(peaks: Peaks) -> Tuning:
    """Offset of the track's semitone grid from A4 = 440 Hz: circular mean of the peaks' offsets.

    Peaks from A3 to A6: below, a bin is too wide; above, stretched partials bias the mean. The
    confidence is how closely they agree.
    """
    use = (peaks.midi_P > 57) & (peaks.midi_P < 93)
    angle = 2 * np.pi * peaks.midi_P[use].astype(np.float64)
    weight = np.sqrt(peaks.weight_P[use].astype(np.float64))
    if len(weight) == 0:
        return Tuning(cents=0.0, confidence=0.0)
    mean = np.sum(weight * np.exp(1j * angle)) / weight.sum()
    # Without a common grid (noise, glides) the mean's direction is chance, and its length that of a
    # random walk: leave the tuning alone.
    chance = max(_LOOSE, 3 / np.sqrt(len(weight)))
    if abs(mean) < chance:
        return Tuning(cents=0.0, confidence=0.0)
    agreement = float(np.clip((abs(mean) - chance) / (_CLOSE - chance), 0, 1))
    return Tuning(cents=float(np.angle(mean) / (2 * np.pi) * 100), confidence=agreement)
