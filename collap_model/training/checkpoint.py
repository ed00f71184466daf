"""Checkpoints of a run: a folder per step that is either absent or whole.

    run/checkpoints/step-00000500/model/...   as ``CoLLAP.save_pretrained`` writes it
    run/checkpoints/step-00000500/state.pt    what the loss learned, optimiser and step
    run/checkpoints/best-00000400/model/...   the best weights so far, by ``validation``
    run/checkpoints/best-00000400/validation.json
    run/model/                                the finished model: the best, or the last where none was measured

Random state is not stored: order, augmentation and dropout of a step are functions of the seed
and the step.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

import torch

from collap_model.model import CoLLAP
from collap_model.training.task import ContrastiveTask
from collap_model.training.validation import Validation

__all__ = [
    "best_checkpoint",
    "final_model",
    "latest_checkpoint",
    "load_checkpoint",
    "publish_model",
    "save_best",
    "save_checkpoint",
]

_PREFIX = "step-"
_BEST = "best-"


def final_model(run: Path) -> Path:
    """Where a finished run leaves its model."""
    return run / "model"


def latest_checkpoint(run: Path) -> Path | None:
    """The newest whole checkpoint of a run."""
    found = sorted((run / "checkpoints").glob(f"{_PREFIX}*"))
    return found[-1] if found else None


def save_checkpoint(
    run: Path, task: ContrastiveTask, optimiser: torch.optim.Optimizer, step: int, *, keep: int
) -> Path:
    """Write the state after ``step`` steps, then remove all but the newest ``keep``."""
    folder = run / "checkpoints" / f"{_PREFIX}{step:08d}"
    if not folder.exists():
        building = _fresh(folder.parent / f".building-{folder.name}")
        task.model.save_pretrained(building / "model")
        state = {"loss": task.loss.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
        torch.save(state, building / "state.pt")
        _commit(building, folder)
    for old in sorted(folder.parent.glob(f"{_PREFIX}*"))[:-keep]:
        _remove(old)
    return folder


def best_checkpoint(run: Path) -> tuple[Path, Validation] | None:
    """The best weights that a run has measured, and what was measured of them.

    They may be of a later step than the run resumes from: then they are what it will measure again.
    """
    best: tuple[Path, Validation] | None = None
    for folder in sorted((run / "checkpoints").glob(f"{_BEST}*")):
        found = Validation(**json.loads((folder / "validation.json").read_text(encoding="utf-8")))
        if best is None or found.better_than(best[1]):
            best = folder, found
    return best


def save_best(run: Path, model: CoLLAP, found: Validation) -> None:
    """Keep these weights in place of the best so far. Without the optimiser's state: nothing resumes from them."""
    folder = run / "checkpoints" / f"{_BEST}{found.step:08d}"
    building = _fresh(folder.parent / f".building-{folder.name}")
    model.save_pretrained(building / "model")
    (building / "validation.json").write_text(json.dumps(asdict(found)) + "\n", encoding="utf-8")
    if folder.exists():  # measured before a kill, and better now: on a GPU a repeated step may differ in its last bits
        _remove(folder)
    _commit(building, folder)
    # Last: a kill before leaves two, of which the better counts.
    for old in folder.parent.glob(f"{_BEST}*"):
        if old != folder:
            _remove(old)


def load_checkpoint(folder: Path, task: ContrastiveTask, optimiser: torch.optim.Optimizer) -> int:
    """Restore loss and optimiser and return the number of steps done; the weights are in ``folder / "model"``."""
    state = torch.load(folder / "state.pt", map_location="cpu", weights_only=True)
    task.loss.load_state_dict(state["loss"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def publish_model(run: Path, model: CoLLAP) -> Path:
    """Write ``run/model``, the best checkpoint or else ``model``, unless a run killed just after already did."""
    folder = final_model(run)
    if not folder.exists():
        building = _fresh(run / ".building-model")
        best = best_checkpoint(run)
        if best is None:
            model.save_pretrained(building)
        else:
            shutil.copytree(best[0] / "model", building, dirs_exist_ok=True)
        _commit(building, folder)
    return folder


def _remove(folder: Path) -> None:
    # Renamed first: a kill amid removal must not leave half a checkpoint under a whole one's name.
    shutil.rmtree(folder.rename(_absent(folder.with_name(f".removing-{folder.name}"))))


def _absent(folder: Path) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    return folder


def _fresh(folder: Path) -> Path:
    _absent(folder).mkdir(parents=True)
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
