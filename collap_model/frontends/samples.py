"""Sound as the encoders take it: one channel at 16 kHz, float32 with full scale 1, from an array or from a file.

Files are read as the audio stage of a build reads them (``tasks.audio``), to the same 16-bit samples: a file and
the FLAC that a build made of it give the same vectors.

Shapes: T samples, C channels.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soxr
import torch

from collap_model.encoders.encoder import SAMPLE_RATE_HZ

__all__ = ["LOUDEST", "check_samples", "read_at", "read_audio", "resampled"]

Samples = npt.NDArray[np.float32]

LOUDEST = 1.5
"""Decoders of lossy formats and resamplers overshoot full scale by up to 3 dB; more is another scale."""

_BLOCK_SAMPLES = 1 << 16
"""Fixed, so that the resampler sees equal sound in equal steps, whatever the frames of its codec."""
_RATES_HZ = range(4_000, 768_001)
# Broken frames that a listener may miss, as a share of all.
_MOST_BROKEN_SHARE = 0.01
_MOST_BROKEN_AT_START = 8
# A playlist (hls, concat, sdp) names other files and addresses: only sound itself is opened.
_DEMUXERS = (
    "aac,ac3,aiff,ape,asf,au,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,tta,w64,wav,wv"
)
_OPTIONS = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}

_log = logging.getLogger(__name__)


def check_samples(samples: npt.ArrayLike | torch.Tensor, *, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Samples:
    """Samples ``[T]`` as contiguous float32, or an error that says what to do with them. Silence is sound.

    Raises:
        ValueError: another rate than 16 kHz, several channels, none at all, integers, NaN or infinity, or more
            than ``LOUDEST`` times full scale.
    """
    if sample_rate_hz != SAMPLE_RATE_HZ:
        raise ValueError(
            f"expected samples at {SAMPLE_RATE_HZ} Hz, got {sample_rate_hz} Hz; resample them, or pass a file"
        )
    if isinstance(samples, torch.Tensor):  # numpy has no bfloat16
        samples = samples.detach().cpu()
        samples = (samples.float() if samples.is_floating_point() else samples).numpy()
    array = np.asarray(samples)
    if array.ndim != 1:
        raise ValueError(f"expected mono samples [T], got shape {list(array.shape)}; pass the mean of the channels")
    if not array.size:
        raise ValueError("expected at least one sample, got none")
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"expected floating-point samples with full scale 1, got {array.dtype}; divide 16-bit samples by 32768"
        )
    samples_T = np.ascontiguousarray(array, dtype=np.float32)
    loudest = max(float(samples_T.max()), -float(samples_T.min()))
    if not np.isfinite(loudest):
        raise ValueError(f"{np.count_nonzero(~np.isfinite(samples_T))} of {samples_T.size} samples are NaN or infinite")
    if loudest > LOUDEST:
        raise ValueError(
            f"expected full scale 1, but the loudest sample is {loudest:g} (at most {LOUDEST}); divide samples that "
            "were 16-bit integers by 32768, others by their full scale"
        )
    return samples_T


def read_audio(path: str | Path) -> Samples:
    """Decode a file of any common format, rate and number of channels as ``[T]``, at 16 kHz and within full scale.

    A cut file gives what is there, and a few broken packets are left out with a warning; the audio stage, which
    knows how long a track should be, rejects both.

    Raises:
        OSError: no such file, or no right to read it.
        ValueError: not a media file, no sound in it, or sound that cannot be read to its end.
    """
    return _as_16_bit(read_at(path, SAMPLE_RATE_HZ))


def read_at(path: str | Path, sample_rate_hz: int) -> Samples:
    """As ``read_audio`` at any rate and without rounding: other models hear more than the 16 kHz copy has.

    Channels are averaged and the rate is changed as ``librosa.load`` does it. Lossy decoders overshoot full scale.

    Raises:
        OSError: no such file, or no right to read it.
        ValueError: not a media file, no sound in it, or sound that cannot be read to its end.
    """
    path = Path(path)
    try:
        with av.open(str(path.absolute()), options=_OPTIONS, metadata_errors="replace") as container:
            samples_T = np.concatenate(list(_resampled(container, sample_rate_hz)))
        if not samples_T.size:
            raise ValueError(f"what it holds is shorter than one sample at {sample_rate_hz} Hz")
        return samples_T
    except (OSError, MemoryError):
        raise  # the machine's trouble, not the file's; some are FFmpeg's errors too
    except (av.error.FFmpegError, ValueError) as error:
        raise ValueError(f"{path} is not sound that can be read to its end: {error}") from error


def resampled(samples_T: Samples, from_hz: int, to_hz: int) -> Samples:
    """Samples ``[T]`` at another rate."""
    return samples_T if from_hz == to_hz else soxr.resample(samples_T, from_hz, to_hz, quality="HQ")


def _as_16_bit(samples_T: Samples) -> Samples:
    """Rounded and limited as the build's FLAC is, and lossy decoders overshoot."""
    scale = np.float32(32768.0)
    return np.clip(np.rint(samples_T * scale), -scale, scale - 1) / scale


