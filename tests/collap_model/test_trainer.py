"""Whole runs of a tiny model, in this process and in ones that are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from collap_model.config import TrainConfig
from collap_model.evaluate import evaluate
from collap_model.evaluate import main as evaluate_main
from collap_model.loss import LossReport
from collap_model.model import CoLLAP
from collap_model.optimiser import build_optimiser, rate_share
from collap_model.task import ContrastiveTask
from collap_model.train import main
from collap_model.trainer import NotFinite, train
from tests.collap_model.workspaces import make_workspace

CONFIG = TrainConfig(
    text_tower="tiny",
    dim=16,
    clip_seconds=5,
    batch_size=6,
    steps=24,
    warmup_steps=2,
    lr=3e-3,
    text_lr=3e-3,
    dropout=0.3,
    checkpoint_every=3,
    log_every=2,
    threads=1,
)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def same_weights(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def command(config: TrainConfig, workspace: Path, run: Path) -> list[str]:
    file = run.with_suffix(".json")
    file.write_text(config.model_dump_json(), encoding="utf-8")
    options = ["--config", str(file), "--workspace", str(workspace), "--run", str(run)]
    return [sys.executable, "-m", "collap_model.train", *options]


@pytest.fixture(scope="module")
def finished(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never interrupted; read-only."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train(CONFIG, workspace, run)
    return run


def test_a_run_leaves_what_is_needed_to_repeat_it(finished: Path, workspace: Path) -> None:
    assert TrainConfig.model_validate_json((finished / "config.json").read_text()) == CONFIG
    assert json.loads((finished / "data.json").read_text())["num_pairs"] == 12
    assert json.loads((finished / "versions.json").read_text())["torch"] == torch.__version__
    lines = [json.loads(line) for line in (finished / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(2, 25, 2))
    assert lines[-1]["loss"] < lines[0]["loss"]
    kept = sorted(path.name for path in (finished / "checkpoints").iterdir())
    assert kept == ["step-00000018", "step-00000021"]


def test_killed_anywhere_and_resumed_gives_the_same_bits(finished: Path, workspace: Path, tmp_path: Path) -> None:
    run = tmp_path / "killed"
    for victim in range(2):
        process = subprocess.Popen(command(CONFIG, workspace, run), stdout=subprocess.DEVNULL)
        wanted = run / "checkpoints" / f"step-{3 * (victim + 1):08d}"
        until = time.monotonic() + 60
        while not wanted.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
        assert not (run / "model").exists()
    result = train(CONFIG, workspace, run)
    assert result.first_step >= 3
    assert same_weights(run, finished)
    lines = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert lines == sorted(set(lines))
    assert lines[-1] == 24


def test_every_checkpoint_resumes_to_the_same_bits(finished: Path, workspace: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    shutil.rmtree(run / "model")
    (run / "log.jsonl").write_text((run / "log.jsonl").read_text() + '{"step": 23, "lo')
    assert train(CONFIG, workspace, run).first_step == 21
    assert same_weights(run, finished)
    assert [json.loads(line)["step"] for line in (run / "log.jsonl").open()] == list(range(2, 25, 2))


def test_half_written_checkpoints_are_never_taken(finished: Path, workspace: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    shutil.rmtree(run / "model")
    (run / "checkpoints" / ".building-step-00000024" / "model").mkdir(parents=True)
    (run / ".building-model").mkdir()
    assert train(CONFIG, workspace, run).first_step == 21
    assert same_weights(run, finished)


def test_a_finished_run_is_left_alone(finished: Path, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (finished / "model" / "model.safetensors").stat()
    assert train(CONFIG, workspace, finished).already_finished
    assert "finished after 24 steps; nothing to do" in capsys.readouterr().out
    assert (finished / "model" / "model.safetensors").stat() == before


def test_another_config_or_other_data_is_refused(finished: Path, workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"another config: lr was 0.003, is 0.1; seed was 0, is 5\. Choose a new run"):
        train(CONFIG.model_copy(update={"lr": 0.1, "seed": 5}), workspace, finished)
    other = make_workspace(tmp_path / "other", seed=1)
    with pytest.raises(ValueError, match="another training data: sha256 was"):
        train(CONFIG, other, finished)


def test_seeds_differ_and_repeat(finished: Path, workspace: Path, tmp_path: Path) -> None:
    train(CONFIG, workspace, tmp_path / "same")
    train(CONFIG.model_copy(update={"seed": 1}), workspace, tmp_path / "other")
    assert same_weights(tmp_path / "same", finished)
    assert not same_weights(tmp_path / "other", finished)


def test_divergence_stops_the_run_and_spares_the_checkpoint(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps_before = 5
    real = ContrastiveTask.forward
    calls: list[int] = []

    def diverging(self: ContrastiveTask, *batch: Any) -> tuple[torch.Tensor, LossReport]:
        calls.append(1)
        share, report = real(self, *batch)
        return (share * float("nan") if len(calls) > steps_before else share), report

    monkeypatch.setattr(ContrastiveTask, "forward", diverging)
    with pytest.raises(NotFinite, match=r"step 6: .* lower lr"):
        train(CONFIG, workspace, tmp_path / "run")
    monkeypatch.undo()
    assert train(CONFIG, workspace, tmp_path / "run").first_step == 3


def test_norms_biases_and_scalars_do_not_decay(finished: Path) -> None:
    model = CoLLAP.from_pretrained(finished / "model")
    optimiser = build_optimiser(model, CONFIG.model_copy(update={"text_lr": 1e-4}))
    assert len(optimiser.param_groups) == 4
    for group in optimiser.param_groups:
        assert all((parameter.ndim >= 2) == (group["weight_decay"] > 0) for parameter in group["params"])
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(model.parameters()))


def test_learns_unseen_songs(workspace: Path, tmp_path: Path) -> None:
    big = make_workspace(tmp_path / "big", num_train=48, num_test=16)
    config = CONFIG.model_copy(update={"batch_size": 24, "steps": 60, "checkpoint_every": 100, "dropout": 0.1})
    train(config, big, tmp_path / "run")
    report = evaluate(tmp_path / "run" / "model", big)
    found = report.metrics.text_to_track.recall_at_5
    assert found.value > 2 * found.chance


def test_commands(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    config = CONFIG.model_copy(update={"steps": 3, "log_every": 1})
    assert main(command(config, workspace, run)[3:]) == 0
    out = tmp_path / "report.json"
    options = ["--model", str(run / "model"), "--workspace", str(workspace), "--out", str(out)]
    assert evaluate_main(options) == 0
    report = json.loads(out.read_text())
    assert (report["num_texts"], report["num_tracks"], report["split"]) == (5, 6, "test")  # one caption fits two
    assert report["metrics"]["text_to_track"]["recall_at_10"] == {"value": 1.0, "low": 1.0, "high": 1.0, "chance": 1.0}
    assert "recall_at_10" in capsys.readouterr().out
    assert evaluate_main([*options, "--split", "valid"]) == 2
    assert "no pair in split 'valid'" in capsys.readouterr().err
    assert main(command(config.model_copy(update={"batch_size": 99}), workspace, tmp_path / "b")[3:]) == 2
    assert "set batch_size to 12 or less" in capsys.readouterr().err


def test_rate_rises_then_falls_to_nothing() -> None:
    shares = [rate_share(step, CONFIG) for step in range(CONFIG.steps)]
    assert shares[0] == pytest.approx(1 / 3)
    assert max(shares) == shares[2] == 1.0
    assert shares[2:] == sorted(shares[2:], reverse=True)
    assert 0 < shares[-1] < 0.05


@pytest.mark.slow
def test_torchrun_with_two_processes_learns_what_one_learns(workspace: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"dropout": 0.0})
    train(config, workspace, tmp_path / "one")
    two = command(config, workspace, tmp_path / "two")
    # "--": torchrun's own parser would take --run for an abbreviation of its --run-path.
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "--",
        *two[2:],
    ]
    subprocess.run(launcher, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    one, other = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(other[name], one[name], atol=1e-4, rtol=1e-3, msg=name)
