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

    A run that cannot be measured, such as one trained on features that the workspace no longer has, keeps none of
    the others from it.

    Raises:
        BuildError: no such run; or the evaluation program failed for some, after all others were measured.
    """
    reports, failed = {}, {}
    for folder in job.folders():
        try:
            reports[folder.name] = _measured(folder, job, on_line)
        except BuildError as error:
            failed[folder.name] = error
    if len(failed) == 1 and not reports:
        raise next(iter(failed.values()))
    if failed:
        told = "\n\n".join(f"{name}: {error}" for name, error in failed.items())
        done = f" The others are, and collap report {job.workspace} shows them." if reports else ""
        raise BuildError(f"{len(failed)} of {len(reports) + len(failed)} runs could not be measured.{done}\n\n{told}")
    return reports


def _measured(folder: Path, job: EvaluateJob, on_line: Callable[[str], None]) -> dict[str, Any]:
    out = folder / f"retrieval-{job.split}.json"
    command = [sys.executable, "-m", "collap_model.evaluate", "--model", str(folder / "model")]
    command += ["--workspace", str(folder.parent.parent), "--split", job.split, "--out", str(out)]
    command += ["--probes"] if job.probes else []
    run_logged(command, folder / "evaluate.log", on_line)
    report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return report
