"""Short sounds at 16 kHz that strain a filter bank in different ways."""

from __future__ import annotations

import math

import torch
from torch import Tensor

RATE_HZ = 16_000


def sounds(duration_s: float) -> dict[str, Tensor]:
    """Each ``[T]``, float32, within full scale."""
    generator = torch.Generator().manual_seed(7)
    time_T = torch.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    noise_T = torch.randn(len(time_T), generator=generator).clamp(-3.0, 3.0) / 3.0
    tone_T = torch.sin(2 * math.pi * 440.0 * time_T)
    return {
        "noise": 0.5 * noise_T,
        "tone": tone_T,
        "tone over faint noise": 0.5 * tone_T + 1e-5 * noise_T,
        "chirp": 0.9 * torch.sin(2 * math.pi * 300.0 * time_T.square()),
        "clicks": (torch.arange(len(time_T)) % 4_000 == 17).float(),
        "faint": 1e-5 * noise_T,
        "offset": torch.full_like(time_T, 0.5),
        "half silent": noise_T * (time_T < duration_s / 2),
        "silence": torch.zeros_like(time_T),
    }
