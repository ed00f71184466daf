"""Songs, what becomes of them on their way through the world, and sounds without events."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile
from numpy.typing import NDArray

from tasks.demo.song import compose
from tasks.demo.synth import render
from tasks.duplicates.fingerprint import fingerprint_file
from tasks.duplicates.passage import Values

RATE_HZ = 16_000
GAME_MUSIC = Path("/usr/share/games/wesnoth/1.16/data/core/music")
"""Of the Debian package wesnoth-1.16-music: 41 pieces for orchestra."""

COPIES = {
    "opus 32k": ["-c:a", "libopus", "-b:a", "32k", "copy.opus"],
    "mp3 64k": ["-c:a", "libmp3lame", "-b:a", "64k", "copy.mp3"],
    "m4a 128k": ["-c:a", "aac", "-b:a", "128k", "copy.m4a"],
    "10 s cut": ["-ss", "10", "-c:a", "aac", "-b:a", "96k", "copy.m4a"],
    "20 s of silence before": ["-af", "adelay=20000:all=1", "-c:a", "aac", "-b:a", "96k", "copy.m4a"],
    "12 dB quieter": ["-af", "volume=-12dB", "-c:a", "libmp3lame", "-b:a", "96k", "copy.mp3"],
    "30 s excerpt": ["-ss", "12.06", "-t", "30", "-c:a", "libopus", "-b:a", "48k", "copy.opus"],
}
CLIP_10_S = ["-ss", "21.06", "-t", "10", "-c:a", "aac", "-b:a", "96k", "clip.m4a"]


def ffmpeg(folder: Path, source: Path, arguments: list[str]) -> Path:
    """Convert a file; its new name is the last argument."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", "-i", str(source), *arguments]
    subprocess.run(command, check=True, cwd=folder)
    return folder / arguments[-1]


def song_file(folder: Path, index: int, seed: int = 0) -> Path:
    """A rendered song of 50 to 55 s as 16 kHz mono FLAC, as the audio stage leaves it."""
    path = folder / f"song-{seed}-{index}.flac"
    sound = np.asarray(render(compose(seed, index, 50.0, 55.0), RATE_HZ))
    mono_T = sound.mean(axis=int(np.argmin(sound.shape))) if sound.ndim == 2 else sound
    soundfile.write(path, mono_T, RATE_HZ, subtype="PCM_16")
    return path


def copies(folder: Path, source: Path) -> dict[str, Values]:
    """Fingerprints of what codecs and people make of a file."""
    return {name: fingerprint_file(ffmpeg(folder, source, arguments)) for name, arguments in COPIES.items()}


def drones() -> dict[str, NDArray[np.float32]]:
    """A minute each of different sounds in which hardly anything happens."""
    time_s = np.arange(60 * RATE_HZ) / RATE_HZ
    sounds = {}
    for number in range(4):
        rng = np.random.default_rng(number)
        partials = np.outer([1, 1.5, 2, 3, 4, 5], 110 * (1 + rng.normal(0, 5e-4))) * 2 * np.pi
        waves = np.sin(partials * time_s + rng.uniform(0, 6, (6, 1))) / np.arange(1, 7)[:, None]
        swell = 1 + 0.3 * np.sin(0.1 * np.pi * rng.uniform(0.5, 2, (6, 1)) * time_s + rng.uniform(0, 6, (6, 1)))
        sounds[f"still {number}"] = waves.sum(axis=0)
        sounds[f"swelling {number}"] = (waves * swell).sum(axis=0) + 0.01 * rng.standard_normal(len(time_s))
        sounds[f"noise {number}"] = rng.standard_normal(len(time_s))
    sounds["silence"] = np.zeros(len(time_s))
    return {name: (0.3 * wave / max(1.0, np.abs(wave).max())).astype(np.float32) for name, wave in sounds.items()}
