"""Render a composed song to stereo sound.

Every distinct note is made once and added wherever it is played; each part is one mono bus that
is panned into the mix and sent to a common room. ``T`` samples, always two channels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import signal

from tasks.demo.drums import PANS, stroke
from tasks.demo.instruments import TIMBRES, Signal, tone
from tasks.demo.score import DrumPart, Mix, Part, Song

DEFAULT_RATE_HZ = 24_000
PEAK = 10.0 ** (-1.5 / 20)
"""No sample is above -1.5 dBFS: lossy codecs overshoot by about as much."""

_HOLD_GRID_S = 0.02
"""Lengths of notes are rounded to this, so that equal notes can share one waveform."""
_DRUM_ROOM = 0.3
_DRUM_GAIN = 2.0
_SHELF_HZ = 2500.0


def render(song: Song, sample_rate_hz: int = DEFAULT_RATE_HZ) -> Signal:
    """The whole song as float32 ``[T, 2]``, equal for equal songs, peak at most ``PEAK``."""
    num_samples = round(song.duration_s * sample_rate_hz)
    dry_CT = np.zeros((2, num_samples), np.float32)
    room_T = np.zeros(num_samples, np.float32)
    for part in song.parts:
        bus_T = _play_part(part, num_samples, sample_rate_hz)
        _place(bus_T, part.pan, dry_CT)
        bus_T *= np.float32(TIMBRES[part.instrument].room)
        room_T += bus_T
    if song.drums is not None:
        _play_drums(song.drums, dry_CT, room_T, sample_rate_hz)
    return _master(dry_CT, room_T, song.mix, sample_rate_hz)


def _play_part(part: Part, num_samples: int, rate: int) -> Signal:
    bus_T = np.zeros(num_samples, np.float32)
    made: dict[tuple[int, int], Signal] = {}
    for note in part.notes:
        grid = max(1, round(note.duration_s / _HOLD_GRID_S))
        sound = made.get((note.pitch, grid))
        if sound is None:
            sound = tone(part.instrument, note.pitch, round(grid * _HOLD_GRID_S * rate), rate)
            made[note.pitch, grid] = sound
        _add(bus_T, sound, note.start_s, part.gain * note.velocity, rate)
    return bus_T


def _play_drums(drums: DrumPart, dry_CT: Signal, room_T: Signal, rate: int) -> None:
    """One bus per place in the stereo picture, not per sound: most stand in the middle."""
    buses: dict[float, Signal] = {}
    for hit in drums.hits:
        pan = PANS.get(hit.sound, 0.0)
        if pan not in buses:
            buses[pan] = np.zeros_like(room_T)
        _add(buses[pan], stroke(drums.kit, hit.sound, rate), hit.start_s, _DRUM_GAIN * drums.gain * hit.velocity, rate)
    for pan, bus_T in buses.items():
        _place(bus_T, pan, dry_CT)
        bus_T *= np.float32(_DRUM_ROOM)
        room_T += bus_T


def _add(bus_T: Signal, sound: Signal, start_s: float, gain: float, rate: int) -> None:
    start = round(start_s * rate)
    end = min(start + len(sound), len(bus_T))
    if start < end:
        bus_T[start:end] += sound[: end - start] * np.float32(gain)


def _place(bus_T: Signal, pan: float, dry_CT: Signal) -> None:
    """Add a mono bus at equal power: -1 left .. 1 right."""
    angle = (pan + 1) * np.pi / 4
    dry_CT[0] += bus_T * np.float32(np.cos(angle))
    dry_CT[1] += bus_T * np.float32(np.sin(angle))


def _master(dry_CT: Signal, room_T: Signal, mix: Mix, rate: int) -> Signal:
    """Add the room, colour, set the level and round off peaks; returns ``[T, 2]``."""
    wet = np.float32(mix.reverb)
    for channel, response in enumerate(_room(round(mix.reverb_s, 1), rate)):
        dry_CT[channel] += wet * signal.oaconvolve(room_T, response)[: room_T.size]
    coloured = signal.sosfilt(_shelf(mix.brightness_db, rate), dry_CT, axis=1)
    level = float(np.sqrt(np.mean(np.square(coloured), dtype=np.float64)))
    # tanh rounds off what a limiter would catch. It can only lower a peak, so PEAK is a hard bound.
    coloured *= np.float32(10.0 ** (mix.loudness_dbfs / 20) / max(level, 1e-9) / PEAK)
    np.tanh(coloured, out=coloured)
    coloured *= np.float32(PEAK)
    if mix.fade_out_s:
        faded = round(mix.fade_out_s * rate)
        coloured[:, -faded:] *= np.linspace(1, 0, faded, dtype=np.float32)
    return np.ascontiguousarray(coloured.T)


@lru_cache(maxsize=32)
def _room(reverb_s: float, rate: int) -> Signal:
    """Impulse responses ``[2, N]`` of a room: noise that falls by 60 dB in ``reverb_s``, at unit energy."""
    num_samples = int(reverb_s * rate)
    time_s = np.arange(num_samples) / rate
    noise = np.random.default_rng(20240210).standard_normal((2, num_samples))
    noise *= 10.0 ** (-3.0 * time_s / reverb_s)
    noise *= np.minimum(time_s / 0.012, 1)  # the first reflections arrive a little later
    dull = signal.butter(1, 4500.0, fs=rate, output="sos")
    noise = signal.sosfilt(dull, noise, axis=1)
    return (noise / np.sqrt(np.sum(noise**2, axis=1, keepdims=True))).astype(np.float32)


def _shelf(gain_db: float, rate: int) -> Signal:
    """High shelf of second order with slope 1, after the RBJ cookbook; also blocks DC."""
    amplitude = 10.0 ** (gain_db / 40)
    omega = 2 * np.pi * _SHELF_HZ / rate
    cosine, alpha = np.cos(omega), np.sin(omega) / np.sqrt(2)
    root = 2 * np.sqrt(amplitude) * alpha
    shelf = np.array(
        [
            amplitude * ((amplitude + 1) + (amplitude - 1) * cosine + root),
            -2 * amplitude * ((amplitude - 1) + (amplitude + 1) * cosine),
            amplitude * ((amplitude + 1) + (amplitude - 1) * cosine - root),
            (amplitude + 1) - (amplitude - 1) * cosine + root,
            2 * ((amplitude - 1) - (amplitude + 1) * cosine),
            (amplitude + 1) - (amplitude - 1) * cosine - root,
        ]
    )
    block_dc = signal.butter(1, 20.0, "highpass", fs=rate, output="sos")
    return np.vstack([shelf / shelf[3], block_dc]).astype(np.float32)
