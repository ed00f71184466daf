"""How a world ends. A process in which DistributedDataParallel outlives the process group may never do so."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

import collap_model.training.trainer
from collap_model.training.config import TrainConfig
from collap_model.training.trainer import NotFinite, train
from tests.collap_model.workspaces import make_workspace

CONFIG = TrainConfig(
    text_tower="tiny", dim=16, batch_size=4, steps=3, warmup_steps=1, threads=1, device="cpu", log_to="none"
)


def _one_rank(rank: int, rendezvous: str, folder: Path, fails: bool) -> None:
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": rendezvous}
    destroy, clip = dist.destroy_process_group, collap_model.training.trainer.nn.utils.clip_grad_norm_
    alive: list[int] = []

    def watched() -> None:
        alive.append(sum(isinstance(item, DistributedDataParallel) for item in gc.get_objects()))
        destroy()

    def not_finite(*args: object) -> object:
        return clip(*args) * float("nan")

    dist.destroy_process_group = watched
    if fails:
        collap_model.training.trainer.nn.utils.clip_grad_norm_ = not_finite
    try:
        train(CONFIG, folder / "work", folder / "run")
        ended = "well"
    except NotFinite:
        ended = "not finite"
    (folder / f"{rank}.txt").write_text(f"{ended} {alive}")


@pytest.mark.parametrize(("fails", "expected"), [(False, "well [0]"), (True, "not finite [0]")])
def test_nothing_holds_the_group_when_it_is_destroyed(
    tmp_path: Path, free_port: int, fails: bool, expected: str
) -> None:
    make_workspace(tmp_path / "work")
    mp.spawn(_one_rank, args=(str(free_port), tmp_path, fails), nprocs=2)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)] == [expected] * 2
