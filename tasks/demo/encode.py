"""Encode sound into the containers that music sites deliver, equal bytes for equal sound.

PyAV brings FFmpeg inside its wheel. Left alone it writes random ids, dates and its own version into files;
the two bitexact flags (of the muxer and of the encoder) forbid that.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["CONTAINERS", "MEDIA_TYPES", "encode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """How a container is written; ``rate_hz`` None keeps the rate of the sound."""

    muxer: str
    codec: str
    media_type: str
    sample_format: str
    bit_rate: int | None = None
    rate_hz: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)


# The encoders' fastest settings: songs are rendered while someone waits, and each setting at least doubles the speed.
_RECIPES = {
    "mp3": _Recipe(
        muxer="mp3",
        codec="libmp3lame",
        media_type="audio/mpeg",
        sample_format="fltp",
        bit_rate=160_000,
        options={"compression_level": "9"},
    ),
    "m4a": _Recipe(
        muxer="ipod",
        codec="aac",
        media_type="audio/mp4",
        sample_format="fltp",
        bit_rate=128_000,
        options={"aac_coder": "fast"},
    ),
    # Opus knows only 48 kHz and its fractions.
    "webm": _Recipe(
        muxer="webm",
        codec="libopus",
        media_type="audio/webm",
        sample_format="flt",
        bit_rate=128_000,
        rate_hz=48_000,
        options={"compression_level": "0"},
    ),
    "flac": _Recipe(muxer="flac", codec="flac", media_type="audio/flac", sample_format="s16"),
}
CONTAINERS = tuple(_RECIPES)
"""File extensions without the dot."""
MEDIA_TYPES = {container: recipe.media_type for container, recipe in _RECIPES.items()}


def encode(sound_TC: NDArray[np.float32], sample_rate_hz: int, container: str) -> bytes:
    """Encode stereo float32 ``[T, 2]`` as a file in memory; ``container`` is one of ``CONTAINERS``."""
    recipe = _RECIPES[container]
    rate_hz = recipe.rate_hz or sample_rate_hz
    resampler = av.AudioResampler(format=recipe.sample_format, layout="stereo", rate=rate_hz)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=recipe.muxer, options={"fflags": "+bitexact"}) as output:
        stream = output.add_stream(recipe.codec, rate=rate_hz, options=dict(recipe.options))
        assert isinstance(stream, av.AudioStream)
        stream.layout = "stereo"
        stream.format = recipe.sample_format
        if recipe.bit_rate is not None:
            stream.bit_rate = recipe.bit_rate
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for frame in [*resampler.resample(_as_frame(sound_TC, sample_rate_hz)), *resampler.resample(None)]:
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def _as_frame(sound_TC: NDArray[np.float32], sample_rate_hz: int) -> av.AudioFrame:
    interleaved = np.ascontiguousarray(sound_TC, np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout="stereo")
    frame.sample_rate = sample_rate_hz
    frame.pts = 0
    return frame
