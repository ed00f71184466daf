from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from collap_model.bounded import BoundedScale
from collap_model.distributed import World, gather, join_world
from collap_model.loss import symmetric_infonce
from collap_model.score import Score


def distinct_keys(num: int) -> torch.Tensor:
    return torch.stack([torch.arange(num), torch.arange(num) + 1000], 1)


def test_equals_two_cross_entropies() -> None:
    torch.manual_seed(0)
    scores_BB = torch.randn(6, 6, requires_grad=True)
    scale = torch.tensor(5.0, requires_grad=True)
    share, report = symmetric_infonce(scores_BB, scale, distinct_keys(6))
    target = torch.arange(6)
    oracle = (cross_entropy(scale * scores_BB, target) + cross_entropy(scale * scores_BB.T, target)) / 2
    torch.testing.assert_close(share, oracle)
    torch.testing.assert_close(report.loss, oracle.detach())
    for ours, expected in zip(
        torch.autograd.grad(share, [scores_BB, scale]), torch.autograd.grad(oracle, [scores_BB, scale]), strict=True
    ):
        torch.testing.assert_close(ours, expected)


def test_pairs_that_share_a_key_are_no_negatives() -> None:
    scores_BB = torch.randn(4, 4, requires_grad=True)
    keys = distinct_keys(4)
    keys[2, 1] = keys[0, 1]  # the same caption
    share, report = symmetric_infonce(scores_BB, torch.tensor(3.0), keys)
    share.backward()
    assert scores_BB.grad is not None
    assert scores_BB.grad[0, 2] == 0
    assert scores_BB.grad[2, 0] == 0
    assert scores_BB.grad[0, 1] != 0
    assert report.loss.isfinite()


def test_knowing_nothing_costs_the_logarithm_of_the_batch() -> None:
    share, _ = symmetric_infonce(torch.zeros(8, 8), torch.tensor(10.0), distinct_keys(8))
    assert share.item() == pytest.approx(math.log(8))


def test_refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="6 texts against 5 tracks"):
        symmetric_infonce(torch.zeros(6, 5), torch.tensor(1.0), distinct_keys(6))


def test_scale_stays_bounded_and_keeps_its_gradient() -> None:
    scale = BoundedScale(1.0, 100.0, init=1 / 0.07)
    assert scale().item() == pytest.approx(1 / 0.07, rel=1e-5)
    with torch.no_grad():
        scale.logit.fill_(6.0)
    scale().backward()
    assert 1.0 < scale().item() <= 100.0
    assert scale.logit.grad is not None
    assert scale.logit.grad.item() > 0
    with pytest.raises(ValueError, match="low < init < high"):
        BoundedScale(1.0, 100.0, init=100.0)


class Toy(nn.Module):
    """Two linear towers, attention fusion, learned temperature, as one process or as a part of several."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.text, self.audio = nn.Linear(5, 4), nn.Linear(6, 4)
        self.score, self.scale = Score("attention", texts_per_chunk=3), BoundedScale(1.0, 100.0, init=10.0)

    def loss(self, world: World) -> torch.Tensor:
        generator = torch.Generator().manual_seed(4)
        texts, clips = torch.randn(8, 5, generator=generator), torch.randn(8, 3, 6, generator=generator)
        keys = distinct_keys(8)
        keys[7, 1] = keys[1, 1]  # a caption twice, on different ranks
        mask = torch.arange(3) < torch.tensor([3, 1, 2, 3, 3, 1, 2, 2])[:, None]
        own = slice(world.rank * 8 // world.size, (world.rank + 1) * 8 // world.size)
        text_BD = gather(normalize(self.text(texts[own]), dim=-1), world)
        scores_BN = self.score(text_BD, normalize(self.audio(clips[own]), dim=-1), mask[own])
        share, report = symmetric_infonce(scores_BN, self.scale(), gather(keys[own], world), world)
        self.reported = report.loss
        return share


def _one_rank(rank: int, size: int, rendezvous: str, out: str) -> None:
    os.environ |= {"WORLD_SIZE": str(size), "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": rendezvous}
    torch.set_num_threads(1)
    with join_world("cpu") as world:
        toy = Toy()
        ddp = nn.parallel.DistributedDataParallel(_Wrapped(toy, world))
        (ddp() * world.size).backward()
        gradients = {name: parameter.grad for name, parameter in toy.named_parameters()}
        torch.save({"gradients": gradients, "loss": toy.reported}, f"{out}/{rank}.pt")


class _Wrapped(nn.Module):
    def __init__(self, toy: Toy, world: World) -> None:
        super().__init__()
        self.toy, self.world = toy, world

    def forward(self) -> torch.Tensor:
        return self.toy.loss(self.world)


def test_two_processes_give_the_gradients_of_one(tmp_path: Path, free_port: int) -> None:
    toy = Toy()
    share = toy.loss(World())
    share.backward()
    mp.spawn(_one_rank, args=(2, str(free_port), str(tmp_path)), nprocs=2)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["loss"], share.detach(), atol=1e-6, rtol=0)
        for name, parameter in toy.named_parameters():
            torch.testing.assert_close(found["gradients"][name], parameter.grad, atol=1e-6, rtol=1e-5, msg=name)
