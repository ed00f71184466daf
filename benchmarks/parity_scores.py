"""The score against forms that build every attended track, and a model against itself once saved. See ``parity``.

Shapes: I texts, P parts, J tracks, K clips, D joint dim, E encoder dim.
"""

from __future__ import annotations

import tempfile
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.parity_frontends import largest
from collap_model.choices import FusionName
from collap_model.form import ModelForm
from collap_model.model import CoLLAP
from collap_model.score import FUSIONS_OF_PARTS, Score
from collap_model.text import new_tower
from collap_model.text.texts import Texts

__all__ = ["gradients", "padding", "saved", "values"]

_CAPTIONS = ("A slow piano opens. Then drums come in, and it turns bright.", "Fast guitars.", "A choir over an organ.")


def values(fusion: FusionName) -> float:
    ours, theirs, _ = _both(fusion)
    return largest(ours.detach(), theirs.detach())


def gradients(fusion: FusionName) -> float:
    """Of a random sum of all scores, for texts, parts, clips and every learned number."""
    ours, theirs, inputs = _both(fusion)
    weight_IJ = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    pairs = zip(*(torch.autograd.grad((scores * weight_IJ).sum(), inputs) for scores in (ours, theirs)), strict=True)
    return max(largest(one, other) for one, other in pairs)


@torch.no_grad()
def padding(fusion: FusionName) -> float:
    """Ragged texts and tracks in one batch, NaN where they are padded, against each pair alone."""
    texts, clips_JKD, mask_JK = _problem()
    assert texts.parts_IPD is not None
    assert texts.parts_mask_IP is not None
    score = _score(fusion)
    rotten = Texts(
        text_ID=texts.text_ID,
        parts_IPD=texts.parts_IPD.masked_fill(~texts.parts_mask_IP[..., None], torch.nan),
        parts_mask_IP=texts.parts_mask_IP,
    )
    together_IJ = score(rotten, clips_JKD.masked_fill(~mask_JK[..., None], torch.nan), mask_JK)
    alone_IJ = torch.empty_like(together_IJ)
    for i, mask_P in enumerate(texts.parts_mask_IP):
        text = Texts(
            text_ID=texts.text_ID[i : i + 1],
            parts_IPD=texts.parts_IPD[i : i + 1, mask_P],
            parts_mask_IP=mask_P[mask_P][None],
        )
        for j, mask_K in enumerate(mask_JK):
            alone_IJ[i, j] = score(text, clips_JKD[j : j + 1, mask_K], mask_K[mask_K][None])
    return largest(together_IJ, alone_IJ)


@torch.no_grad()
def saved(fusion: FusionName) -> float:
    """Scores of a model and of the same model saved and loaded."""
    torch.manual_seed(0)
    form = ModelForm.model_validate(
        {
            "text_tower": "tiny",
            "fusion": fusion,
            "dim": 32,
            "dropout": 0.1,
            "temperature": 0.07,
            "encoders": [{"identity": "random", "dim": 24}],
            "clip_seconds": 10,
            "max_track_seconds": 300,
        }
    )
    model = CoLLAP(form, new_tower("tiny", pretrained=None, captions=_CAPTIONS, dropout=0.1)).eval()
    for parameter in model.parameters():  # numbers that start as constants would come back without being saved
        parameter.add_(0.1 * torch.randn_like(parameter))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        again = CoLLAP.from_pretrained(folder)
    clips_JKE = torch.randn(5, 12, 24)
    mask_JK = torch.arange(12) < torch.tensor([12, 1, 5, 9, 3])[:, None]
    return largest(
        *(m.scorer(m.embed_text(_CAPTIONS), m.embed_clips(clips_JKE, mask_JK), mask_JK) for m in (model, again))
    )


@cache
def _score(fusion: FusionName) -> Score:
    """In tiles far smaller than the problem."""
    return Score(fusion, elements_per_tile=500)


