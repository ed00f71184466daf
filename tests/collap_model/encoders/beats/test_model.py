"""The network against the official code's numbers (``benchmarks/beats_golden.py``) and against slow twins."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.beats_golden import CASES, GOLDEN, Case, formula, ported
from collap_model.encoders.beats import Beats, load_beats
from collap_model.encoders.beats.attention import GatedAttention, RelativeBias
from collap_model.encoders.beats.model import padding_of_steps


@pytest.fixture
def golden() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN))


@pytest.fixture
def model(published: Path) -> Beats:
    return load_beats(published)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equal_to_official(case: Case, golden: dict[str, np.ndarray]) -> None:
    found, padded_NL = ported(case)
    states = torch.from_numpy(golden[f"{case.name}_states"])
    assert torch.equal(padded_NL, torch.from_numpy(golden[f"{case.name}_padded"]))
    assert states.std() > 0.5
    torch.testing.assert_close(found, states, rtol=0, atol=1e-5)


def test_official_mask_cuts_through_a_time_step_and_ours_does_not(golden: dict[str, np.ndarray]) -> None:
    kept_of_step = (~golden["padded_padded"]).reshape(3, 5, 8).sum(2)
    assert kept_of_step[1].tolist() == [8, 8, 8, 4, 0]
    ours = padding_of_steps(torch.tensor([5, 3, 0]), num_steps=5, bands=8)
    assert (~ours).view(3, 5, 8).sum(2).tolist() == [[8] * 5, [8, 8, 8, 0, 0], [0] * 5]


@pytest.mark.parametrize("rubbish", [3.0, math.nan, math.inf])
def test_padding_is_not_heard(model: Beats, rubbish: float) -> None:
    fbank_NFM = formula("fbank", (2, 80, 128))
    alone = model(fbank_NFM[1:, :48])
    fbank_NFM[1, 48:] = rubbish
    together = model(fbank_NFM, padding_of_steps(torch.tensor([5, 3]), 5, 8))
    assert not torch.isnan(together).any()
    torch.testing.assert_close(together[1:, :24], alone, rtol=0, atol=2e-6)


@pytest.mark.parametrize("is_padded", [False, True])
def test_attention_equals_a_loop(is_padded: bool) -> None:
    attention = GatedAttention(width=8, num_heads=2)
    for name, parameter in attention.named_parameters():
        parameter.data = formula(name, parameter.shape)
    x_NLW = formula("x", (2, 5, 8)).requires_grad_()
    bias_HLL = formula("bias", (2, 5, 5)).requires_grad_()
    padded_NL = torch.tensor([[False] * 5, [False] * 3 + [True] * 2]) if is_padded else None
    inputs = (x_NLW, bias_HLL, *attention.parameters())
    weight = formula("gradient", (2, 5, 8))
    found, expected = attention(x_NLW, bias_HLL, padded_NL), _attend(attention, x_NLW, bias_HLL, padded_NL)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    for ours, naive in zip(
        torch.autograd.grad((found * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, naive, rtol=1e-5, atol=2e-6)


def _attend(attention: GatedAttention, x_NLW: Tensor, bias_HLL: Tensor, padded_NL: Tensor | None) -> Tensor:
    """Query by query, as the paper writes it."""
    heads = [[project(x_NLW)[:, :, 4 * h : 4 * h + 4] for h in range(2)] for project in _projections(attention)]
    rows = []
    for n in range(2):
        for query in range(5):
            parts = []
            for h in range(2):
                q, k, v = heads[0][h][n, query], heads[1][h][n], heads[2][h][n]
                gates = attention.grep_linear(q)
                update, reset = gates[:4].sum().sigmoid(), gates[4:].sum().sigmoid()
                gate = 1 + (1 - update) + update * reset * attention.grep_a[0, h, 0, 0]
                scores = k @ q / 2.0 + gate * bias_HLL[h, query]
                keep = slice(None) if padded_NL is None else ~padded_NL[n]
                parts.append(scores[keep].softmax(0) @ v[keep])
            rows.append(attention.out_proj(torch.cat(parts)))
    return torch.stack(rows).view(2, 5, 8)


def _projections(attention: GatedAttention) -> tuple[torch.nn.Linear, ...]:
    return attention.q_proj, attention.k_proj, attention.v_proj


def test_relative_bias_looks_up_key_less_query() -> None:
    bias = RelativeBias(num_buckets=320, max_distance=800, num_heads=1)
    bias.weight.data = torch.arange(320.0)[:, None]
    table = bias(900)[0]
    for query, key, bucket in [(5, 5, 0), (5, 4, 1), (4, 5, 161), (0, 79, 239), (0, 80, 240), (0, 899, 319)]:
        assert table[query, key] == bucket
    assert table[899, 0] == 159 and table[100, 900 - 1] == 319
    # 80 and farther: 80 buckets, even in the logarithm from 80 to 800
    assert table[200, 0] == 80 + int(80 * math.log(200 / 80) / math.log(10))


def test_wrong_shapes_are_told(model: Beats) -> None:
    with pytest.raises(ValueError, match=r"expected fbank \[N, F, 128\] with F of at least 16, got \[1, 50, 80\]"):
        model(torch.zeros(1, 50, 80))
    with pytest.raises(ValueError, match=r"at least 16, got \[1, 15, 128\]"):
        model(torch.zeros(1, 15, 128))
    with pytest.raises(ValueError, match=r"expected a padding mask \[1, 24\], got \[1, 3\]"):
        model(torch.zeros(1, 50, 128), torch.zeros(1, 3, dtype=torch.bool))
