"""What the evaluation of a run hands on to the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.evaluation import job as room
from tasks.evaluation.job import EvaluateJob, evaluate


@pytest.mark.parametrize("probes", [True, False])
def test_probes_are_asked_for_unless_declined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probes: bool) -> None:
    model = tmp_path / "models" / "run" / "model"
    model.mkdir(parents=True)
    commands: list[list[str]] = []

    def run(command: list[str], log: Path, on_line: object) -> None:
        commands.append(command)
        Path(command[command.index("--out") + 1]).write_text("{}")

    monkeypatch.setattr(room, "run_logged", run)
    job = EvaluateJob(workspace=str(tmp_path)) if probes else EvaluateJob(workspace=str(tmp_path), probes=False)
    assert evaluate(job) == {"run": {}}
    assert [("--probes" in command) for command in commands] == [probes]
