"""Checkpoints of a run: a folder per step that is either absent or whole.

    run/checkpoints/step-00000500/model/...   as ``CoLLAP.save_pretrained`` writes it
    run/checkpoints/step-00000500/state.pt    what the loss learned, optimiser and step
    run/model/                                the finished model

Random state is not stored: order, augmentation and dropout of a step are functions of the seed
and the step.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from collap_model.model import CoLLAP
from collap_model.task import ContrastiveTask

__all__ = ["final_model", "latest_checkpoint", "load_checkpoint", "publish_model", "save_checkpoint"]

_KEEP = 2
_PREFIX = "step-"


def final_model(run: Path) -> Path:
    """Where a finished run leaves its model."""
    return run / "model"


def latest_checkpoint(run: Path) -> Path | None:
    """The newest whole checkpoint of a run."""
    found = sorted((run / "checkpoints").glob(f"{_PREFIX}*"))
    return found[-1] if found else None


def save_checkpoint(run: Path, task: ContrastiveTask, optimiser: torch.optim.Optimizer, step: int) -> Path:
    """Write the state after ``step`` steps, then remove all but the newest two."""
    folder = run / "checkpoints" / f"{_PREFIX}{step:08d}"
    if not folder.exists():
        building = _fresh(folder.parent / f".building-{folder.name}")
        task.model.save_pretrained(building / "model")
        state = {"loss": task.loss.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
        torch.save(state, building / "state.pt")
        _commit(building, folder)
    for old in sorted(folder.parent.glob(f"{_PREFIX}*"))[:-_KEEP]:
        # Renamed first: a kill amid removal must not leave half a checkpoint under a whole one's name.
        shutil.rmtree(old.rename(old.with_name(f".removing-{old.name}")))
    return folder


def load_checkpoint(folder: Path, task: ContrastiveTask, optimiser: torch.optim.Optimizer) -> int:
    """Restore loss and optimiser and return the number of steps done; the weights are in ``folder / "model"``."""
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    task.loss.load_state_dict(state["loss"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def publish_model(run: Path, model: CoLLAP) -> Path:
    """Write ``run/model``, unless a run killed after this very step already did."""
    folder = final_model(run)
    if not folder.exists():
        building = _fresh(run / ".building-model")
        model.save_pretrained(building)
        _commit(building, folder)
    return folder


def _fresh(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def _commit(building: Path, folder: Path) -> None:
    """Make all of ``building`` durable, then give it its name in one step."""
    for path in [*building.rglob("*"), building]:
        _sync(path)
    building.rename(folder)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
