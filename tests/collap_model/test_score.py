"""The scorer against forms that build every fused vector, pair by pair: values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from collap_model.fusion.attention import attention_scores
from collap_model.fusion.max import max_scores
from collap_model.fusion.ordered import ordered_scores
from collap_model.fusion.tiles import Fuse, Queries, Tracks, in_tiles
from collap_model.fusion.token import token_scores
from collap_model.score import FusionName, Score
from collap_model.text.texts import Texts

FUSIONS: tuple[FusionName, ...] = ("attention", "token", "ordered", "mean", "max")


def problem() -> tuple[Texts, Tensor, Tensor]:
    """7 texts of 1..4 parts, 5 tracks of 1..6 clips in 16 dimensions; padding zero, a hole in one mask."""
    torch.manual_seed(0)
    parts_mask_IP = torch.arange(4) < torch.tensor([4, 1, 3, 2, 4, 2, 3])[:, None]
    mask_JK = torch.arange(6) < torch.tensor([6, 1, 3, 5, 2])[:, None]
    mask_JK[3, 1] = False
    texts = Texts(
        text_ID=normalize(torch.randn(7, 16), dim=-1).requires_grad_(),
        parts_IPD=(normalize(torch.randn(7, 4, 16), dim=-1) * parts_mask_IP[..., None]).requires_grad_(),
        parts_mask_IP=parts_mask_IP,
    )
    return texts, (normalize(torch.randn(5, 6, 16), dim=-1) * mask_JK[..., None]).requires_grad_(), mask_JK


def leaves(texts: Texts, clips_JKD: Tensor, score: Score) -> list[Tensor]:
    """What a fusion's gradient reaches."""
    assert texts.parts_IPD is not None
    parts = [texts.parts_IPD] if score.fusion in ("token", "ordered") else []
    return [texts.text_ID, clips_JKD, *parts, *score.parameters()]


def naive_weights(score: Score, queries_PD: Tensor, clips_KD: Tensor) -> Tensor:
    """``[P, K]`` of one pair, all real."""
    products_PK = queries_PD @ clips_KD.T
    if score.fusion == "mean":
        return torch.full_like(products_PK, 1 / len(clips_KD))
    if score.fusion == "max":
        return torch.eye(len(clips_KD))[products_PK.argmax(-1)]
    free_PK = (score.tau() * products_PK).softmax(-1)
    if score.fusion != "ordered":
        return free_PK
    at_K = (torch.arange(len(clips_KD)) + 0.5) / len(clips_KD)
    away_PK = torch.zeros_like(products_PK)
    for part in range(1, len(queries_PD)):  # the first is of no place
        away_PK[part] = ((part - 0.5) / (len(queries_PD) - 1) - at_K) / score.width()
    near_PK = (score.tau() * products_PK - away_PK**2).softmax(-1)
    return (1 - score.strength) * free_PK + score.strength * near_PK


