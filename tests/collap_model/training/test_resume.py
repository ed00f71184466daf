"""Runs that are killed, and runs that go on from any checkpoint, at every setting that could keep a state."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from collap_model.training.trainer import train
from tests.collap_model.captions import make_ordered_workspace
from tests.collap_model.training.test_trainer import CONFIG, command, same_weights

EVERYTHING = CONFIG.model_copy(
    update={
        "fusion": "token",
        "loss": "sigmoid",
        "swap_negatives": 0.5,
        "text_chunk": 2,
        "precision": "bf16",
        "schedule": "wsd",
        "validate_every": 4,
        "keep_checkpoints": 1,
        "checkpoint_every": 6,
        "steps": 22,
    }
)


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen training and twelve validation songs; two batches of six an epoch."""
    workspace = make_ordered_workspace(tmp_path_factory.mktemp("ordered"), num_train=16, num_test=12)
    table = pq.read_table(workspace / "manifest.parquet")
    splits = pc.if_else(pc.equal(table["split"], "test"), "valid", table["split"])
    pq.write_table(
        table.set_column(table.schema.get_field_index("split"), "split", splits), workspace / "manifest.parquet"
    )
    return workspace


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.open()]


def assert_same_end(run: Path, other: Path) -> None:
    """Weights, the best so far, and all that was logged, but for times."""
    assert same_weights(run, other)
    assert lines(run / "validation.jsonl") == lines(other / "validation.jsonl")
    best, others = ([path.name for path in (folder / "checkpoints").glob("best-*")] for folder in (run, other))
    assert best == others
    for ours, theirs in zip(lines(run / "log.jsonl"), lines(other / "log.jsonl"), strict=True):
        assert {**ours, "seconds_per_step": 0} == {**theirs, "seconds_per_step": 0}


def test_killed_with_everything_on_ends_with_the_same_bits(ordered: Path, tmp_path: Path) -> None:
    train(EVERYTHING, ordered, tmp_path / "whole")
    run = tmp_path / "killed"
    process = subprocess.Popen(command(EVERYTHING, ordered, run), stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    # After a measurement that the last checkpoint does not know.
    while process.poll() is None and time.monotonic() < until:
        if (run / "checkpoints" / "best-00000008").exists():
            break
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    result = train(EVERYTHING, ordered, run)
    assert result.first_step in (6, 12)
    assert_same_end(run, tmp_path / "whole")


@pytest.mark.parametrize(
    "changes",
    [
        {"text_chunk": 2},
        {"text_chunk": 4, "fusion": "ordered", "swap_negatives": 0.7},
        {"precision": "bf16"},
        {"schedule": "wsd"},
        {"validate_every": 3},
        {"keep_checkpoints": 5, "fusion": "mean"},
    ],
    ids=str,
)
def test_goes_on_from_any_checkpoint_to_the_same_bits(ordered: Path, tmp_path: Path, changes: dict) -> None:
    config = CONFIG.model_copy(update={"steps": 10, "checkpoint_every": 4, **changes})
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(config, ordered, whole)
    shutil.copytree(whole, run)
    shutil.rmtree(run / "model")
    if config.keep_checkpoints > 1:
        shutil.rmtree(run / "checkpoints" / "step-00000008")
    assert train(config, ordered, run).first_step == 4
    assert same_weights(run, whole)


def test_another_number_of_processes_is_refused(ordered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    train(CONFIG, ordered, run)
    shutil.rmtree(run / "model")
    (run / "processes.json").write_text('{"processes": 2}')
    with pytest.raises(ValueError, match=r"another number of processes: processes was 2, is 1\. Choose a new run"):
        train(CONFIG, ordered, run)


def test_a_run_that_goes_on_under_other_versions_says_so(
    ordered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(CONFIG, ordered, run)
    assert "not to the same bits" not in capsys.readouterr().out
    shutil.rmtree(run / "model")
    versions = json.loads((run / "versions.json").read_text())
    assert {"python", "torch", "collap_model", "device", "threads"} <= versions.keys()
    (run / "versions.json").write_text(json.dumps({**versions, "torch": "1.0", "threads": "64"}))
    train(CONFIG, ordered, run)
    said = capsys.readouterr().out
    assert (
        f"not to the same bits as it began with: threads was '64', is '1'; torch was '1.0', is '{versions['torch']}'"
        in said
    )
    assert json.loads((run / "versions.json").read_text())["torch"] == "1.0"
