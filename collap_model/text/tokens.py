"""From captions to padded token ids, with a count of what did not fit.

Shapes: I texts, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["TokenBatch", "pad_tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBatch:
    """Right-padded token ids."""

    ids_IL: Tensor
    mask_IL: Tensor
    """True on real tokens; every text has at least one."""
    num_truncated: int
    """Texts of which the end was cut off because the tower does not read that far."""

    def to(self, device: torch.device) -> TokenBatch:
        return TokenBatch(
            ids_IL=self.ids_IL.to(device, non_blocking=True),
            mask_IL=self.mask_IL.to(device, non_blocking=True),
            num_truncated=self.num_truncated,
        )


def pad_tokens(
    ids: Sequence[Sequence[int]],
    *,
    pad_id: int,
    max_tokens: int,
    before: tuple[int, ...] = (),
    after: tuple[int, ...] = (),
) -> TokenBatch:
    """Put each text between ``before`` and ``after``, cut so that all fits ``max_tokens``, pad to the longest.

    A text that would be empty becomes one padding token that counts as real.
    """
    room = max_tokens - len(before) - len(after)
    rows = [[*before, *text[:room], *after] or [pad_id] for text in ids]
    longest = max(map(len, rows))
    return TokenBatch(
        ids_IL=torch.tensor([row + [pad_id] * (longest - len(row)) for row in rows]),
        mask_IL=torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in rows]),
        num_truncated=sum(len(text) > room for text in ids),
    )
