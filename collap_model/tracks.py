"""Embedded tracks as the score sees them, with the time each clip stands for.

Shapes: J tracks, K clips, D joint dim.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["Tracks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Unit vectors of clips in float32."""

    clips_JKD: Tensor
    """Zero where masked."""
    mask_JK: Tensor
    """True on real clips; every track has at least one."""
    spans_s: tuple[tuple[tuple[float, float], ...], ...]
    """Start and end of each real clip of each track, in seconds."""

    def __len__(self) -> int:
        return len(self.clips_JKD)

    def __getitem__(self, number: int) -> Tracks:
        """One track alone, without padding."""
        spans_s = self.spans_s[operator.index(number)]
        count = len(spans_s)
        return Tracks(
            clips_JKD=self.clips_JKD[number, :count][None],
            mask_JK=self.mask_JK[number, :count][None],
            spans_s=(spans_s,),
        )

    @classmethod
    def join(cls, tracks: Sequence[Tracks]) -> Tracks:
        """All tracks of several, padded to the longest."""
        longest = max(item.clips_JKD.shape[1] for item in tracks)
        return cls(
            clips_JKD=torch.cat([pad(item.clips_JKD, (0, 0, 0, longest - item.clips_JKD.shape[1])) for item in tracks]),
            mask_JK=torch.cat([pad(item.mask_JK, (0, longest - item.mask_JK.shape[1])) for item in tracks]),
            spans_s=tuple(spans for item in tracks for spans in item.spans_s),
        )
