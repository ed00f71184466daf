"""Self-attention of BEATs: a bias by relative position, gated by the query, as the mask of a fused kernel.

Source: Chen et al. 2022, BEATs, https://github.com/microsoft/unilm/blob/master/beats/backbone.py (MIT); the gate is
of WavLM (Chen et al. 2021), the buckets are of T5 (Raffel et al. 2020). The official code computes scores by hand
and scales them by 32 and back against overflow in half precision; the fused kernel needs no such care.

Shapes: N windows, L tokens, W model width, H heads, C channels of a head, P = 2L - 1 relative positions.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GatedAttention", "RelativeBias"]


class RelativeBias(nn.Module):
    """The table ``[num_buckets, H]`` of biases by key position less query position, shared by all layers."""

    def __init__(self, num_buckets: int, max_distance: int, num_heads: int) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.weight = nn.Parameter(torch.zeros(num_buckets, num_heads))

    def forward(self, num_tokens: int) -> Tensor:
        """``bias_HLL``, query before key."""
        # On the CPU whatever the device: another rounding of the logarithm would move a border between buckets.
        bucket_P = self.buckets(torch.arange(1 - num_tokens, num_tokens, device="cpu"))
        bias_HP = self.weight[bucket_P.to(self.weight.device)].T
        position_L = torch.arange(num_tokens, device=self.weight.device)
        return bias_HP[:, position_L - position_L[:, None] + num_tokens - 1]

    def buckets(self, offset_P: Tensor) -> Tensor:
        """The bucket of each offset: half for either sign, of a half the first half exact, the rest logarithmic."""
        half = len(self.weight) // 2
        exact = half // 2
        distance_P = offset_P.abs()
        octaves_P = torch.log(distance_P.clamp_min(1).float() / exact) / math.log(self.max_distance / exact)
        far_P = (exact + (octaves_P * (half - exact)).long()).clamp_max(half - 1)
        return (offset_P > 0).long() * half + torch.where(distance_P < exact, distance_P, far_P)


class GatedAttention(nn.Module):
    """Multi-head attention over the tokens of a window; parameter names are those of the checkpoints."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.grep_linear = nn.Linear(width // num_heads, 8)
        self.grep_a = nn.Parameter(torch.ones(1, num_heads, 1, 1))

    def forward(self, x_NLW: Tensor, bias_HLL: Tensor, padded_NL: Tensor | None) -> Tensor:
        """Attend; keys that are padding are not seen. A window needs one token that is none."""
        q_NHLC, k_NHLC, v_NHLC = (
            project(x_NLW).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        bias_NHLL = self._gate(q_NHLC) * bias_HLL
        if padded_NL is not None:
            bias_NHLL = bias_NHLL.masked_fill(padded_NL[:, None, None, :], -math.inf)
        heard_NHLC = F.scaled_dot_product_attention(q_NHLC, k_NHLC, v_NHLC, attn_mask=bias_NHLL.to(q_NHLC.dtype))
        return self.out_proj(heard_NHLC.transpose(1, 2).flatten(2))

    def _gate(self, q_NHLC: Tensor) -> Tensor:
        """How much each query minds position, ``[N, H, L, 1]``, from 1 up; of the query before its scaling."""
        update, reset = self.grep_linear(q_NHLC).unflatten(-1, (2, 4)).sum(-1).sigmoid().split(1, dim=-1)
        return update * (reset * self.grep_a - 1.0) + 2.0
