"""Sound at the rate of another model: CLAPs hear up to 14 kHz, which the 16 kHz copy of a build no longer has.

Shapes: T samples, C channels.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soxr

from collap_model.baselines.baseline import Samples

__all__ = ["read_at", "resampled"]

# A playlist names other files and addresses: only sound itself is opened.
_OPTIONS = {"protocol_whitelist": "file"}
_PLAYLISTS = frozenset({"hls", "concat", "sdp", "dash"})


def read_at(path: Path, sample_rate_hz: int) -> Samples:
    """Decode a file of any common format as the mean of its channels, ``[T]``, at ``sample_rate_hz``.

    Channels are averaged and the rate changed as ``librosa.load`` does it, which the models' own code reads files with.

    Raises:
        ValueError: no sound in it, or sound that cannot be decoded to its end.
    """
    try:
        with av.open(str(path), options=_OPTIONS, metadata_errors="replace") as container:
            if _PLAYLISTS & set(container.format.name.split(",")):
                raise ValueError(f"it is a playlist ({container.format.name})")
            to_float = av.AudioResampler(format="fltp")
            parts, rate_hz = [], 0
            for frame in container.decode(audio=0):
                for part in to_float.resample(frame):
                    parts.append(part.to_ndarray().mean(axis=0, dtype=np.float32))
                    rate_hz = part.sample_rate
    except (av.error.FFmpegError, IndexError, ValueError) as error:
        raise ValueError(f"{path} is not sound that can be read to its end: {error}") from error
    if not parts:
        raise ValueError(f"{path} holds no sound")
    return resampled(np.concatenate(parts), rate_hz, sample_rate_hz)


def resampled(samples_T: Samples, from_hz: int, to_hz: int) -> Samples:
    """At another rate, within full scale."""
    changed = samples_T if from_hz == to_hz else soxr.resample(samples_T, from_hz, to_hz, quality="HQ")
    return np.clip(np.asarray(changed, np.float32), -1.0, 1.0)
