from __future__ import annotations

import pytest
import torch
from torch import Tensor

from collap_model.text import TextTower
from collap_model.text.parts import pool_parts


def naive(states_ILW: Tensor, mask_IL: Tensor, num_parts: int) -> tuple[Tensor, Tensor]:
    """Text by text and run by run."""
    parts_IPW = []
    mask_IP = torch.zeros(len(states_ILW), num_parts, dtype=torch.bool)
    for text, (states_LW, mask_L) in enumerate(zip(states_ILW, mask_IL, strict=True)):
        real_LW = states_LW[mask_L]
        n, p = len(real_LW), min(num_parts, len(real_LW))
        bounds = [-(-part * n // p) for part in range(p + 1)]
        means = [real_LW[bounds[part] : bounds[part + 1]].mean(0) for part in range(p)]
        parts_IPW.append(torch.stack(means + [states_LW.new_zeros(states_LW.shape[1])] * (num_parts - p)))
        mask_IP[text, :p] = True
    return torch.stack(parts_IPW), mask_IP


def batch() -> tuple[Tensor, Tensor]:
    """Nine texts of 1 to 25 tokens, right-padded, the first token of some left out."""
    generator = torch.Generator().manual_seed(0)
    states_ILW = torch.randn(9, 27, 5, generator=generator, dtype=torch.float64)
    lengths_I = torch.tensor([1, 2, 3, 7, 8, 9, 16, 24, 25])
    mask_IL = torch.arange(27) < lengths_I.unsqueeze(1)
    mask_IL[3:, 0] = False
    return states_ILW, mask_IL


@pytest.mark.parametrize("num_parts", [1, 2, 3, 8, 40])
def test_is_the_mean_of_equal_runs_and_so_are_its_gradients(num_parts: int) -> None:
    states_ILW, mask_IL = batch()
    ours = states_ILW.clone().requires_grad_()
    theirs = states_ILW.clone().requires_grad_()
    parts_IPW, mask_IP = pool_parts(ours, mask_IL, num_parts)
    expected_IPW, expected_IP = naive(theirs, mask_IL, num_parts)
    assert torch.equal(mask_IP, expected_IP)
    torch.testing.assert_close(parts_IPW, expected_IPW, atol=1e-14, rtol=0)
    parts_IPW.sin().sum().backward()
    expected_IPW.sin().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-14, rtol=0)


@pytest.mark.parametrize("num_parts", [1, 4, 8])
def test_sizes_differ_by_at_most_one(num_parts: int) -> None:
    for length in range(1, 40):
        rank_L = torch.arange(40, dtype=torch.float64)
        member_LPW, _ = pool_parts(torch.eye(40).unsqueeze(0), (rank_L < length).unsqueeze(0), num_parts)
        sizes = (member_LPW[0] > 0).sum(1)[: min(num_parts, length)]
        assert sizes.sum() == length
        assert sizes.max() - sizes.min() <= 1


def test_what_is_masked_cannot_poison() -> None:
    states_ILW, mask_IL = batch()
    poisoned = states_ILW.masked_fill(~mask_IL.unsqueeze(-1), torch.nan).requires_grad_()
    parts_IPW, mask_IP = pool_parts(poisoned, mask_IL, 4)
    assert torch.equal(parts_IPW, pool_parts(states_ILW, mask_IL, 4)[0])
    assert (parts_IPW[~mask_IP] == 0).all()
    parts_IPW.square().sum().backward()
    assert poisoned.grad is not None
    assert poisoned.grad.isfinite().all()
    assert (poisoned.grad[~mask_IL] == 0).all()


def test_padding_changes_nothing() -> None:
    states_ILW, mask_IL = batch()
    together, mask_IP = pool_parts(states_ILW, mask_IL, 4)
    for text, mask_L in enumerate(mask_IL):
        alone, mask_1P = pool_parts(states_ILW[text, mask_L][None], mask_L[mask_L][None], 4)
        torch.testing.assert_close(together[text], alone[0], atol=1e-14, rtol=0)
        assert torch.equal(mask_IP[text], mask_1P[0])


@torch.no_grad()
def test_pools_what_towers_give(tower: TextTower) -> None:
    tokens = tower.tokenize(["dark", "A slow song in A minor at 72 BPM"])
    states_ILW = tower(tokens.ids_IL, tokens.mask_IL).states_ILW
    parts_IPW, mask_IP = pool_parts(states_ILW, tokens.words_IL, 3)
    expected_IPW, expected_IP = naive(states_ILW, tokens.words_IL, 3)
    torch.testing.assert_close(parts_IPW, expected_IPW, atol=1e-6, rtol=0)
    assert torch.equal(mask_IP, expected_IP)
    assert mask_IP[1].all()


def test_at_least_one_part() -> None:
    with pytest.raises(ValueError, match="num_parts is 0"):
        pool_parts(*batch(), 0)
