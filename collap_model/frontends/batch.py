"""What both frontends take: recordings of different lengths side by side.

Shapes: N recordings, T samples of the longest.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["silent_after"]


def silent_after(samples_NT: Tensor, lengths_N: Tensor | None) -> Tensor:
    """The batch with digital silence after the end of each recording, whatever stood there, NaN included.

    Raises:
        ValueError: not ``[N, T]`` in float32 or float64, or lengths that are not ``N`` integers.
    """
    if samples_NT.ndim != 2 or samples_NT.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"expected samples [N, T] in float32 or float64, got {list(samples_NT.shape)} in {samples_NT.dtype}; "
            "the logarithm of a spectrum needs more digits than half precision has"
        )
    if lengths_N is None:
        return samples_NT
    if lengths_N.shape != samples_NT.shape[:1] or lengths_N.is_floating_point():
        raise ValueError(
            f"expected {len(samples_NT)} whole lengths in samples, got {list(lengths_N.shape)} in {lengths_N.dtype}"
        )
    is_sound_NT = torch.arange(samples_NT.shape[1], device=samples_NT.device) < lengths_N.to(samples_NT.device)[:, None]
    return samples_NT.where(is_sound_NT, 0.0)