def _problem() -> tuple[Texts, Tensor, Tensor]:
    """24 texts of 1 to 6 parts and 16 tracks of 1 to 12 clips in 32 dimensions."""
    generator = torch.Generator().manual_seed(0)
    parts_mask_IP = torch.arange(6) < torch.randint(1, 7, (24, 1), generator=generator)
    mask_JK = torch.arange(12) < torch.randint(1, 13, (16, 1), generator=generator)
    parts_IPD = normalize(torch.randn(24, 6, 32, generator=generator), dim=-1) * parts_mask_IP[..., None]
    clips_JKD = normalize(torch.randn(16, 12, 32, generator=generator), dim=-1) * mask_JK[..., None]
    text_ID = normalize(torch.randn(24, 32, generator=generator), dim=-1)
    return Texts(text_ID=text_ID, parts_IPD=parts_IPD, parts_mask_IP=parts_mask_IP), clips_JKD, mask_JK


def _both(fusion: FusionName) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Scores in tiles, scores materialised, and what both have gradients for."""
    texts, clips_JKD, mask_JK = _problem()
    assert texts.parts_IPD is not None
    score = _score(fusion)
    inputs = [texts.text_ID, clips_JKD, *([texts.parts_IPD] if fusion in FUSIONS_OF_PARTS else [])]
    for leaf in inputs:
        leaf.requires_grad_()
    ours, theirs = score(texts, clips_JKD, mask_JK), _materialised(score, texts, clips_JKD, mask_JK)
    return ours, theirs, [*inputs, *score.parameters()]


def _materialised(score: Score, texts: Texts, clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
    """The scores as they are defined, by way of the tracks ``[I, J, P, D]`` that every part makes of every track."""
    text_ID, parts_IPD, mask_IP = texts.text_ID, texts.parts_IPD, texts.parts_mask_IP
    assert parts_IPD is not None
    assert mask_IP is not None
    whole_IJ = text_ID @ normalize((clips_JKD * mask_JK[..., None]).sum(1), dim=-1).T
    if score.fusion == "mean":
        return whole_IJ
    if score.fusion == "max":
        return (text_ID @ clips_JKD.mT).masked_fill(~mask_JK[:, None], -torch.inf).amax(-1).T
    queries_IPD = parts_IPD if score.fusion in FUSIONS_OF_PARTS else text_ID[:, None]
    products_IJPK = torch.einsum("ipd,jkd->ijpk", queries_IPD, clips_JKD)
    logits_IJPK = (score.tau() * products_IJPK).masked_fill(~mask_JK[:, None], -torch.inf)
    weights_IJPK = logits_IJPK.softmax(-1)
    if score.fusion == "ordered":
        at_JK = (mask_JK.cumsum(1) - 0.5) / mask_JK.sum(1, keepdim=True)
        at_IP = (torch.arange(mask_IP.shape[1]) - 0.5) / (mask_IP.sum(1, keepdim=True) - 1).clamp(min=1)
        away_IJPK = (at_IP[:, None, :, None] - at_JK[None, :, None]) / score.width()
        away_IJPK[:, :, 0] = 0.0  # the summary is of no place
        weights_IJPK = torch.lerp(weights_IJPK, (logits_IJPK - away_IJPK.square()).softmax(-1), score.strength)
    fused_IJPD = torch.einsum("ijpk,jkd->ijpd", weights_IJPK, clips_JKD)
    if score.fusion == "attention":
        found_IJ = torch.einsum("id,ijd->ij", text_ID, normalize(fused_IJPD[:, :, 0], dim=-1))
    else:
        of_parts_IJP = torch.einsum("ipd,ijpd->ijp", parts_IPD, fused_IJPD) * mask_IP[:, None]
        found_IJ = of_parts_IJP.sum(-1) / mask_IP.sum(1, keepdim=True)
    return (1 - score.lam) * whole_IJ + score.lam * found_IJ
