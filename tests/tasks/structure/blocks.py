"""Small sounds of known tempo, key and form for the tests of the analyser: clicks, chord loops, block songs.

Everything is 16 kHz mono float32 and a function of its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

RATE_HZ = 16_000
Samples = NDArray[np.float32]

# Semitones above the tonic for the root of each chord, and whether the chord is minor.
LOOPS = {
    "major": ((0, False), (9, True), (5, False), (7, False)),
    "minor": ((0, True), (8, False), (3, False), (10, False)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A kind of music: a four-bar loop, an instrument and drums."""

    chords: tuple[tuple[int, bool], ...]
    """Root as semitones above C, and whether the chord is minor; one a bar."""
    partials: int
    drums: bool
    level: float


BLOCKS = {
    "A": Block(chords=((0, False), (9, True), (5, False), (7, False)), partials=3, drums=False, level=0.5),
    "B": Block(chords=((5, False), (7, False), (4, True), (9, True)), partials=8, drums=True, level=0.9),
    "C": Block(chords=((2, True), (5, False), (0, False), (7, False)), partials=1, drums=True, level=0.6),
}


def clicks(bpm: float, duration_s: float, first_s: float = 0.5) -> tuple[Samples, NDArray[np.float64]]:
    """Short decaying tones at an even tempo, and their times."""
    times = np.arange(first_s, duration_s - 0.1, 60 / bpm)
    samples = np.zeros(round(duration_s * RATE_HZ), dtype=np.float32)
    t = np.arange(800) / RATE_HZ
    click = (np.sin(2 * np.pi * 1500 * t) * np.exp(-t * 120)).astype(np.float32)
    for time in times:
        _add(samples, click, time, 0.8)
    return samples, times


def tone(pitch: float, duration_s: float, partials: int) -> Samples:
    """A struck note: partials that fall off in level, all decaying."""
    t = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    hz = 440 * 2 ** ((pitch - 69) / 12)
    wave = sum(np.sin(2 * np.pi * hz * k * t) / k**1.2 for k in range(1, partials + 1) if hz * k < 7000)
    envelope = np.exp(-2.0 * t) * np.minimum(t / 0.005, 1) * np.minimum((duration_s - t) / 0.01, 1)
    return np.asarray(wave * envelope, dtype=np.float32)


def noise_hit(rng: np.random.Generator, duration_s: float = 0.08) -> Samples:
    """A snare: decaying noise."""
    t = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return (rng.standard_normal(len(t)) * np.exp(-40 * t)).astype(np.float32)


def kick() -> Samples:
    """A bass drum: a falling sine."""
    t = np.arange(round(0.15 * RATE_HZ)) / RATE_HZ
    return (np.sin(2 * np.pi * (50 * t + 40 * (1 - np.exp(-30 * t)) / 30)) * np.exp(-25 * t)).astype(np.float32)


def chord_loop(tonic: int, mode: str, bpm: float = 100.0, num_bars: int = 8) -> Samples:
    """A four-chord loop in a key, a chord on every beat over a bass note."""
    loop = tuple(((tonic + root) % 12, minor) for root, minor in LOOPS[mode])
    block = Block(chords=loop, partials=4, drums=False, level=0.7)
    samples = np.zeros(round((num_bars * 4 * 60 / bpm + 0.5) * RATE_HZ), dtype=np.float32)
    _play(samples, block, 0.0, bpm, num_bars, np.random.default_rng(0))
    return samples


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSong:
    """A rendered form and its truth."""

    samples: Samples
    intervals_s: NDArray[np.float64]
    letters: list[str]
    beats_s: NDArray[np.float64]


def block_song(form: str, bpm: float = 110.0, bars_each: int = 8, seed: int = 0) -> BlockSong:
    """A song of blocks, e.g. ``ABAB``, each as many bars long."""
    bar_s = 4 * 60 / bpm
    borders = np.arange(len(form) + 1) * bars_each * bar_s
    samples = np.zeros(round((borders[-1] + 0.3) * RATE_HZ), dtype=np.float32)
    rng = np.random.default_rng(seed)
    for letter, start_s in zip(form, borders, strict=False):
        _play(samples, BLOCKS[letter], start_s, bpm, bars_each, rng)
    return BlockSong(
        samples=samples,
        intervals_s=np.stack([borders[:-1], borders[1:]], axis=1),
        letters=list(form),
        beats_s=np.arange(len(form) * bars_each * 4) * 60 / bpm,
    )


def speech(duration_s: float, seed: int = 0) -> Samples:
    """Syllables of 0.2 s with pauses: a pulse train of moving pitch through three formants each."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    hz = 110 + 20 * np.sin(2 * np.pi * 0.7 * t) + 15 * np.sin(2 * np.pi * 2.3 * t)
    pulses = (np.diff(np.floor(np.cumsum(hz) / RATE_HZ), prepend=0) > 0).astype(np.float64)
    voice = np.zeros(len(t))
    for syllable in np.split(np.arange(len(t)), range(3200, len(t), 3200)):
        sound = pulses[syllable]
        for formant_hz in rng.uniform([300, 900, 2200], [800, 2200, 3000]):
            sound = signal.lfilter(*signal.iirpeak(formant_hz, 8, fs=RATE_HZ), sound)
        voice[syllable] = sound * (rng.random() > 0.2)
    return voice.astype(np.float32)


def _play(samples: Samples, block: Block, start_s: float, bpm: float, num_bars: int, rng: np.random.Generator) -> None:
    beat_s = 60 / bpm
    for bar in range(num_bars):
        root, minor = block.chords[bar % len(block.chords)]
        for beat in range(4):
            time = start_s + (4 * bar + beat) * beat_s
            for step in (0, 3 if minor else 4, 7):
                _add(samples, tone(60 + (root + step) % 12, 0.9 * beat_s, block.partials), time, 0.12 * block.level)
            if block.drums:
                _add(samples, kick() if beat % 2 == 0 else noise_hit(rng), time, 0.3 * block.level)
        _add(samples, tone(36 + root, 3.8 * beat_s, 3), start_s + 4 * bar * beat_s, 0.3 * block.level)


def _add(samples: Samples, sound: Samples, time_s: float, gain: float) -> None:
    begin = round(time_s * RATE_HZ)
    part = sound[: max(len(samples) - begin, 0)]
    samples[begin : begin + len(part)] += np.float32(gain) * part
