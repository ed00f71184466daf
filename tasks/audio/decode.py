"""Every sample of an audio file as float32 blocks, at the rate and with the channels of the source.

PyAV carries FFmpeg inside its wheel and reads every container that the harvest delivers. libsndfile
was measured beside it (benchmarks/decode.py): slower for mp3 and flac, and it reads neither m4a nor
webm, so one decoder serves all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from data_specs.reasons import Reason
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

# Time stamps are rounded to milliseconds (webm) and encoders begin with a small hole; what adds up to
# more is lost sound, be it one fragment or many single frames.
_SMALLEST_GAP_S = 0.1

# What a header may claim. Below 4 kHz the loudness filter has no meaning, and each sample of a 1 Hz
# file would become 16,000; above, a step of 0.1 s or one block would fill the memory.
_RATES_HZ = range(4_000, 768_001)
_CHANNELS = range(1, 65)

# The shortest frames of the codecs last about 2 ms (Opus 2.5, Vorbis 1.3). A file whose packets hold
# less has tables that point to nothing, and could keep the decoder busy for hours.
_MOST_PACKETS_PER_S = 2_000
_MOST_PACKETS_AT_START = 10_000

# Float files may exceed full scale, but 80 dB above it is not sound.
_LOUDEST = 1e4

Block = NDArray[np.float32]


class UndecodableError(ValueError):
    """The file is not sound that can be read to its end; the message says what came instead."""

    reason = Reason.UNDECODABLE


class NoAudioError(UndecodableError):
    """A picture or film without sound."""

    reason = Reason.NO_AUDIO


class AudioFile:
    """An open audio file; ``blocks()`` can be read once. Use as a context manager.

    Args:
        path: the media file.
        longest_s: decoding stops once there is more sound than this.

    Raises:
        UndecodableError: not a media file, no audio stream, a first frame that cannot be decoded, or
            a sample rate or channel count that no recording has.
    """

    def __init__(self, path: Path, longest_s: float = math.inf) -> None:
        self._longest_s = longest_s
        self.is_stopped = False
        """More than ``longest_s`` was there; the rest is unknown."""
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
            raise (NoAudioError if self._container.streams.video else UndecodableError)("no audio stream")
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
        if self.sample_rate_hz not in _RATES_HZ or self.num_channels not in _CHANNELS:
            raise UndecodableError(
                f"{self.num_channels} channels at {self.sample_rate_hz} Hz; readable are {_CHANNELS[0]} to "
                f"{_CHANNELS[-1]} channels at {_RATES_HZ[0]} to {_RATES_HZ[-1]} Hz"
            )
        self.stated_duration_s = stated_duration_s(self._container, stream, path)
        self.missing_tail = missing_tail(path)

    def blocks(self) -> Iterator[Block]:
        """Yield ``[C, T]`` blocks in order, full scale at 1.0.

        Raises:
            UndecodableError: too much of the file is broken, its format changes on the way, or it
                holds samples that are not numbers.
        """
        assert self._first is not None, "blocks() can be read once"
        first, self._first = self._first, None
        form = _form(first)
        fifo = av.AudioFifo()
        for frame in itertools.chain([first], self._frames):
            if _form(frame) != form:  # the fifo would read planes that are not there
                raise UndecodableError(f"changes from {form} to {_form(frame)}")
            frame.pts = None  # the fifo refuses gaps, which are noted by now
            fifo.write(frame)
            if fifo.samples >= BLOCK_SAMPLES:
                yield from map(_as_float, fifo.read_many(BLOCK_SAMPLES))
        if fifo.samples:
            yield _as_float(fifo.read())

    @property
    def duration_s(self) -> float:
        """Of what was decoded so far."""
        return self.num_samples / self.sample_rate_hz

    def _decoded(self) -> Iterator[Any]:
        """Frames with sound in them, until the end of the file or of ``longest_s``."""
        for frame in self._frames_of_file():
            if not frame.samples:
                continue
            self._note_time(frame)
            yield frame
            if self.num_samples > self._longest_s * frame.sample_rate:
                self.is_stopped = True
                return

    def _frames_of_file(self) -> Iterator[Any]:
        num_packets = 0
        try:
            for packet in self._container.demux(self._stream):
                num_packets += 1
                self._check_pace(num_packets)
                try:
                    yield from packet.decode()
                except av.error.FFmpegError as error:
                    self.num_broken += 1
                    if self.num_broken > _MOST_BROKEN_AT_START + _MOST_BROKEN_SHARE * num_packets:
                        raise UndecodableError(
                            f"{self.num_broken} of {num_packets} packets are broken ({_words(error)})"
                        ) from error
        except av.error.FFmpegError as error:
            raise UndecodableError(_words(error)) from error

    def _check_pace(self, num_packets: int) -> None:
        if num_packets <= _MOST_PACKETS_AT_START:
            return
        decoded_s = self.duration_s if self.num_samples else 0.0
        if num_packets > _MOST_PACKETS_AT_START + _MOST_PACKETS_PER_S * decoded_s:
            raise UndecodableError(f"{num_packets} packets hold {decoded_s:.2f} s of sound")

    def _note_time(self, frame: Any) -> None:
        self.num_samples += frame.samples
        begin_s, expected_s = frame.time, self._expected_s
        if expected_s is not None:
            if begin_s is None or abs(begin_s - expected_s) <= _SMALLEST_GAP_S:
                begin_s = expected_s  # not the stamp's: small losses must add up
            else:
                self.gap_s += max(0.0, begin_s - expected_s)
        if begin_s is not None and frame.sample_rate:
            self._expected_s = begin_s + frame.samples / frame.sample_rate

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._container.close()


def _form(frame: Any) -> str:
    return f"{frame.layout.nb_channels} channels of {frame.format.name} at {frame.sample_rate} Hz"


def _as_float(frame: Any) -> Block:
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = np.ascontiguousarray(raw.reshape(-1, frame.layout.nb_channels).T)
    samples_CT = _scaled(raw)
    loudest = max(float(samples_CT.max()), -float(samples_CT.min()))
    if not loudest <= _LOUDEST:  # also where it is not a number
        raise UndecodableError(f"holds a sample of {loudest:g} times full scale")
    return samples_CT


def _scaled(raw: NDArray[Any]) -> Block:
    if raw.dtype == np.uint8:
        return (raw.astype(np.float32) - 128.0) / 128.0
    if np.issubdtype(raw.dtype, np.integer):
        return raw.astype(np.float32) * np.float32(1.0 / (1 << (8 * raw.itemsize - 1)))
    return raw.astype(np.float32, copy=False)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
