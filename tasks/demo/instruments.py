"""Timbres as layers of single-cycle waves, each with its own envelope.

A layer reads one cycle of a wave from a table at the pitch's speed: a fraction of the cost of
summing sines, and free of aliases because the table holds only harmonics below the limit.
Layers that fade at different speeds make a tone darken as struck and plucked ones do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]

_TABLE_BITS = 14
_TABLE_SIZE = 1 << _TABLE_BITS
_MAX_HARMONICS = 32
_VIBRATO_HZ = 5.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One oscillator."""

    wave: str = "sine"
    """``sine``, ``saw``, ``square``, ``hollow`` (weak odd harmonics), ``reed`` or ``bright`` (upper harmonics)."""
    gain: float = 1.0
    ratio: float = 1.0
    """Frequency relative to the note's; no integer for bells."""
    cents: float = 0.0
    attack_s: float = 0.005
    decay_s: float = 0.5
    """Time constant of the fall to ``sustain``."""
    sustain: float = 0.0
    """Share of the peak that stays while the note is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timbre:
    """An instrument."""

    layers: tuple[Layer, ...]
    release_s: float = 0.08
    """Time constant of the fall after the note is let go."""
    vibrato_cents: float = 0.0
    breath: float = 0.0
    """Level of noise at the start of a note."""
    room: float = 1.0
    """How much of the song's reverb it gets."""


def _pluck(wave: str, decay_s: float, bright_s: float, bright: float) -> tuple[Layer, ...]:
    return (
        Layer(wave=wave, decay_s=decay_s, attack_s=0.002),
        Layer(wave="bright", gain=bright, decay_s=bright_s, attack_s=0.001),
    )


def _chorus(wave: str, cents: float, attack_s: float, sustain: float = 0.9) -> tuple[Layer, ...]:
    return tuple(
        Layer(wave=wave, gain=0.6, cents=shift, attack_s=attack_s, decay_s=1.0, sustain=sustain)
        for shift in (-cents, 0.3 * cents, cents)
    )


def _drawbars(*gains: float) -> tuple[Layer, ...]:
    ratios = (1.0, 2.0, 3.0, 4.0)
    return tuple(
        Layer(gain=gain, ratio=ratio, attack_s=0.008, sustain=1.0) for ratio, gain in zip(ratios, gains, strict=True)
    )


TIMBRES: dict[str, Timbre] = {
    "nylon-pluck": Timbre(layers=_pluck("hollow", 0.7, 0.10, 0.15), release_s=0.12, breath=0.05),
    "steel-pluck": Timbre(layers=_pluck("saw", 0.6, 0.25, 0.30), release_s=0.07, breath=0.08),
    "harp": Timbre(layers=_pluck("hollow", 1.1, 0.20, 0.12), release_s=0.5, room=1.4),
    "saw-pluck": Timbre(layers=_pluck("saw", 0.25, 0.10, 0.40)),
    "e-piano": Timbre(
        layers=(
            Layer(decay_s=1.3, attack_s=0.003),
            Layer(ratio=2.0, gain=0.25, decay_s=0.5),
            Layer(ratio=7.0, gain=0.12, decay_s=0.12, attack_s=0.001),
        ),
        release_s=0.12,
    ),
    "bell": Timbre(
        layers=(
            Layer(decay_s=1.2, attack_s=0.002),
            Layer(ratio=2.76, gain=0.45, decay_s=0.5, attack_s=0.001),
            Layer(ratio=5.40, gain=0.22, decay_s=0.2, attack_s=0.001),
        ),
        release_s=0.5,
        room=1.3,
    ),
    "organ": Timbre(layers=_drawbars(1.0, 0.6, 0.35, 0.25), release_s=0.03),
    "strings": Timbre(layers=_chorus("saw", 8.0, 0.12), release_s=0.2, vibrato_cents=6.0, room=1.3),
    "warm-pad": Timbre(layers=_chorus("hollow", 12.0, 0.25), release_s=0.35, room=1.4),
    "violin": Timbre(layers=_chorus("saw", 4.0, 0.06), release_s=0.1, vibrato_cents=18.0, breath=0.03, room=1.2),
    "flute": Timbre(
        layers=(Layer(wave="hollow", attack_s=0.05, sustain=0.9),), vibrato_cents=10.0, breath=0.12, room=1.2
    ),
    "brass": Timbre(
        layers=(
            Layer(wave="reed", attack_s=0.03, decay_s=0.3, sustain=0.8),
            Layer(wave="saw", gain=0.4, attack_s=0.06, decay_s=0.25, sustain=0.45),
        ),
        vibrato_cents=5.0,
    ),
    "saw-lead": Timbre(layers=_chorus("saw", 6.0, 0.01, sustain=0.8), vibrato_cents=8.0),
    "square-lead": Timbre(layers=(Layer(wave="square", attack_s=0.01, sustain=0.8),), vibrato_cents=10.0),
    "finger-bass": Timbre(layers=_pluck("reed", 0.6, 0.06, 0.12), release_s=0.05, room=0.2),
    "upright-bass": Timbre(layers=_pluck("hollow", 0.45, 0.05, 0.10), release_s=0.06, breath=0.05, room=0.4),
    "synth-bass": Timbre(layers=_chorus("saw", 5.0, 0.004, sustain=0.4), release_s=0.03, room=0.1),
    "sub-bass": Timbre(layers=(Layer(sustain=0.8, attack_s=0.01), Layer(ratio=2.0, gain=0.3)), room=0.0),
    "cello": Timbre(layers=_chorus("saw", 4.0, 0.08), release_s=0.12, vibrato_cents=10.0),
    "tuba": Timbre(layers=(Layer(wave="reed", attack_s=0.03, sustain=0.7),), room=0.5),
}


