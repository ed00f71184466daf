"""A step against a naive twin that embeds and scores everything one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import collap_model.training.task
from collap_model.choices import FusionName
from collap_model.form import EncoderForm, ModelForm
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs
from collap_model.text import new_tower
from collap_model.training.config import LossName, TrainConfig
from collap_model.training.data import TextsAndClips, TrainingData
from collap_model.training.distributed import World
from collap_model.training.loss import ContrastiveLoss, HardNegatives
from collap_model.training.task import ContrastiveTask
from tests.collap_model.captions import make_ordered_workspace

CONFIG = TrainConfig(text_tower="tiny", batch_size=6, clip_seconds=5, swap_negatives=0.7, dropout=0)
FUSIONS: list[FusionName] = ["attention", "token", "ordered"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    return Pairs.open(make_ordered_workspace(tmp_path_factory.mktemp("ordered")), "train")


def new_model(pairs: Pairs, fusion: FusionName) -> CoLLAP:
    torch.manual_seed(0)
    form = ModelForm(
        text_tower="tiny",
        fusion=fusion,
        dim=16,
        dropout=0,
        temperature=0.1,
        encoders=(EncoderForm(identity=pairs.store.encoder, dim=pairs.store.dim),),
        clip_seconds=5,
        max_track_seconds=300,
    )
    return CoLLAP(form, new_tower("tiny", pretrained=None, captions=pairs.captions, dropout=0))


def one_by_one(model: CoLLAP, texts: list[str], batch: TextsAndClips) -> list[list[Tensor]]:
    """Scores of every text, alone, against every track, alone and without padding."""
    tracks = []
    for clips_KE, mask_K in zip(batch.clips_JKE, batch.mask_JK, strict=True):
        real_1K = torch.ones(1, int(mask_K.sum()), dtype=torch.bool)
        tracks.append((model.embed_clips(clips_KE[mask_K][None], real_1K), real_1K))
    embedded = [model.embed_texts(model.tower.tokenize([text])) for text in texts]
    return [[model.scorer(text, *track)[0, 0] for track in tracks] for text in embedded]


@pytest.mark.parametrize("name", ["infonce", "sigmoid"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_step_equals_its_naive_twin(
    pairs: Pairs, fusion: FusionName, name: LossName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collap_model.training.task, "_OWNERS_AT_ONCE", 2)
    model, loss = new_model(pairs, fusion), ContrastiveLoss(name, 6)
    batch = TrainingData(pairs, CONFIG, World()).batch(1)
    assert 2 < len(batch.swapped) < 6
    tokens = model.tower.tokenize([*batch.texts, *batch.swapped])
    share, report = ContrastiveTask(model, loss, World())(
        tokens, batch.owners_H, batch.clips_JKE, batch.mask_JK, batch.keys_JX
    )
    scores = torch.stack([torch.stack(row) for row in one_by_one(model, batch.texts, batch)])
    false = one_by_one(model, batch.swapped, batch)
    owners = batch.owners_H.tolist()
    hard = HardNegatives(
        scores_H=torch.stack([row[owner] for row, owner in zip(false, owners, strict=True)]), owners_H=batch.owners_H
    )
    naive, _ = loss(scores, model.scale(), batch.keys_JX, hard=hard)
    assert len(report.told_apart_H) == len(batch.swapped)
    torch.testing.assert_close(share, naive, atol=1e-5, rtol=1e-5)
    parameters = [*model.parameters(), *loss.parameters()]
    for found, expected in zip(
        torch.autograd.grad(share, parameters), torch.autograd.grad(naive, parameters), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["infonce", "sigmoid"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_step_in_bfloat16_is_near_that_in_float32(pairs: Pairs, fusion: FusionName, name: LossName) -> None:
    task = ContrastiveTask(new_model(pairs, fusion), ContrastiveLoss(name, 6), World())
    batch = TrainingData(pairs, CONFIG, World()).batch(1)
    tokens = task.model.tower.tokenize([*batch.texts, *batch.swapped])
    shares, gradients = [], []
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            share, report = task(tokens, batch.owners_H, batch.clips_JKE, batch.mask_JK, batch.keys_JX)
        assert share.dtype == report.loss.dtype == torch.float32
        assert len(report.told_apart_H) == len(batch.swapped)
        shares.append(share.detach())
        gradients.append(torch.cat([grad.flatten() for grad in torch.autograd.grad(share, list(task.parameters()))]))
    torch.testing.assert_close(shares[1], shares[0], atol=0, rtol=0.01)
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


def test_a_text_cut_before_the_exchange_is_no_negative(pairs: Pairs) -> None:
    model, loss = new_model(pairs, "attention"), ContrastiveLoss("infonce", 6)
    batch = TrainingData(pairs, CONFIG, World()).batch(1)
    task = ContrastiveTask(model, loss, World())
    rest = (batch.clips_JKE, batch.mask_JK, batch.keys_JX)
    alike = [batch.texts[owner] for owner in batch.owners_H.tolist()]
    share, report = task(model.tower.tokenize([*batch.texts, *alike]), batch.owners_H, *rest)
    without, _ = task(model.tower.tokenize(batch.texts), torch.zeros(0, dtype=torch.int64), *rest)
    torch.testing.assert_close(share, without)
    assert len(report.told_apart_H) == 0
    # One that differs still counts.
    share, report = task(model.tower.tokenize([*batch.texts, batch.swapped[0], *alike[1:]]), batch.owners_H, *rest)
    assert len(report.told_apart_H) == 1
    assert share > without
