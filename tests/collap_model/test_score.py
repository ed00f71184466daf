"""The scorer against forms that build every fused vector, values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from collap_model.score import FusionName, Score

FUSIONS: tuple[FusionName, ...] = ("attention", "mean", "max")


def problem(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Texts ``[7, 16]``, clips ``[5, 6, 16]`` with ragged masks, one track of a single clip."""
    torch.manual_seed(0)
    text_ID = normalize(torch.randn(7, 16, dtype=dtype), dim=-1)
    clips_JKD = normalize(torch.randn(5, 6, 16, dtype=dtype), dim=-1)
    mask_JK = torch.arange(6) < torch.tensor([6, 1, 3, 5, 2])[:, None]
    return text_ID.requires_grad_(), clips_JKD.requires_grad_(), mask_JK


def naive(score: Score, text_ID: Tensor, clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
    """One pair at a time, with the fused vector in hand."""
    rows = []
    for text_D in text_ID:
        row = []
        for clips_KD, mask_K in zip(clips_JKD, mask_JK, strict=True):
            real_KD = clips_KD[mask_K]
            products_K = real_KD @ text_D
            whole = text_D @ normalize(real_KD.mean(0), dim=0)  # texts are unit vectors already
            if score.fusion == "mean":
                row.append(whole)
            elif score.fusion == "max":
                row.append(products_K.max())
            else:
                fused_D = torch.softmax(score.tau() * products_K, 0) @ real_KD
                row.append((1 - score.lam) * whole + score.lam * (text_D @ normalize(fused_D, dim=0)))
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize("texts_per_chunk", [1, 3, 7, 100])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_equals_the_materialised_form_forward_and_backward(fusion: FusionName, texts_per_chunk: int) -> None:
    text_ID, clips_JKD, mask_JK = problem()
    score = Score(fusion, texts_per_chunk=texts_per_chunk)
    inputs = [text_ID, clips_JKD, *score.parameters()]
    weight_IJ = torch.randn(7, 5)
    ours, oracle = score(text_ID, clips_JKD, mask_JK), naive(score, text_ID, clips_JKD, mask_JK)
    torch.testing.assert_close(ours, oracle, atol=2e-6, rtol=0)
    grads = torch.autograd.grad((ours * weight_IJ).sum(), inputs)
    oracle_grads = torch.autograd.grad((oracle * weight_IJ).sum(), inputs)
    for grad, expected in zip(grads, oracle_grads, strict=True):
        torch.testing.assert_close(grad, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("junk", [0.0, 7.0, float("nan"), float("inf")])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_padding_changes_nothing_and_cannot_poison(fusion: FusionName, junk: float) -> None:
    text_ID, clips_JKD, mask_JK = problem()
    score = Score(fusion, texts_per_chunk=3)
    plain = score(text_ID, clips_JKD, mask_JK)
    padded_JKD = torch.cat([clips_JKD.detach().masked_fill(~mask_JK[..., None], junk), torch.full((5, 3, 16), junk)], 1)
    padded_JKD.requires_grad_()
    mask = torch.cat([mask_JK, torch.zeros(5, 3, dtype=torch.bool)], 1)
    result = score(text_ID, padded_JKD, mask)
    torch.testing.assert_close(result, plain, atol=1e-6, rtol=0)
    grads = torch.autograd.grad(result.sum(), [text_ID, padded_JKD, *score.parameters()])
    assert all(grad.isfinite().all() for grad in grads)
    assert (grads[1][~mask] == 0).all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_scores_are_float32_cosines_under_autocast(fusion: FusionName) -> None:
    text_ID, clips_JKD, mask_JK = problem()
    score = Score(fusion)
    with torch.autocast("cpu", torch.bfloat16):
        scores_IJ = score(text_ID, clips_JKD, mask_JK)
    assert scores_IJ.dtype == torch.float32
    torch.testing.assert_close(scores_IJ, score(text_ID, clips_JKD, mask_JK), atol=0, rtol=0)
    assert scores_IJ.abs().max() <= 1 + 1e-6


def test_one_clip_makes_all_fusions_equal() -> None:
    text_ID, clips_JKD, _ = problem()
    only = torch.ones(5, 1, dtype=torch.bool)
    results = [Score(fusion)(text_ID, clips_JKD[:, :1], only) for fusion in FUSIONS]
    torch.testing.assert_close(results[0], results[1], atol=1e-6, rtol=0)
    torch.testing.assert_close(results[0], results[2], atol=1e-6, rtol=0)


def test_learned_numbers_keep_their_bounds() -> None:
    score = Score("attention")
    assert score.tau().item() == pytest.approx(10.0, rel=1e-5)
    with torch.no_grad():
        score.tau.logit.fill_(50.0)
        score.lam_logit.fill_(-50.0)
    assert score.tau().item() == pytest.approx(100.0, rel=1e-5)
    assert 0.0 <= score.lam.item() <= 1e-6


def test_refuses_empty_chunks() -> None:
    with pytest.raises(ValueError, match="texts_per_chunk"):
        Score("mean", texts_per_chunk=0)