def naive(score: Score, texts: Texts, clips_JKD: Tensor, mask_JK: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and weights, one pair at a time, with the fused vector in hand."""
    assert texts.parts_IPD is not None
    assert texts.parts_mask_IP is not None
    scores_IJ, weights_IJK = torch.zeros(len(texts), len(clips_JKD)), torch.zeros(len(texts), *mask_JK.shape)
    for i, text_D in enumerate(texts.text_ID):
        parts_PD = texts.parts_IPD[i][texts.parts_mask_IP[i]]
        for j, (clips_KD, mask_K) in enumerate(zip(clips_JKD, mask_JK, strict=True)):
            real_KD = clips_KD[mask_K]
            whole = text_D @ normalize(real_KD.mean(0), dim=0)  # texts are unit vectors already
            of_parts = score.fusion in ("token", "ordered")
            weights_PK = naive_weights(score, parts_PD if of_parts else text_D[None], real_KD)
            fused_PD = weights_PK @ real_KD
            weights_IJK[i, j, mask_K] = weights_PK.mean(0).detach()
            if score.fusion == "mean":
                scores_IJ[i, j] = whole
            elif score.fusion == "max":
                scores_IJ[i, j] = fused_PD[0] @ text_D
            else:
                found = (parts_PD * fused_PD).sum(-1).mean() if of_parts else text_D @ normalize(fused_PD[0], dim=0)
                scores_IJ[i, j] = (1 - score.lam) * whole + score.lam * found
    return scores_IJ, weights_IJK


@pytest.mark.parametrize("elements", [1, 40, 150, 10**6])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_equals_the_materialised_form_forward_and_backward(fusion: FusionName, elements: int) -> None:
    texts, clips_JKD, mask_JK = problem()
    score = Score(fusion, elements_per_tile=elements)
    weight_IJ = torch.randn(7, 5)
    ours, (oracle, oracle_weights) = score(texts, clips_JKD, mask_JK), naive(score, texts, clips_JKD, mask_JK)
    torch.testing.assert_close(ours, oracle, atol=2e-6, rtol=0)
    inputs = leaves(texts, clips_JKD, score)
    grads = torch.autograd.grad((ours * weight_IJ).sum(), inputs)
    oracle_grads = torch.autograd.grad((oracle * weight_IJ).sum(), inputs)
    for grad, expected in zip(grads, oracle_grads, strict=True):
        torch.testing.assert_close(grad, expected, atol=1e-5, rtol=1e-5)
    weights_IJK = score.attention_weights(texts, clips_JKD, mask_JK)
    torch.testing.assert_close(weights_IJK, oracle_weights, atol=1e-6, rtol=0)


@pytest.mark.parametrize("elements", [1, 60, 10**6])
@pytest.mark.parametrize(
    ("fuse", "numbers"),
    [(attention_scores, [3.0]), (token_scores, [3.0]), (ordered_scores, [3.0, 0.3, 0.6]), (max_scores, [])],
)
def test_gradients_are_exact_in_double(fuse: Fuse, numbers: list[float], elements: int) -> None:
    torch.manual_seed(1)
    mask_JK = torch.arange(4) < torch.tensor([2, 4, 1])[:, None]
    clips_JKD = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    vectors_QD = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    learned = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers]
    at_Q, at_JK = torch.rand(6, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64)

    def run(vectors_QD: Tensor, clips_JKD: Tensor, *numbers: Tensor) -> Tensor:
        queries = Queries(vectors_QD=vectors_QD, at_Q=at_Q, counts=[3, 1, 2])
        tracks = Tracks(clips_JKD=clips_JKD, mask_JK=mask_JK, at_JK=at_JK, extents=[2, 4, 1])
        return in_tiles(fuse, queries, tracks, *numbers, elements=elements)

    assert torch.autograd.gradcheck(run, (vectors_QD, clips_JKD, *learned))


def test_clips_that_cancel_out_give_finite_gradients() -> None:
    clips_JKD = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]], requires_grad=True)
    texts = Texts(text_ID=torch.tensor([[0.0, 1.0]], requires_grad=True))  # as near to the one as to the other
    scores_IJ = Score("attention")(texts, clips_JKD, torch.ones(1, 2, dtype=torch.bool))
    assert scores_IJ.item() == 0.0
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(scores_IJ.sum(), [texts.text_ID, clips_JKD]))


@pytest.mark.parametrize("junk", [0.0, 7.0, float("nan"), float("inf")])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_padding_changes_nothing_and_cannot_poison(fusion: FusionName, junk: float) -> None:
    texts, clips_JKD, mask_JK = problem()
    assert texts.parts_IPD is not None
    assert texts.parts_mask_IP is not None
    score = Score(fusion, elements_per_tile=100)
    plain = score(texts, clips_JKD, mask_JK)
    no_clips, no_parts = torch.zeros(5, 3, dtype=torch.bool), torch.zeros(7, 2, dtype=torch.bool)
    mask_JK, parts_mask_IP = torch.cat([mask_JK, no_clips], 1), torch.cat([texts.parts_mask_IP, no_parts], 1)
    clips_JKD = torch.cat([clips_JKD.detach(), torch.zeros(5, 3, 16)], 1).masked_fill(~mask_JK[..., None], junk)
    parts_IPD = torch.cat([texts.parts_IPD.detach(), torch.zeros(7, 2, 16)], 1)
    padded = Texts(
        text_ID=texts.text_ID,
        parts_IPD=parts_IPD.masked_fill(~parts_mask_IP[..., None], junk).requires_grad_(),
        parts_mask_IP=parts_mask_IP,
    )
    result = score(padded, clips_JKD.requires_grad_(), mask_JK)
    torch.testing.assert_close(result, plain, atol=1e-6, rtol=0)
    weights_IJK = score.attention_weights(padded, clips_JKD, mask_JK)
    torch.testing.assert_close(weights_IJK.sum(-1), torch.ones(7, 5))
    assert (weights_IJK.transpose(0, 1)[~mask_JK.unsqueeze(1).expand(-1, 7, -1)] == 0).all()
    grads = torch.autograd.grad(result.sum(), leaves(padded, clips_JKD, score))
    assert all(grad.isfinite().all() for grad in grads)
    assert (grads[1][~mask_JK] == 0).all()
    if score.fusion in ("token", "ordered"):
        assert (grads[2][~parts_mask_IP] == 0).all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_ragged_tracks_and_texts_alone_score_as_in_company(fusion: FusionName) -> None:
    texts, clips_JKD, mask_JK = problem()
    assert texts.parts_IPD is not None
    assert texts.parts_mask_IP is not None
    score = Score(fusion)
    together_IJ = score(texts, clips_JKD, mask_JK)
    for i in range(7):
        parts_1PD = texts.parts_IPD[i][texts.parts_mask_IP[i]][None]
        alone = Texts(text_ID=texts.text_ID[i : i + 1], parts_IPD=parts_1PD, parts_mask_IP=parts_1PD[..., 0] != 0)
        for j in range(5):
            real_1KD = clips_JKD[j][mask_JK[j]][None]
            single = score(alone, real_1KD, torch.ones(real_1KD.shape[:2], dtype=torch.bool))
            torch.testing.assert_close(single[0, 0], together_IJ[i, j], atol=1e-6, rtol=0)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_scores_are_float32_cosines_under_autocast(fusion: FusionName) -> None:
    texts, clips_JKD, mask_JK = problem()
    score = Score(fusion)
    with torch.autocast("cpu", torch.bfloat16):
        scores_IJ = score(texts, clips_JKD, mask_JK)
    assert scores_IJ.dtype == torch.float32
    plain_IJ = score(texts, clips_JKD, mask_JK)
    torch.testing.assert_close(scores_IJ, plain_IJ, atol=0, rtol=0)
    assert scores_IJ.abs().max() <= 1 + 1e-6
    inputs = leaves(texts, clips_JKD, score)
    grads = torch.autograd.grad(scores_IJ.sum(), inputs)
    torch.testing.assert_close(grads, torch.autograd.grad(plain_IJ.sum(), inputs), atol=0, rtol=0)


def test_tiles_are_computed_again_in_float32_even_if_backward_runs_under_autocast() -> None:
    texts, clips_JKD, mask_JK = problem()
    inputs = [texts.text_ID, clips_JKD]
    plain_grads = torch.autograd.grad(Score("max")(texts, clips_JKD, mask_JK).sum(), inputs)
    with torch.autocast("cpu", torch.bfloat16):
        grads = torch.autograd.grad(Score("max")(texts, clips_JKD, mask_JK).sum(), inputs)
    torch.testing.assert_close(grads, plain_grads, atol=0, rtol=0)


def test_bfloat16_embeddings_are_scored_in_float32_and_get_their_gradient() -> None:
    texts, clips_JKD, mask_JK = problem()
    half_JKD = clips_JKD.detach().bfloat16().requires_grad_()
    scores_IJ = Score("attention")(texts, half_JKD, mask_JK)
    torch.testing.assert_close(scores_IJ, Score("attention")(texts, half_JKD.float(), mask_JK), atol=0, rtol=0)
    (grad,) = torch.autograd.grad(scores_IJ.sum(), half_JKD)
    assert grad.dtype == torch.bfloat16
    assert grad.abs().sum() > 0


def test_one_clip_makes_all_fusions_of_whole_texts_equal() -> None:
    texts, clips_JKD, _ = problem()
    only = torch.ones(5, 1, dtype=torch.bool)
    attention, mean, best = (Score(name)(texts, clips_JKD[:, :1], only) for name in ("attention", "mean", "max"))
    torch.testing.assert_close(attention, mean, atol=1e-6, rtol=0)
    torch.testing.assert_close(attention, best, atol=1e-6, rtol=0)


def test_ordered_hears_the_order_of_sections_and_token_does_not() -> None:
    """A track of two sections, a caption telling of both, and the same caption with them swapped."""
    torch.manual_seed(0)
    calm_D, loud_D = normalize(torch.randn(2, 16), dim=-1)
    clips_JKD = torch.stack([calm_D, calm_D, calm_D, loud_D, loud_D, loud_D])[None]
    both_D = normalize(calm_D + loud_D, dim=-1)  # what the summary says
    told = torch.stack([torch.stack([both_D, calm_D, loud_D]), torch.stack([both_D, loud_D, calm_D])])
    texts = Texts(
        text_ID=normalize(told.sum(1), dim=-1), parts_IPD=told, parts_mask_IP=torch.ones(2, 3, dtype=torch.bool)
    )
    mask_JK = torch.ones(1, 6, dtype=torch.bool)
    ordered, token = Score("ordered"), Score("token")
    right, swapped = ordered(texts, clips_JKD, mask_JK)[:, 0].tolist()
    assert right > swapped + 0.02
    told_right, told_swapped = token(texts, clips_JKD, mask_JK)[:, 0].tolist()
    assert told_right == pytest.approx(told_swapped, abs=1e-6)
    with torch.no_grad():  # the sharpest attention can still not ignore where it looks
        ordered.tau.logit.fill_(50.0)
        ordered.width.logit.fill_(-50.0)
        ordered.strength_logit.fill_(50.0)
    right, swapped = ordered(texts, clips_JKD, mask_JK)[:, 0].tolist()
    assert right > swapped + 0.2


def test_ordered_without_strength_is_token() -> None:
    texts, clips_JKD, mask_JK = problem()
    ordered, token = Score("ordered"), Score("token")
    token.tau.load_state_dict(ordered.tau.state_dict())  # the two begin at others
    assert not torch.allclose(ordered(texts, clips_JKD, mask_JK), token(texts, clips_JKD, mask_JK), atol=1e-4)
    with torch.no_grad():
        ordered.strength_logit.fill_(-torch.inf)
    torch.testing.assert_close(ordered(texts, clips_JKD, mask_JK), token(texts, clips_JKD, mask_JK), atol=0, rtol=0)


def test_learned_numbers_keep_their_bounds() -> None:
    score = Score("ordered")
    assert score.tau().item() == pytest.approx(5.0, rel=1e-5)
    assert score.width().item() == pytest.approx(0.07, rel=1e-5)
    with torch.no_grad():
        score.tau.logit.fill_(50.0)
        score.width.logit.fill_(-50.0)
        score.lam_logit.fill_(-50.0)
        score.strength_logit.fill_(50.0)
    assert score.tau().item() == pytest.approx(100.0, rel=1e-5)
    assert score.width().item() == pytest.approx(0.02, rel=1e-5)
    assert 0.0 <= score.lam.item() <= 1e-6
    assert 1 - 1e-6 <= score.strength.item() <= 1.0


@pytest.mark.parametrize("fusion", ["attention", "token", "ordered", "max"])
def test_no_tensor_is_larger_than_a_tile_and_the_inputs(fusion: FusionName) -> None:
    """Neither forward nor backward, nor in what autograd keeps."""
    torch.manual_seed(0)
    parts_mask_IP = torch.arange(5) < torch.randint(1, 6, (40, 1))
    texts = Texts(
        text_ID=torch.randn(40, 8).requires_grad_(),
        parts_IPD=torch.randn(40, 5, 8).requires_grad_(),
        parts_mask_IP=parts_mask_IP,
    )
    clips_JKD, mask_JK = torch.randn(30, 6, 8).requires_grad_(), torch.arange(6) < torch.randint(1, 7, (30, 1))
    score, elements = Score(fusion, elements_per_tile=2000), []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **(kwargs or {}))
            elements.extend(
                item.numel() for item in torch.utils._pytree.tree_leaves(result) if isinstance(item, Tensor)
            )
            return result

    with Watch():
        score(texts, clips_JKD, mask_JK).sum().backward()
    pairs = (len(texts) if fusion in ("attention", "max") else int(parts_mask_IP.sum())) * mask_JK.numel()
    assert pairs > 3 * max(elements)
    assert max(elements) <= max(2000, clips_JKD.numel(), 40 * 5 * 8)
    assert len(elements) > 100


@pytest.mark.parametrize("fusion", FUSIONS)
def test_refuses_tracks_without_clips(fusion: FusionName) -> None:
    texts, clips_JKD, mask_JK = problem()
    mask_JK[2] = False
    with pytest.raises(ValueError, match="track 2 has no real clip"):
        Score(fusion)(texts, clips_JKD, mask_JK)


def test_refuses_texts_without_parts() -> None:
    texts, clips_JKD, mask_JK = problem()
    assert texts.parts_mask_IP is not None
    with pytest.raises(ValueError, match="the ordered fusion reads parts"):
        Score("ordered")(Texts(text_ID=texts.text_ID), clips_JKD, mask_JK)
    texts.parts_mask_IP[4] = False
    with pytest.raises(ValueError, match="text 4 has no real part"):
        Score("token")(texts, clips_JKD, mask_JK)


def test_refuses_shapes_that_do_not_fit() -> None:
    texts, clips_JKD, mask_JK = problem()
    with pytest.raises(ValueError, match=r"clips \[J, K, 16\]"):
        Score("mean")(texts, clips_JKD[..., :8], mask_JK)
    with pytest.raises(ValueError, match="mask"):
        Score("mean")(texts, clips_JKD, mask_JK[:, :3])
    with pytest.raises(ValueError, match="do not fit their mask"):
        Score("token")(
            Texts(text_ID=texts.text_ID, parts_IPD=texts.parts_IPD, parts_mask_IP=mask_JK), clips_JKD, mask_JK
        )


def test_refuses_empty_tiles() -> None:
    with pytest.raises(ValueError, match="elements_per_tile"):
        Score("mean", elements_per_tile=0)