def tone(instrument: str, pitch: int, held_samples: int, sample_rate_hz: int) -> Signal:
    """One note ``[N]`` of unit velocity, held for ``held_samples`` and then released."""
    timbre = TIMBRES[instrument]
    # After 5 time constants a release is 43 dB down; the mixer fades the very end to zero.
    num_samples = held_samples + int(5 * timbre.release_s * sample_rate_hz)
    frequency_hz = 440.0 * 2.0 ** ((pitch - 69) / 12)
    time_s = np.arange(num_samples, dtype=np.float32) / np.float32(sample_rate_hz)
    bend = _vibrato(timbre.vibrato_cents, frequency_hz, time_s)
    sound = np.zeros(num_samples, np.float32)
    for layer in timbre.layers:
        layer_hz = frequency_hz * layer.ratio * 2.0 ** (layer.cents / 1200)
        if layer_hz < 0.45 * sample_rate_hz:
            wave = _read_cycle(layer.wave, layer_hz, num_samples, sample_rate_hz, bend, layer.ratio)
            wave *= _envelope(layer, time_s)
            sound += wave
    if timbre.breath:
        # A fixed seed: the same note always starts with the same breath.
        noise = np.random.default_rng(pitch).standard_normal(num_samples, dtype=np.float32)
        sound += np.float32(timbre.breath) * noise * np.exp(-time_s / np.float32(0.04))
    released_s = np.maximum(time_s - np.float32(held_samples / sample_rate_hz), 0)
    sound *= np.exp(-released_s / np.float32(timbre.release_s))
    fade = min(num_samples, int(0.005 * sample_rate_hz))
    sound[num_samples - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return sound


def _envelope(layer: Layer, time_s: Signal) -> Signal:
    fall = np.exp(-time_s / np.float32(layer.decay_s))
    fall *= np.float32(layer.gain * (1 - layer.sustain))
    fall += np.float32(layer.gain * layer.sustain)
    rise = int(np.searchsorted(time_s, layer.attack_s))
    fall[:rise] *= time_s[:rise] / np.float32(layer.attack_s)
    return fall


def _vibrato(cents: float, frequency_hz: float, time_s: Signal) -> Signal | None:
    """Phase in cycles that a vibrato adds to the fundamental; it sets in after a third of a second."""
    if not cents:
        return None
    depth = frequency_hz * (2.0 ** (cents / 1200) - 1) / (2 * np.pi * _VIBRATO_HZ)
    swell = np.minimum(time_s / np.float32(0.35), 1)
    return np.float32(depth) * swell * np.sin(np.float32(2 * np.pi * _VIBRATO_HZ) * time_s)


def _read_cycle(
    wave: str, frequency_hz: float, num_samples: int, sample_rate_hz: int, bend: Signal | None, ratio: float
) -> Signal:
    num_harmonics = min(_MAX_HARMONICS, max(1, int(0.45 * sample_rate_hz / frequency_hz)))
    # A 32-bit phase wraps by itself once a cycle, and its top bits are the place in the table.
    phase = np.arange(num_samples, dtype=np.uint32) * np.uint32(frequency_hz / sample_rate_hz * 2**32)
    if bend is not None:
        phase += (bend * (ratio * 2**20)).astype(np.int32).view(np.uint32) << np.uint32(12)
    return _table(wave, num_harmonics)[phase >> np.uint32(32 - _TABLE_BITS)]


@lru_cache(maxsize=256)
def _table(wave: str, num_harmonics: int) -> Signal:
    """One cycle of a wave with its first harmonics, at unit RMS."""
    harmonic = np.arange(1, num_harmonics + 1)
    odd = harmonic % 2 == 1
    strengths = {
        "sine": (harmonic == 1) * 1.0,
        "saw": 1.0 / harmonic,
        "square": odd / harmonic,
        "hollow": np.where(odd, 1.0, 0.35) / harmonic**2.2,
        "reed": 1.0 / (1.0 + (harmonic / 3.5) ** 3),
        "bright": (harmonic > 2) / harmonic**0.7,
    }[wave]
    if not strengths.any():  # so high that a bright wave has no harmonic left
        return np.zeros(_TABLE_SIZE, np.float32)
    # Phases spread by Schroeder's rule keep the peak of the cycle low.
    phases = np.pi * harmonic * (harmonic - 1) / num_harmonics
    spectrum = np.zeros(_TABLE_SIZE // 2 + 1, complex)
    spectrum[1 : num_harmonics + 1] = strengths * np.exp(1j * phases)
    cycle = np.fft.irfft(spectrum)
    return (cycle / np.sqrt(np.mean(cycle**2))).astype(np.float32)
