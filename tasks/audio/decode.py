"""Every sample of an audio file as float32 blocks, at the rate and with the channels of the source.

PyAV carries FFmpeg inside its wheel and reads every container that the harvest delivers. libsndfile
was measured beside it: within 7% for mp3 and flac, and it reads neither m4a nor webm, so one decoder
serves all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tasks.audio.container import missing_tail, stated_duration_s

BLOCK_SAMPLES = 1 << 16
"""Samples per channel in every block but the last. Fixed, so that equal sound is processed in equal
steps and gives equal bytes, whatever the frames of its codec."""

# A downloaded file is not to be trusted: these readers open nothing but the file itself, whereas a
# playlist (hls, concat, sdp) names other files and addresses.
_DEMUXERS = (
    "aac,ac3,aiff,ape,asf,au,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,tta,w64,wav,wv"
)
_OPTIONS = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}

# Broken frames that a listener may miss, as a share of all; above it the file is damaged, not scratched.
_MOST_BROKEN_SHARE = 0.01
_MOST_BROKEN_AT_START = 8

# Time stamps are rounded to milliseconds (webm) and encoders leave small holes; larger ones are lost sound.
_SMALLEST_GAP_S = 0.1

# Float files may exceed full scale, but 80 dB above it is not sound.
_LOUDEST = 1e4

Block = NDArray[np.float32]


class UndecodableError(ValueError):
    """The file is not sound that can be read to its end; the message says what came instead."""


class AudioFile:
    """An open audio file; ``blocks()`` can be read once. Use as a context manager.

    Raises:
        UndecodableError: not a media file, no audio stream, or a first frame that cannot be decoded.
    """

    def __init__(self, path: Path) -> None:
        self.num_samples = 0
        """Per channel, decoded so far."""
        self.gap_s = 0.0
        """Time that the stamps of the frames skip: sound that is not in the file."""
        self.num_broken = 0
        """Packets that the codec refused."""
        try:
            self._container: Any = av.open(str(path.absolute()), options=_OPTIONS, metadata_errors="replace")
        except (av.error.FFmpegError, ValueError) as error:
            raise UndecodableError(_words(error)) from error
        try:
            self._open_stream(path)
        except BaseException:
            self._container.close()
            raise

    def _open_stream(self, path: Path) -> None:
        stream = self._container.streams.best("audio")
        if stream is None or stream.codec_context is None:
            raise UndecodableError("no audio stream")
        stream.codec_context.thread_count = 1  # the build runs one process per core
        if stream.codec_context.name == "flac":
            # FFmpeg otherwise plays a damaged frame as noise; the lossy codecs conceal theirs
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        self._stream = stream
        self._expected_s: float | None = None
        self._frames = self._decoded()
        self._first = next(self._frames, None)
        if self._first is None:
            raise UndecodableError("the audio stream holds no sound")
        self.sample_rate_hz: int = self._first.sample_rate
        self.num_channels: int = self._first.layout.nb_channels
        self.channel_names: tuple[str, ...] = tuple(channel.name for channel in self._first.layout.channels)
        if self.sample_rate_hz <= 0 or self.num_channels <= 0:
            raise UndecodableError(f"{self.num_channels} channels at {self.sample_rate_hz} Hz")
        self.stated_duration_s = stated_duration_s(self._container, stream, path)
        self.missing_tail = missing_tail(path)

    def blocks(self) -> Iterator[Block]:
        """Yield ``[C, T]`` blocks in order, full scale at 1.0.

        Raises:
            UndecodableError: too much of the file is broken, its format changes on the way, or it
                holds samples that are not numbers.
        """
        assert self._first is not None, "blocks() can be read once"
        frames, num_waiting = [self._first], self._first.samples
        rest_CT = np.zeros((self.num_channels, 0), np.float32)
        self._first = None
        for frame in self._frames:
            frames.append(frame)
            num_waiting += frame.samples
            if num_waiting >= BLOCK_SAMPLES:
                samples_CT = np.concatenate([rest_CT, self._as_float(frames)], axis=1)
                for begin in range(0, num_waiting - BLOCK_SAMPLES + 1, BLOCK_SAMPLES):
                    yield samples_CT[:, begin : begin + BLOCK_SAMPLES]
                rest_CT = samples_CT[:, num_waiting - num_waiting % BLOCK_SAMPLES :]
                frames, num_waiting = [], rest_CT.shape[1]
        last_CT = np.concatenate([rest_CT, self._as_float(frames)], axis=1) if frames else rest_CT
        if last_CT.shape[1]:
            yield last_CT

    @property
    def duration_s(self) -> float:
        """Of what was decoded so far."""
        return self.num_samples / self.sample_rate_hz

    def _decoded(self) -> Iterator[Any]:
        num_packets = 0
        try:
            for packet in self._container.demux(self._stream):
                num_packets += 1
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    self.num_broken += 1
                    if self.num_broken > _MOST_BROKEN_AT_START + _MOST_BROKEN_SHARE * num_packets:
                        raise UndecodableError(
                            f"{self.num_broken} of {num_packets} packets are broken ({_words(error)})"
                        ) from error
                    continue
                for frame in frames:
                    if frame.samples:
                        self._note_time(frame)
                        yield frame
        except av.error.FFmpegError as error:
            raise UndecodableError(_words(error)) from error

    def _note_time(self, frame: Any) -> None:
        self.num_samples += frame.samples
        begin_s = frame.time
        if begin_s is None or not frame.sample_rate:
            return
        if self._expected_s is not None and begin_s - self._expected_s > _SMALLEST_GAP_S:
            self.gap_s += begin_s - self._expected_s
        self._expected_s = begin_s + frame.samples / frame.sample_rate

    def _as_float(self, frames: list[Any]) -> Block:
        form = (self.sample_rate_hz, self.num_channels)
        for frame in frames:
            if (frame.sample_rate, frame.layout.nb_channels) != form:
                raise UndecodableError(
                    f"changes from {form[1]} channels at {form[0]} Hz "
                    f"to {frame.layout.nb_channels} channels at {frame.sample_rate} Hz"
                )
        if frames[0].format.is_planar:
            raw = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
        else:
            packed = np.concatenate([frame.to_ndarray().reshape(-1, self.num_channels) for frame in frames])
            raw = np.ascontiguousarray(packed.T)
        samples_CT = _scaled(raw)
        loudest = max(float(samples_CT.max()), -float(samples_CT.min()))
        if not loudest <= _LOUDEST:  # also where it is not a number
            raise UndecodableError(f"holds a sample of {loudest:g} times full scale")
        return samples_CT

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._container.close()


def _scaled(raw: NDArray[Any]) -> Block:
    if raw.dtype == np.uint8:
        return (raw.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(raw.dtype, np.integer):
        return raw.astype(np.float32) * np.float32(1.0 / (1 << (8 * raw.itemsize - 1)))
    return raw.astype(np.float32, copy=False)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
