"""Acoustic fingerprints: chromaprint, as the ffmpeg binary of ``imageio_ffmpeg`` brings it.

Chromaprint (https://acoustid.org/chromaprint) turns 12 chroma bands into one 32-bit integer per
1365 samples at 11,025 Hz. Codec, bit rate, level and resampling change few of its bits.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from data_specs.outcomes import Outcome, failed, ok
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Fingerprint
from tasks.engine.errors import BuildError

ALGORITHM = "chromaprint-1"
"""The number is chromaprint's own (CHROMAPRINT_ALGORITHM_TEST2, its default)."""

TIMEOUT_S = 300.0
"""For one file; a quarter of an hour of music takes two seconds."""

_FIX = "pip install --force-reinstall imageio-ffmpeg, and unset IMAGEIO_FFMPEG_EXE if it names another binary"


class UnreadableError(ValueError):
    """ffmpeg cannot decode the file, or not in time."""


def fingerprint_file(path: Path, *, strict: bool = False) -> NDArray[np.uint32]:
    """The fingerprint of a whole audio file of any format, ``[V]``; empty below about 3 s of sound.

    Args:
        strict: a fault anywhere in the file makes it unreadable; else what can be decoded counts.

    Raises:
        UnreadableError: no audio in it, or the decoder gave up or took longer than ``TIMEOUT_S``.
        BuildError: there is no ffmpeg binary, or it has no chromaprint.
    """
    command = [_ffmpeg(), "-nostdin", "-v", "error", "-threads", "1", *(["-xerror"] if strict else [])]
    command += ["-i", f"file:{path}", "-map", "0:a:0", "-f", "chromaprint", "-algorithm", "1", "-fp_format", "raw", "-"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise UnreadableError(f"{path}: ffmpeg did not end within {TIMEOUT_S:g} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UnreadableError(f"{path}: {said[0] if said else f'ffmpeg ended with {done.returncode}'}")
    return np.frombuffer(done.stdout, "<u4")


def fingerprint_track(audio: AudioFacts, workspace: Path) -> Outcome[Fingerprint]:
    """Fingerprint the 16 kHz mono file of an accepted track.

    Raises:
        BuildError: as ``fingerprint_file``; it would concern every track.
    """
    path = workspace / audio.file
    if not path.is_file():
        return failed(Reason.FILE_MISSING, f"no file at {path}")
    try:
        values_V = fingerprint_file(path, strict=True)
    except UnreadableError as error:
        return failed(Reason.UNDECODABLE, str(error))
    return ok(Fingerprint(track_id=audio.track_id, algorithm=ALGORITHM, values=tuple(values_V.tolist())))


@functools.cache
def _ffmpeg() -> str:
    try:
        path = imageio_ffmpeg.get_ffmpeg_exe()
        help_text = subprocess.run([path, "-hide_banner", "-h", "muxer=chromaprint"], capture_output=True, timeout=60)
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"no usable ffmpeg binary, so nothing can be fingerprinted: {error}; {_FIX}") from error
    if b"Muxer chromaprint" not in help_text.stdout:
        raise BuildError(f"{path} has no chromaprint muxer, so nothing can be fingerprinted; {_FIX}")
    return path
