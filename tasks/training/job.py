"""A training run over a dataset, as a plain function."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from collap_model.training.config import TrainConfig
from data_specs.hashing import digest, file_sha256
from data_specs.publish import publish_bytes
from tasks.engine.errors import BuildError
from tasks.engine.workspace import Workspace, hold
from tasks.training.launch import run_logged

IN_USE = "in-use"
"""Beside the runs: the link to the model that is in use, see ``tasks.promotion``."""


class TrainJob(BaseModel):
    """Which dataset, under which name, with how many processes, and the run's own configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Training")

    workspace: str = Field("runs/demo", description="Folder of a finished build")
    run: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description="Name of the run; made of fusion, text tower and a hash of configuration and data when empty",
    )
    processes: int = Field(1, ge=1, le=64, description="One per GPU; more than one runs under torchrun")
    config: TrainConfig = Field(TrainConfig(), title="Configuration")

    @field_validator("run")
    @classmethod
    def _not_a_link(cls, run: str | None) -> str | None:
        if run == IN_USE:
            raise ValueError(f"{IN_USE!r} is the link to the model in use; choose another name")
        return run

    @property
    def dataset(self) -> str:
        """For people: the last part of the workspace's path."""
        return Path(self.workspace).name

    def folder(self) -> Path:
        """``<workspace>/models/<run>``. Other data or settings make another run, never a mixture.

        Raises:
            BuildError: the workspace has no finished dataset.
        """
        workspace = Workspace(Path(self.workspace).expanduser().resolve())
        for table in (workspace.manifest, workspace.features):
            if not table.exists():
                raise BuildError(f"no finished dataset at {workspace.root} ({table.name} is missing); build it first")
        tables = [workspace.manifest, workspace.features]
        if workspace.captions.exists():  # a data set made elsewhere may have none
            tables.append(workspace.captions)
        data = [file_sha256(str(table)) for table in tables]
        mark = digest(self.config.model_dump(mode="json"), data)[:8]
        return workspace.root / "models" / (self.run or f"{self.config.fusion}-{self.config.text_tower}-{mark}")


def train(job: TrainJob, on_line: Callable[[str], None] = lambda line: None) -> Path:
    """Train to the end, going on from the last checkpoint if there is one; return the run's folder.

    Raises:
        BuildError: no dataset, or the training program failed.
    """
    folder = job.folder()
    if job.run is None and (folder / "model").is_dir():  # named after its configuration and data: the same run
        on_line(f"{folder} is finished; nothing to do")
        return folder
    with hold(folder, "run"):
        _launch(job, folder, on_line)
    return folder


def _launch(job: TrainJob, folder: Path, on_line: Callable[[str], None]) -> None:
    config = folder / "launch.json"
    publish_bytes(config, json.dumps(job.config.model_dump(mode="json"), indent=1).encode())
    command = [*_launcher(job.processes), "collap_model.train"]
    command += ["--config", str(config), "--workspace", str(Path(job.workspace).expanduser().resolve())]
    run_logged([*command, "--run", str(folder)], folder / "train.log", on_line)


def _launcher(processes: int) -> list[str]:
    if processes == 1:
        return [sys.executable, "-m"]
    # "--": torchrun would otherwise take our --run for an abbreviation of its own --run-path.
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m", "--"]
