"""Retrieval evaluation of trained runs, as a plain function."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.engine.errors import BuildError
from tasks.training.launch import run_logged


class EvaluateJob(BaseModel):
    """Which runs of a dataset are measured, on which split."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Evaluation")

    workspace: str = Field("runs/demo", description="Folder of a finished build with trained runs in models/")
    runs: tuple[str, ...] = Field((), description="Names of runs; every finished one when empty")
    split: Literal["train", "valid", "test"] = Field("test", description="Split of the manifest")
    probes: bool = Field(
        True,
        description="Also measure with the first part of texts and tracks and with sections in other orders: "
        "several times the work",
    )

    @property
    def dataset(self) -> str:
        """For people: the last part of the workspace's path."""
        return Path(self.workspace).name

    def folders(self) -> list[Path]:
        """Raises ``BuildError`` where a named run, or any run at all, has no model."""
        models = Path(self.workspace).expanduser().resolve() / "models"
        names = self.runs or tuple(sorted(path.parent.name for path in models.glob("*/model")))
        if not names:
            raise BuildError(f"no trained run in {models}; train one first")
        missing = [name for name in names if not (models / name / "model").is_dir()]
        if missing:
            raise BuildError(f"{models} has no trained run {', '.join(missing)}; train it or correct the name")
        return [models / name for name in names]


def evaluate(job: EvaluateJob, on_line: Callable[[str], None] = lambda line: None) -> dict[str, dict[str, Any]]:
    """Measure each run; the reports (``collap_model.evaluate.RetrievalReport`` as JSON) by run name.

    Raises:
        BuildError: no such run, or the evaluation program failed.
    """
    reports = {}
    for folder in job.folders():
        out = folder / f"retrieval-{job.split}.json"
        command = [sys.executable, "-m", "collap_model.evaluate", "--model", str(folder / "model")]
        command += ["--workspace", str(folder.parent.parent), "--split", job.split, "--out", str(out)]
        command += ["--probes"] if job.probes else []
        run_logged(command, folder / "evaluate.log", on_line)
        reports[folder.name] = json.loads(out.read_text(encoding="utf-8"))
    return reports
