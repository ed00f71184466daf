"""Parts of a text in order, for the scores that compare them with the clips of a song.

Shapes: I texts, L tokens, P parts, W tower width.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import one_hot

__all__ = ["pool_parts"]


def pool_parts(states_ILW: Tensor, mask_IL: Tensor, num_parts: int) -> tuple[Tensor, Tensor]:
    """Mean states of ``num_parts`` runs of tokens, in order, of lengths that differ by at most one.

    A text of fewer tokens has as many parts as tokens. Give ``TokenBatch.words_IL`` as the mask to leave
    out the tokens that a tower puts around every text: they describe no moment of a song.

    Args:
        mask_IL: True on the tokens that count. States elsewhere do not matter, NaN included.
        num_parts: P, at least 1.

    Returns:
        ``parts_IPW``, zero where masked, and ``mask_IP``, True on real parts.
    """
    if num_parts < 1:
        raise ValueError(f"num_parts is {num_parts}; a text has at least 1 part")
    length_I1 = mask_IL.sum(1, keepdim=True)
    rank_IL = mask_IL.cumsum(1) - 1
    # Token r of n goes to part floor(r p / n): every part gets floor(n / p) or ceil(n / p) tokens.
    part_IL = rank_IL * length_I1.clamp(max=num_parts) // length_I1.clamp(min=1)
    member_ILP = one_hot(part_IL.clamp(0, num_parts - 1), num_parts) * mask_IL.unsqueeze(-1)
    size_IP = member_ILP.sum(1)
    sum_IPW = member_ILP.mT.to(states_ILW.dtype) @ states_ILW.masked_fill(~mask_IL.unsqueeze(-1), 0)
    return sum_IPW / size_IP.clamp(min=1).unsqueeze(-1), size_IP > 0