def _resampled(container: Any, sample_rate_hz: int) -> Iterator[Samples]:
    frames = _frames(container)
    first = next(frames, None)
    if first is None:
        raise ValueError("it holds no sound")
    rate_hz = first.sample_rate
    if rate_hz not in _RATES_HZ:
        raise ValueError(f"its rate is {rate_hz} Hz, readable are {_RATES_HZ[0]} to {_RATES_HZ[-1]} Hz")
    blocks = _mono_blocks(itertools.chain([first], frames), _form(first))
    if rate_hz == sample_rate_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate_hz, sample_rate_hz, 1, dtype="float32", quality="HQ")
    for mono_T in blocks:
        yield stream.resample_chunk(mono_T)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _mono_blocks(frames: Iterator[Any], form: str) -> Iterator[Samples]:
    """The mean of the channels in blocks of ``_BLOCK_SAMPLES``, at the rate of the file."""
    fifo = av.AudioFifo()
    for frame in frames:
        if _form(frame) != form:  # the fifo would read planes that are not there
            raise ValueError(f"it changes from {form} to {_form(frame)}")
        frame.pts = None  # the fifo refuses gaps
        fifo.write(frame)
        yield from map(_mono, fifo.read_many(_BLOCK_SAMPLES))
    if fifo.samples:
        yield _mono(fifo.read())


def _frames(container: Any) -> Iterator[Any]:
    stream = container.streams.best("audio")
    if stream is None or stream.codec_context is None:
        raise ValueError("it has no audio stream")
    if stream.codec_context.name == "flac":
        # FFmpeg otherwise plays a damaged frame as noise; the lossy codecs conceal theirs
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    num_broken = 0
    for number, packet in enumerate(container.demux(stream), start=1):
        try:
            yield from (frame for frame in packet.decode() if frame.samples)
        except av.error.FFmpegError as error:
            num_broken += 1
            if num_broken > _MOST_BROKEN_AT_START + _MOST_BROKEN_SHARE * number:
                raise ValueError(f"{num_broken} of {number} packets are broken ({error})") from error
    if num_broken:
        _log.warning("%s: %d of %d packets are broken and were left out", container.name, num_broken, number)


def _form(frame: Any) -> str:
    return f"{frame.layout.nb_channels} channels of {frame.format.name} at {frame.sample_rate} Hz"


def _mono(frame: Any) -> Samples:
    raw = frame.to_ndarray()
    samples_CT = raw if frame.format.is_planar else raw.reshape(-1, frame.layout.nb_channels).T
    if samples_CT.dtype == np.uint8:
        samples_CT = (samples_CT.astype(np.float32) - 128.0) / 128.0
    elif np.issubdtype(samples_CT.dtype, np.integer):
        samples_CT = samples_CT.astype(np.float32) * np.float32(1.0 / (1 << (8 * raw.itemsize - 1)))
    mono_T: Samples = samples_CT.mean(axis=0, dtype=np.float32)
    if not np.isfinite(mono_T).all():
        raise ValueError("it holds samples that are NaN or infinite")
    return mono_T
