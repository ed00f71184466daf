"""Which part of a text a token is of, and the mean of each part."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from collap_model.text import TextTower
from collap_model.text.parts import NO_PART, number_parts, pool_parts


def naive(states_ILW: Tensor, parts_IL: Tensor) -> tuple[Tensor, Tensor]:
    """Text by text and part by part."""
    num_parts = int(parts_IL.max()) + 1
    parts_IPW = []
    mask_IP = torch.zeros(len(states_ILW), num_parts, dtype=torch.bool)
    for text, (states_LW, parts_L) in enumerate(zip(states_ILW, parts_IL, strict=True)):
        rows = []
        for part in range(num_parts):
            of_part = states_LW[parts_L == part]
            mask_IP[text, part] = len(of_part) > 0
            rows.append(of_part.mean(0) if len(of_part) else states_LW.new_zeros(states_LW.shape[1]))
        parts_IPW.append(torch.stack(rows))
    return torch.stack(parts_IPW), mask_IP


def batch() -> tuple[Tensor, Tensor]:
    """Nine texts of 1 to 25 tokens in 1 to 6 parts, right-padded, the first token of some of no part."""
    generator = torch.Generator().manual_seed(0)
    states_ILW = torch.randn(9, 27, 5, generator=generator, dtype=torch.float64)
    parts_IL = torch.full((9, 27), NO_PART)
    for text, (length, num_parts) in enumerate(
        [(1, 1), (2, 2), (3, 1), (7, 3), (8, 2), (9, 6), (16, 4), (24, 5), (25, 1)]
    ):
        begins = text >= 3
        parts_IL[text, int(begins) : length] = torch.arange(length - int(begins)) * num_parts // length
    return states_ILW, parts_IL


def test_is_the_mean_of_each_part_and_so_are_its_gradients() -> None:
    states_ILW, parts_IL = batch()
    ours, theirs = (states_ILW.clone().requires_grad_() for _ in range(2))
    parts_IPW, mask_IP = pool_parts(ours, parts_IL)
    expected_IPW, expected_IP = naive(theirs, parts_IL)
    assert torch.equal(mask_IP, expected_IP)
    torch.testing.assert_close(parts_IPW, expected_IPW, atol=1e-14, rtol=0)
    parts_IPW.sin().sum().backward()
    expected_IPW.sin().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-14, rtol=0)


def test_what_is_of_no_part_cannot_poison() -> None:
    states_ILW, parts_IL = batch()
    poisoned = states_ILW.masked_fill((parts_IL == NO_PART).unsqueeze(-1), torch.nan).requires_grad_()
    parts_IPW, mask_IP = pool_parts(poisoned, parts_IL)
    assert torch.equal(parts_IPW, pool_parts(states_ILW, parts_IL)[0])
    assert (parts_IPW[~mask_IP] == 0).all()
    parts_IPW.square().sum().backward()
    assert poisoned.grad is not None
    assert poisoned.grad.isfinite().all()
    assert (poisoned.grad[parts_IL == NO_PART] == 0).all()


def test_padding_changes_nothing() -> None:
    states_ILW, parts_IL = batch()
    together, mask_IP = pool_parts(states_ILW, parts_IL)
    for text, parts_L in enumerate(parts_IL):
        of_any = parts_L != NO_PART
        alone, mask_1P = pool_parts(states_ILW[text, of_any][None], parts_L[of_any][None])
        num_parts = alone.shape[1]
        torch.testing.assert_close(together[text, :num_parts], alone[0], atol=1e-14, rtol=0)
        assert torch.equal(mask_IP[text, :num_parts], mask_1P[0])
        assert not mask_IP[text, num_parts:].any()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "A slow song. In C.\n\nIt begins. Softly.\n\nIt ends.",
            ["A slow song. In C.", "It begins. Softly.", "It ends."],
        ),
        ("One line.\nAnother line. Of two.", ["One line.", "Another line. Of two."]),
        ("A slow song. It begins! It ends", ["A slow song. It begins! It ends"]),
        ("\n\n  One.\n\n", ["One."]),
        ("One.\r\n\r\nTwo.\n \nThree.\n", ["One.", "Two.", "Three."]),
        ("One.\n\n---\n\nTwo.", ["One.", "---Two."]),
        ("---\n\nOne.\n\nTwo.\n\n---", ["---One.", "Two.---"]),
    ],
)
def test_a_paragraph_that_says_something_is_a_part(text: str, parts: list[str]) -> None:
    starts = [place for place, sign in enumerate(text) if not sign.isspace()]
    numbers = number_parts(text, starts)
    found = [
        "".join(text[start] for start, n in zip(starts, numbers, strict=True) if n == part)
        for part in range(len(parts))
    ]
    assert found == ["".join(part.split()) for part in parts]
    assert set(numbers) == set(range(len(parts)))


def test_white_space_that_is_a_token_is_no_part() -> None:
    text = "One.\n\nTwo.\n"
    assert number_parts(text, [0, 4, 6, 10]) == [0, 1, 1, 1]


def test_a_part_that_was_shortened_away_leaves_no_gap() -> None:
    text = "One.\n\nTwo.\n\nThree."
    assert number_parts(text, [0, text.index("Three")]) == [0, 1]


@torch.no_grad()
def test_pools_what_towers_give(tower: TextTower) -> None:
    tokens = tower.tokenize(["dark", "A slow song.\n\nIn A minor at 72 BPM.\n\nIt ends."])
    states_ILW = tower(tokens.ids_IL, tokens.mask_IL).states_ILW
    parts_IPW, mask_IP = pool_parts(states_ILW, tokens.parts_IL)
    expected_IPW, expected_IP = naive(states_ILW, tokens.parts_IL)
    torch.testing.assert_close(parts_IPW, expected_IPW, atol=1e-6, rtol=0)
    assert torch.equal(mask_IP, expected_IP)
    assert mask_IP.tolist() == [[True, False, False], [True, True, True]]
