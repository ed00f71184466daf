"""Tracks through an open encoder: decoded ahead of it, handed over in groups, one failure to one track.

Shapes: T samples.
"""

from __future__ import annotations

import io
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import soundfile

from collap_model.encoders.encoder import SAMPLE_RATE_HZ, AudioEncoder, num_seconds
from collap_model.features.feature_files import Heard, Sound, check_seconds

__all__ = ["Bench", "ahead", "all_devices", "encode_tracks", "read_sound"]

T = TypeVar("T")
U = TypeVar("U")

NUM_DECODERS = 2
"""Threads: the decoder lets go of the interpreter's lock."""
NUM_AHEAD = 6
"""Tracks decoded or being decoded that no encoder has yet: six of an hour are 1.4 GB."""
GROUP_S = 1200.0
"""Sound that an encoder gets at once: enough windows of 30 s to fill its batches, 77 MB."""


def read_sound(sound: Sound) -> npt.NDArray[np.float32]:
    """Mono samples ``[T]`` at 16 kHz, full scale 1.

    Raises:
        OSError: the file is gone.
        ValueError: not 16 kHz mono.
        soundfile.LibsndfileError: no sound file, or a broken one.
    """
    with open(sound.path, "rb") as file:  # libsndfile would not say that a file is missing
        file.seek(sound.offset)
        data = file.read(sound.num_bytes)
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    if rate != SAMPLE_RATE_HZ or samples.ndim != 1:
        raise ValueError(
            f"{sound.path}: track {sound.track_id!r} has {rate} Hz and shape {samples.shape}, expected 16 kHz mono"
        )
    return np.asarray(samples, np.float32)


def ahead(function: Callable[[T], U], items: Iterable[T]) -> Iterator[tuple[T, U | Exception]]:
    """``(item, result or exception)`` in order, computed by threads a bounded number of items ahead."""
    with ThreadPoolExecutor(NUM_DECODERS, thread_name_prefix="decode") as threads:
        waiting: deque[tuple[T, Future[U | Exception]]] = deque()
        try:
            for item in items:
                waiting.append((item, threads.submit(_or_error, function, item)))
                if len(waiting) >= NUM_AHEAD:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        finally:
            for _, future in waiting:  # a consumer that stops early wants no more decoded
                future.cancel()


def _or_error(function: Callable[[T], U], item: T) -> U | Exception:
    try:
        return function(item)
    except Exception as error:
        return error


def _first(waiting: deque[tuple[T, Future[U]]]) -> tuple[T, U]:
    item, future = waiting.popleft()
    return item, future.result()


def all_devices() -> list[str]:
    """Every GPU, or the CPU where there is none."""
    import torch  # whoever only reads tracks needs none of it

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())] or ["cpu"]


class Bench:
    """One open encoder per device, lent to one caller at a time; opened when first asked for."""

    def __init__(self, open_on: Callable[[str], AudioEncoder], devices: Sequence[str]) -> None:
        self._open_on = open_on
        self._free: queue.LifoQueue[str] = queue.LifoQueue()  # the last one used first: the others may stay closed
        for device in reversed(devices):
            self._free.put(device)
        self._open: dict[str, AudioEncoder] = {}
        self._opening = threading.Lock()

    @contextmanager
    def borrowed(self) -> Iterator[AudioEncoder]:
        """Wait for a free device.

        Raises:
            ValueError or OSError: its encoder cannot be opened.
        """
        device = self._free.get()
        try:
            with self._opening:
                if device not in self._open:
                    self._open[device] = self._open_on(device)
            yield self._open[device]
        finally:
            self._free.put(device)


def encode_tracks(bench: Bench, sounds: Sequence[Sound]) -> Iterator[tuple[Sound, Heard | Exception]]:
    """Every sound once, as vectors or with the exception that kept it from them.

    Raises:
        ValueError or OSError: the encoder itself cannot be opened.
    """
    group: list[tuple[Sound, npt.NDArray[np.float32]]] = []
    length_s = 0.0
    for sound, samples in ahead(read_sound, sounds):
        if isinstance(samples, Exception):
            yield sound, samples
            continue
        group.append((sound, samples))
        length_s += len(samples) / SAMPLE_RATE_HZ
        if length_s >= GROUP_S:
            yield from _encode_group(bench, group)
            group, length_s = [], 0.0
    if group:
        yield from _encode_group(bench, group)


def _encode_group(
    bench: Bench, group: Sequence[tuple[Sound, npt.NDArray[np.float32]]]
) -> list[tuple[Sound, Heard | Exception]]:
    with bench.borrowed() as encoder:
        try:
            encoded = encoder.encode([samples for _, samples in group])
            for (sound, samples), seconds in zip(group, encoded, strict=True):
                check_seconds(seconds, sound)
                given, expected = len(seconds.vectors_SE), num_seconds(len(samples))
                if given != expected:  # encoders whose seconds differ cannot stand side by side
                    raise ValueError(
                        f"{encoder.identity} gave {given} vectors for {expected} seconds of track {sound.track_id!r}"
                    )
        except Exception as error:
            if len(group) == 1:
                return [(group[0][0], error)]
        else:
            named = zip(group, encoded, strict=True)
            return [(sound, Heard(encoder=encoder.identity, seconds=seconds)) for (sound, _), seconds in named]
    # One of them is bad, or all together were too much: each by itself says which.
    return [result for item in group for result in _encode_group(bench, [item])]
