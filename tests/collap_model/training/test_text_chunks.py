"""A training step that reads texts in chunks: in one process and in two, with parts, hard negatives and dropout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

import collap_model.training.text_chunks
from collap_model.choices import FusionName
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs
from collap_model.text import new_tower
from collap_model.training.config import TrainConfig
from collap_model.training.data import TrainingData
from collap_model.training.distributed import World, join_world
from collap_model.training.loss import ContrastiveLoss
from collap_model.training.task import ContrastiveTask
from tests.collap_model.captions import make_ordered_workspace
from tests.collap_model.models import form

CONFIG = TrainConfig(text_tower="tiny", batch_size=8, clip_seconds=5, swap_negatives=0.6)
CASES: list[tuple[FusionName, float]] = [("attention", 0.3), ("token", 0.3), ("attention", 0.0), ("token", 0.0)]


def gradients(workspace: Path, world: World, fusion: FusionName, dropout: float, text_chunk: int) -> dict[str, Tensor]:
    """Of one step, as the trainer takes it; the loss among them."""
    pairs = Pairs.open(workspace, "train")
    torch.manual_seed(0)
    identity = {"identity": pairs.store.encoder, "dim": pairs.store.dim}
    tower = new_tower("tiny", pretrained=None, captions=pairs.captions, dropout=dropout)
    model = CoLLAP(form(fusion, encoders=[identity], dropout=dropout, temperature=0.5), tower)
    with torch.no_grad():  # the tiny tower begins so small that its gradients are steep and rounding is large
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    task = ContrastiveTask(model, ContrastiveLoss("infonce", 8), world, text_chunk=text_chunk)
    shared = DistributedDataParallel(task) if world.size > 1 else task
    batch = TrainingData(pairs, CONFIG, world).batch(1)
    assert batch.swapped
    tokens = model.tower.tokenize([*batch.texts, *batch.swapped])
    torch.manual_seed(10 + world.rank)
    share, report = shared(tokens, batch.owners_H, batch.clips_JKE, batch.mask_JK, batch.keys_JX)
    (share * world.size).backward()
    found: dict[str, Any] = {name: parameter.grad for name, parameter in task.named_parameters()}
    return {**found, "loss": report.loss}


def plainly(function: Any, *inputs: Tensor, **_: object) -> Any:
    """Stands for the checkpoint in a twin that keeps every activation."""
    return function(*inputs)


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-5, msg=name)


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ordered_workspace(tmp_path_factory.mktemp("ordered"))


@pytest.mark.parametrize(("fusion", "dropout"), CASES)
@pytest.mark.parametrize("size", [1, 3])
def test_a_step_in_chunks_equals_one_that_keeps_everything(
    ordered: Path, fusion: FusionName, dropout: float, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = gradients(ordered, World(), fusion, dropout, size)
    if dropout == 0.0:
        assert_equal(found, gradients(ordered, World(), fusion, dropout, 0))
    monkeypatch.setattr(collap_model.training.text_chunks, "checkpoint", plainly)
    assert_equal(found, gradients(ordered, World(), fusion, dropout, size))


def _one_rank(rank: int, size: int, rendezvous: str, workspace: Path, out: Path) -> None:
    os.environ |= {"WORLD_SIZE": str(size), "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": rendezvous}
    torch.set_num_threads(1)
    real = collap_model.training.text_chunks.checkpoint
    with join_world("cpu") as world:
        found = []
        for fusion, dropout in CASES:
            for checkpoint in (real, plainly):
                collap_model.training.text_chunks.checkpoint = checkpoint
                found.append(gradients(workspace, world, fusion, dropout, 3))
        torch.save(found, out / f"{rank}.pt")


def test_two_processes_in_chunks(ordered: Path, tmp_path: Path, free_port: int) -> None:
    """With dropout they equal two that keep everything; without, also one process that reads all at once."""
    mp.spawn(_one_rank, args=(2, str(free_port), ordered, tmp_path), nprocs=2)
    of_ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for number, (fusion, dropout) in enumerate(CASES):
        for found in of_ranks:
            assert_equal(found[2 * number], found[2 * number + 1])
        assert_equal(of_ranks[0][2 * number], of_ranks[1][2 * number])
        if dropout == 0.0:
            assert_equal(of_ranks[0][2 * number], gradients(ordered, World(), fusion, dropout, 0))
