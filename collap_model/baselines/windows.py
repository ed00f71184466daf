"""A long track through a model with short windows.

Windows stand side by side from the start. The last one has what is left; its vector counts by its share of a window,
so a second of sound is worth the same wherever it stands, and a tail of a few samples moves nothing.
(MuQ-MuLan's own code completes the tail with the start of the song and counts it in full; LAION-CLAP's and MS-CLAP's
hear one window at a random place.)

Shapes: T samples, K windows of a track, N of several tracks, J tracks, D joint width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from collap_model.baselines.baseline import Baseline, Samples

__all__ = ["Hears", "embed_tracks", "windows_of"]

Hears = Literal["whole", "first"]
"""All of a track, or its first window: what a model does that was made for short sounds."""

_WINDOWS_AT_ONCE = 16


def windows_of(samples_T: Samples, num_samples: int, hears: Hears) -> list[Samples]:
    """Windows of ``num_samples``; the last one may be shorter."""
    starts = range(0, len(samples_T) if hears == "whole" else 1, num_samples)
    return [samples_T[start : start + num_samples] for start in starts]


def embed_tracks(baseline: Baseline, tracks: Iterable[Samples], hears: Hears) -> Tensor:
    """Unit vectors ``[J, D]``: of each track the mean of its windows' unit vectors, weighted by their lengths."""
    return torch.stack([_embed_track(baseline, samples_T, hears) for samples_T in tracks])


def _embed_track(baseline: Baseline, samples_T: Samples, hears: Hears) -> Tensor:
    windows = windows_of(samples_T, baseline.window_samples, hears)
    vectors_KD = torch.cat([unit(baseline.embed_audio(some)) for some in _in_groups(windows)])
    weights_K = torch.tensor([len(window) for window in windows], dtype=torch.float32)
    return unit((weights_K / weights_K.sum()) @ vectors_KD)


def unit(vectors: Tensor) -> Tensor:
    """Of length 1, in float32 on the CPU."""
    return normalize(vectors.float().cpu(), dim=-1)


def _in_groups(windows: list[Samples]) -> Iterator[list[Samples]]:
    for first in range(0, len(windows), _WINDOWS_AT_ONCE):
        yield windows[first : first + _WINDOWS_AT_ONCE]
