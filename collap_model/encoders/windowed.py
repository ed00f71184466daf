"""Learned encoders with a native window: tracks cut, windows of many tracks batched, frames pooled into seconds.

Shapes: T samples, N windows of a batch, F frames of a window, R runs of frames that share a second, S seconds,
E encoder dim.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from collap_model.encoders.encoder import SAMPLE_RATE_HZ, Seconds, num_seconds
from collap_model.encoders.full_float32 import full_float32
from collap_model.frontends.samples import check_samples

__all__ = ["Precision", "WindowedEncoder", "hash_of_weights"]

Floats = npt.NDArray[np.float32]
Precision = Literal["float32", "bfloat16"]

_MOST_ON_CPU = 4
"""More windows together only leave its caches: 16 took a tenth longer."""


@dataclass(frozen=True, slots=True)
class _Window:
    track: int
    start: int
    """In samples, a multiple of the encoder's window."""
    length: int


class WindowedEncoder(nn.Module, ABC):
    """A frozen network that hears a track in windows of its own length, one after another from the start.

    A subclass names itself, loads its network and implements `frames`; this class does the rest. Window ``k``
    starts at ``k * window_seconds``; frame ``i`` of it is centred ``(i + 0.5) / frames_per_s`` later and counts
    in the second of the track that holds its centre, the last second taking all that is left. Frames centred
    beyond a window's end, which hear padding only, are dropped, save the first of a track too short for any.
    Should a second hold no frame, it repeats the nearest second before it as of one frame.

    Args:
        precision: ``float32`` in full, without TF32; ``bfloat16`` runs the network, not its frontend, under autocast.
            Pooling is in float32 always.
        windows_per_batch: How many windows, of whichever tracks, pass through the network together at most; 4 on a CPU.
    """

    name: str
    version: str
    """Of the code, as ``encoder_keys.ENCODER_VERSIONS`` has it."""
    preprocessing: str
    """What the network is given, in words; part of the identity."""
    window_seconds: float
    frames_per_s: float
    dim: int
    shortest_seconds: float = 0.1
    """Shorter windows are given with silence after them, as of this length."""

    def __init__(self, *, precision: Precision = "float32", windows_per_batch: int = 16) -> None:
        super().__init__()
        if precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision {precision!r}: expected float32 or bfloat16")
        if windows_per_batch < 1:
            raise ValueError(f"windows_per_batch {windows_per_batch}: expected at least 1")
        self.precision: Precision = precision
        self.windows_per_batch = windows_per_batch

    @abstractmethod
    def frames(self, windows_NT: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        """Encode windows at 16 kHz, zero beyond their ``lengths_N`` samples, as ``(frames_NFE, num_frames_N)``.

        Frames beyond ``num_frames_N`` may hold anything; the others must not depend on the padding or on the
        other windows. Called in inference mode; the network, not the frontend, belongs inside `autocast`.
        """

    @cached_property
    def identity(self) -> str:
        """``<name>-<version>-<hash of weights, precision, windows and preprocessing>``, the same on any device."""
        told = (self.precision, self.preprocessing, f"{self.window_seconds} s", f"{self.frames_per_s} frames/s")
        digest = hashlib.sha256("\n".join((hash_of_weights(self.state_dict()), *told)).encode()).hexdigest()
        return f"{self.name}-{self.version}-{digest[:16]}"

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def autocast(self) -> torch.autocast:
        """The context for the network: bfloat16 where the precision says so."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def encode(self, tracks: Sequence[Floats]) -> list[Seconds]:
        """Encode mono tracks ``[T]`` at 16 kHz, full scale 1. A vector never depends on the company.

        Raises:
            ValueError: not one-dimensional, empty, not finite, or not within full scale; or what the network makes of
                it is not finite.
        """
        tracks = [check_samples(samples) for samples in tracks]
        sums = [np.zeros((num_seconds(len(samples)), self.dim), np.float32) for samples in tracks]
        counts = [np.zeros(len(sums_SE), np.int32) for sums_SE in sums]
        self.eval()  # frozen: no dropout, wherever it stands in a model that trains
        windows = self._cut(tracks)
        num_together = self.windows_per_batch
        if self.device.type == "cpu":
            num_together = min(num_together, _MOST_ON_CPU)
        with full_float32():
            for first in range(0, len(windows), num_together):
                batch = windows[first : first + num_together]
                for track, second_R, frames_R, sums_RE in self._sum(tracks, batch):
                    counts[track][second_R] += frames_R
                    sums[track][second_R] += sums_RE
        if not all(np.isfinite(sums_SE).all() for sums_SE in sums):
            raise ValueError(f"{self.identity} gave NaN or infinity for sound that is neither; its weights are damaged")
        return [_means(sums_SE, frames_S) for sums_SE, frames_S in zip(sums, counts, strict=True)]

    def _cut(self, tracks: Sequence[Floats]) -> list[_Window]:
        """All windows of all tracks, the longest first: whole windows need no padding, tails little."""
        step = round(self.window_seconds * SAMPLE_RATE_HZ)
        windows = [
            _Window(track, start, min(step, len(samples) - start))
            for track, samples in enumerate(tracks)
            for start in range(0, len(samples), step)
        ]
        return sorted(windows, key=lambda window: -window.length)

    @torch.inference_mode()
    def _sum(
        self, tracks: Sequence[Floats], batch: Sequence[_Window]
    ) -> Iterator[tuple[int, npt.NDArray[np.intp], npt.NDArray[np.int32], Floats]]:
        """Run a batch; per window its track, and the seconds it has frames in with their number and sum."""
        shortest = round(self.shortest_seconds * SAMPLE_RATE_HZ)
        lengths = [max(window.length, shortest) for window in batch]
        windows_NT = np.zeros((len(batch), max(lengths)), np.float32)
        for row, window in enumerate(batch):
            windows_NT[row, : window.length] = tracks[window.track][window.start : window.start + window.length]
        frames_NFE, num_frames_N = self.frames(
            torch.from_numpy(windows_NT).to(self.device), torch.tensor(lengths, device=self.device)
        )
        runs = [
            self._runs(window, count, num_seconds(len(tracks[window.track])))
            for window, count in zip(batch, num_frames_N.tolist(), strict=True)
        ]
        # Runs are contiguous, so a segmented sum adds each in order; index_add on a GPU adds in any order, and equal
        # input need not give equal bits. The last segment of a window is what was dropped.
        num_frames = frames_NFE.shape[1]
        segments = [size for _, frames_R in runs for size in (*frames_R, num_frames - frames_R.sum())]
        sums_RE = torch.segment_reduce(
            frames_NFE.float().flatten(0, 1), "sum", lengths=torch.tensor(segments, device=self.device), axis=0
        )
        sums, at = sums_RE.cpu().numpy(), 0
        for window, (second_R, frames_R) in zip(batch, runs, strict=True):
            yield window.track, second_R, frames_R, sums[at : at + len(second_R)]
            at += len(second_R) + 1

    def _runs(
        self, window: _Window, num_frames: int, seconds: int
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32]]:
        """The seconds ``[R]`` that the frames of a window count in, and how many in each ``[R]``."""
        centres_s = (np.arange(num_frames) + 0.5) / self.frames_per_s
        kept = int(np.searchsorted(centres_s, window.length / SAMPLE_RATE_HZ))
        if window.start == 0:
            kept = max(kept, 1)
        if kept > num_frames:
            raise RuntimeError(
                f"{self.name} gave no frame for the first {window.length} samples of a track; give its "
                f"shortest_seconds (now {self.shortest_seconds:g}) the length of one frame"
            )
        on_track_s = window.start / SAMPLE_RATE_HZ + centres_s[:kept]
        second_R, frames_R = np.unique(np.minimum(on_track_s.astype(np.intp), seconds - 1), return_counts=True)
        return second_R, frames_R.astype(np.int32)


def _means(sums_SE: Floats, frames_S: npt.NDArray[np.int32]) -> Seconds:
    heard_S = np.maximum.accumulate(np.where(frames_S > 0, np.arange(len(frames_S)), 0))
    counted_S: npt.NDArray[np.int32] = np.maximum(frames_S, np.int32(1))
    means_SE: Floats = (sums_SE / counted_S[:, None]).astype(np.float32)
    return Seconds(means_SE[heard_S], counted_S)


def hash_of_weights(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes, in the order of the names: of the content, not of a file."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
