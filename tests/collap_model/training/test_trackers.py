"""Curves beside the log. TensorBoard is read back where it is installed; of wandb only our side is tested."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import collap_model.training.trackers
from collap_model.training.trackers import open_tracker
from collap_model.training.trainer import train
from tests.collap_model.training.test_trainer import CONFIG

SHORT = CONFIG.model_copy(update={"steps": 4})


def test_what_is_not_installed_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collap_model.training.trackers, "find_spec", lambda name: None)
    for target in ("tensorboard", "wandb"):
        config = SHORT.model_copy(update={"log_to": target})
        with pytest.raises(ValueError, match=f"log_to is '{target}', but {target} is not installed"):
            with open_tracker(config, tmp_path, 0):
                pass
    with open_tracker(SHORT, tmp_path, 0) as tracker:  # auto
        tracker.log(1, {"a": 1.0})
    assert not list(tmp_path.iterdir())


def test_tensorboard_shows_each_step_once(workspace: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    train(SHORT.model_copy(update={"log_to": "none"}), workspace, tmp_path / "none")
    assert not (tmp_path / "none" / "tensorboard").exists()
    train(SHORT, workspace, run)
    (run / "model").rename(tmp_path / "model")
    assert train(SHORT, workspace, run).first_step == 3
    read = EventAccumulator(str(run / "tensorboard"))
    read.Reload()
    log = [json.loads(line) for line in (run / "log.jsonl").open()]
    assert [event.step for event in read.Scalars("train/loss")] == [2, 4]
    assert [event.value for event in read.Scalars("train/loss")] == pytest.approx([line["loss"] for line in log])
    assert {"train/lr", "train/tau", "train/accuracy"} <= set(read.Tags()["scalars"])


def test_wandb_gets_one_run_under_one_id(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[dict[str, Any]] = []
    logged: list[tuple[int, dict[str, float]]] = []

    class Run:
        def log(self, values: dict[str, float], step: int) -> None:
            logged.append((step, values))

        def finish(self) -> None:
            logged.append((-1, {}))

    fake = ModuleType("wandb")
    fake.__spec__ = ModuleSpec("wandb", None)
    fake.init = lambda **options: begun.append(options) or Run()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", fake)
    assert find_spec("wandb") is fake.__spec__
    config = SHORT.model_copy(update={"log_to": "wandb"})
    train(config, workspace, tmp_path / "run")
    assert [step for step, _ in logged] == [2, 4, -1]
    assert logged[0][1]["train/loss"] > 0
    (tmp_path / "run" / "model").rename(tmp_path / "model")
    train(config, workspace, tmp_path / "run")
    assert begun[0] == begun[1]
    assert begun[0]["resume"] == "allow"
    assert begun[0]["config"] == config.model_dump(mode="json")
