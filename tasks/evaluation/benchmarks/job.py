"""One benchmark and one model, as a plain function: list, audio, workspace, figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from collap_model.form import read_form
from data_specs.benchmark import BenchmarkSpec, load_benchmark
from data_specs.publish import publish_bytes
from data_specs.spec import FeatureSettings
from tasks.engine.errors import BuildError
from tasks.engine.workspace import Workspace
from tasks.evaluation.benchmarks.audio import find_audio
from tasks.evaluation.benchmarks.leakage import trained_ids
from tasks.evaluation.benchmarks.listed import Listed
from tasks.evaluation.benchmarks.load import load_list
from tasks.evaluation.benchmarks.report import BenchmarkReport, differences
from tasks.evaluation.benchmarks.workspace import make_workspace
from tasks.training.launch import run_logged

REPORT_FILE = "benchmark.json"


class BenchmarkJob(BaseModel):
    """Which benchmark, where its files lie, and which model is measured."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Benchmark")

    spec: str = Field(description="Name of a benchmark, or a YAML file like data_specs/benchmarks/*.yaml")
    audio: str = Field(min_length=1, description="Folder with the benchmark's audio, sub-folders included")
    lists: str | None = Field(None, min_length=1, description="Folder with its published lists; as audio when empty")
    model: str = Field(min_length=1, description="Folder of a trained model, e.g. runs/demo/models/RUN/model")
    workspace: str | None = Field(None, min_length=1, description="Default: runs/benchmark-<name>")
    trained_on: tuple[str, ...] = Field(
        (), description="Workspaces the model was trained on: recordings in them, by YouTube id, are left out"
    )
    processes: int | None = Field(None, ge=1, le=256, description="For decoding; one per core when empty")


def prepare(job: BenchmarkJob, on_line: Callable[[str], None] = lambda line: None) -> BenchmarkReport:
    """Make the benchmark's workspace, or what of it is lacking, for the encoders of the job's model.

    Raises:
        SpecError, BuildError: no such benchmark or model, a list of another form, no audio that can be used.
    """
    spec = load_benchmark(job.spec)
    listed = load_list(spec, _path(job.lists or job.audio))
    features = _features(_path(job.model))
    leaked = _leaked(listed, job.trained_on)
    known = frozenset(leaked or ())
    clean = [recording for recording in listed.recordings if recording.track_id not in known]
    files = find_audio(clean, _path(job.audio))
    if not files:
        example = f", expected names such as {clean[0].stems[0]}.mp3" if clean else ""
        raise BuildError(f"benchmark {spec.name}: none of {len(clean)} recordings has audio in {job.audio}{example}")
    workspace = _workspace(job, spec)
    _check_free(workspace, spec.name)
    measured = make_workspace(spec, clean, files, features, workspace, processes=job.processes, on_detail=on_line)
    kept = [recording for recording in clean if recording.track_id in measured.track_ids]
    report = BenchmarkReport(
        name=spec.name,
        protocol=spec.protocol,
        workspace=str(workspace.root),
        num_rows=listed.num_rows,
        excluded=listed.excluded,
        num_listed_tracks=len(listed.recordings),
        num_listed_texts=listed.num_texts,
        leaked=leaked,
        missing=tuple(recording.track_id for recording in clean if recording.track_id not in files),
        refused=measured.refused,
        num_tracks=len(kept),
        num_texts=sum(len(recording.texts) for recording in kept),
        classes=listed.classes,
        differences=differences(spec, listed, len(kept), is_checked=leaked is not None),
    )
    publish_bytes(workspace.root / REPORT_FILE, (json.dumps(asdict(report), indent=1) + "\n").encode())
    if not kept:
        raise BuildError(f"benchmark {spec.name}: no audio file can be used; {workspace.failures} says why")
    return report


def measure(job: BenchmarkJob, on_line: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Measure the model on the workspace that ``prepare`` made; the figures as the model's program wrote them.

    Raises:
        BuildError: the program failed; ends with its last lines.
    """
    spec, model = load_benchmark(job.spec), _path(job.model)
    root = _workspace(job, spec).root
    name = model.parent.name if model.name == "model" else model.name
    if spec.task == "retrieval":
        program, out, own = "collap_model.evaluate", root / f"retrieval-{name}.json", ["--split", "test"]
    else:
        program, out = "collap_model.classify", root / f"classification-{name}.json"
        own = ["--prompt", str(spec.prompt), *(["--single-label"] if spec.task == "single-label" else [])]
    command = [sys.executable, "-m", program, "--model", str(model), "--workspace", str(root), *own, "--out", str(out)]
    run_logged(command, root / "evaluate.log", on_line)
    figures: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return figures


def _workspace(job: BenchmarkJob, spec: BenchmarkSpec) -> Workspace:
    return Workspace(_path(job.workspace or f"runs/benchmark-{spec.name}"))


def _check_free(workspace: Workspace, name: str) -> None:
    """A dataset, or another benchmark, is never overwritten."""
    if workspace.summary.exists():
        raise BuildError(f"workspace {workspace.root} holds a dataset; choose another one for benchmark {name}")
    found = workspace.root / REPORT_FILE
    try:
        holds = json.loads(found.read_bytes())["name"] if found.exists() else name
    except (ValueError, KeyError, TypeError) as error:
        raise BuildError(f"{found} is no report of a benchmark; take it away or choose another workspace") from error
    if holds != name:
        raise BuildError(f"workspace {workspace.root} holds the benchmark {holds}, not {name}: choose another one")


def _path(place: str) -> Path:
    return Path(place).expanduser().resolve()


def _features(model: Path) -> FeatureSettings:
    try:
        form = read_form(model / "config.json")
    except (OSError, ValueError) as error:
        raise BuildError(f"no CoLLAP model in {model}: {error}") from error
    if form.features is None:
        raise BuildError(f"the model in {model} does not say how its encoders are opened, so it hears no files")
    return form.features


def _leaked(listed: Listed, trained_on: tuple[str, ...]) -> tuple[str, ...] | None:
    """None where nothing was given to compare with, or the benchmark has no YouTube ids."""
    known = [recording for recording in listed.recordings if recording.youtube_id is not None]
    if not trained_on or not known:
        return None
    ids = frozenset[str]().union(*(trained_ids(Workspace(_path(place)).manifest) for place in trained_on))
    return tuple(recording.track_id for recording in known if recording.youtube_id in ids)
