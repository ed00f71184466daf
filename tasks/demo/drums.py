"""The sounds of the drum kits: struck membranes and filtered noise, made once per kit."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import signal

from tasks.demo.instruments import Signal

# Per kit: kick (pitch Hz, decay s), snare (pitch Hz, tone share, decay s), hat decay s
KITS: dict[str, tuple[tuple[float, float], tuple[float, float, float], float]] = {
    "acoustic": ((58.0, 0.16), (190.0, 0.45, 0.11), 0.045),
    "electronic": ((48.0, 0.26), (220.0, 0.25, 0.14), 0.030),
}
SOUNDS = ("kick", "snare", "ghost", "rim", "clap", "hat", "open-hat", "ride", "crash", "shaker", "brush", "tom")
PANS = {"hat": 0.3, "open-hat": 0.3, "ride": -0.35, "crash": -0.4, "shaker": 0.5, "tom": -0.25, "brush": 0.1}
"""Where a sound stands, -1 left .. 1 right; the rest stand in the middle."""

_LENGTH_S = 2.0


@lru_cache(maxsize=64)
def stroke(kit: str, sound: str, sample_rate_hz: int) -> Signal:
    """One stroke ``[N]`` at full velocity."""
    (kick_hz, kick_s), (snare_hz, snare_tone, snare_s), hat_s = KITS[kit]
    rate = sample_rate_hz
    match sound:
        case "kick":
            made = _drum(rate, kick_hz, 3.0, kick_s) + 0.15 * _noise(rate, sound, 0.006, (1500, 5000))
        case "tom":
            made = 0.8 * _drum(rate, 110.0, 0.6, 0.18) + 0.1 * _noise(rate, sound, 0.05, (300, 2000))
        case "snare" | "ghost":
            rattle = _noise(rate, sound, snare_s, (1200, 9000))
            made = snare_tone * _drum(rate, snare_hz, 0.5, 0.08) + 0.5 * rattle
        case "rim":
            made = 0.6 * _drum(rate, 820.0, 0.1, 0.02) + 0.25 * _noise(rate, sound, 0.012, (1500, 6000))
        case "clap":
            made = 0.6 * _noise(rate, sound, 0.09, (900, 5000)) + 0.3 * _noise(rate, "clap 2", 0.02, (900, 7000))
        case "brush":
            made = 0.35 * _noise(rate, sound, 0.14, (1500, 9000), attack_s=0.03)
        case "hat":
            made = 0.35 * _noise(rate, sound, hat_s, (7000, 15000))
        case "open-hat":
            made = 0.35 * _noise(rate, sound, 0.16, (6500, 15000))
        case "shaker":
            made = 0.3 * _noise(rate, sound, 0.035, (5000, 12000), attack_s=0.012)
        case "ride":
            made = 0.22 * _noise(rate, sound, 0.28, (5000, 14000)) + 0.06 * _drum(rate, 3100.0, 0.0, 0.2)
        case "crash":
            made = 0.4 * _noise(rate, sound, 0.7, (3000, 15000))
        case _:
            raise ValueError(f"unknown drum sound {sound!r}; known: {', '.join(SOUNDS)}")
    # Most strokes are over in a tenth of their buffer; what is below -80 dB is not heard.
    heard = int(np.flatnonzero(np.abs(made) > 1e-4)[-1]) + 1
    return made[:heard].astype(np.float32)


def _drum(rate: int, pitch_hz: float, drop: float, decay_s: float) -> Signal:
    """A membrane whose pitch starts ``1 + drop`` times too high and falls within hundredths of a second."""
    time_s = np.arange(int(_LENGTH_S * rate)) / rate
    sweep_s = 0.03
    phase = pitch_hz * (time_s + drop * sweep_s * (1 - np.exp(-time_s / sweep_s)))
    return _ended(np.sin(2 * np.pi * phase) * np.exp(-time_s / decay_s), rate)


def _noise(rate: int, name: str, decay_s: float, band_hz: tuple[float, float], attack_s: float = 0.001) -> Signal:
    """Decaying noise within a band, at a peak near 1; its name seeds it."""
    time_s = np.arange(int(_LENGTH_S * rate)) / rate
    noise = np.random.default_rng(list(name.encode())).standard_normal(len(time_s))
    band = signal.butter(2, (band_hz[0], min(band_hz[1], 0.47 * rate)), "bandpass", fs=rate, output="sos")
    shaped = signal.sosfilt(band, noise)
    shaped *= np.exp(-time_s / decay_s) * np.minimum(time_s / attack_s, 1)
    return _ended(shaped / np.abs(shaped).max(), rate)


def _ended(sound: np.ndarray, rate: int) -> Signal:
    """Padded sounds share a length, so they can be summed; the last 10 ms fade to zero."""
    fade = int(0.01 * rate)
    sound[-fade:] *= np.linspace(1, 0, fade)
    return sound.astype(np.float32)
