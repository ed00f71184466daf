"""What the Prefect UI shows of a run: progress while it goes, funnel, failures, samples, curves, tables."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pyarrow.parquet as pq
from prefect import get_run_logger
from prefect.artifacts import (
    create_image_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from data_specs.arrow import from_table
from data_specs.records import Sample
from tasks.build import Build, BuildReport
from tasks.engine.parts import PartInfo
from tasks.engine.workspace import Workspace
from tasks.evaluation.job import EvaluateJob
from tasks.reporting.captions.report import read_markdown
from tasks.reporting.funnel import funnel_cells
from tasks.reporting.pictures import attended_picture, data_uri, loss_curve, structure_picture
from tasks.reporting.progress import Progress
from tasks.reporting.retrieval import retrieval_caption, retrieval_cells
from tasks.reporting.tables import markdown_table

UPDATE_EVERY_S = 2.0
NUM_SAMPLES = 3
MAX_FAILURES = 1000


class BuildArtifacts:
    """Progress per stage during a build, and its pages at the end. Called from several threads."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self.name = build.spec.name
        self.counts = Progress(build)
        self.guard = threading.Lock()
        self.log = get_run_logger()
        self.told: dict[str, float] = {}
        self.progress: dict[str, UUID] = {
            stage.name: cast(UUID, create_progress_artifact(progress=0.0, key=f"{self.name}-{stage.name}"))
            for stage in build.stages
        }

    def row(self, stage: str, result: str) -> None:
        """One track was computed in a stage."""
        self.counts.row(stage, result)
        self._tell(stage)

    def part(self, info: PartInfo) -> None:
        """One partition left a stage."""
        self.counts.part(info)
        self._tell(info.stage)

    def _tell(self, stage: str) -> None:
        done, num_tracks = self.counts.settled[stage], self.counts.num_tracks
        with self.guard:
            now = time.monotonic()
            if done < num_tracks and now - self.told.get(stage, 0.0) < UPDATE_EVERY_S:
                return
            self.told[stage] = now
        try:
            update_progress_artifact(
                self.progress[stage], progress=100.0 * done / num_tracks, description=self.counts.describe(stage)
            )
        except Exception as error:  # a server that restarts must not end a build of days
            self.log.warning("progress of %s was not recorded: %s", stage, error)

    def finish(self, report: BuildReport) -> None:
        """Funnel, failures, card and a few samples with their pictures."""
        create_table_artifact(
            table=list(funnel_cells(report.funnel)), key=f"{self.name}-funnel", description=_built(report)
        )
        failures = pq.read_table(self.build.workspace.failures).to_pylist()
        if failures:
            create_table_artifact(
                table=failures[:MAX_FAILURES],
                key=f"{self.name}-failures",
                description=f"{len(failures)} dropped tracks, the first {MAX_FAILURES}; all in failures.parquet",
            )
        card = self.build.workspace.card.read_text(encoding="utf-8").split("---\n", 2)[2]
        create_markdown_artifact(markdown=card, key=f"{self.name}-card", description="Dataset card")
        quality = read_markdown(self.build.workspace)
        create_markdown_artifact(
            markdown=f"# Captions\n\n{quality}\n\n`captions.html` in the workspace has the rest.",
            key=f"{self.name}-caption-quality",
            description="What the captions are like; alarms",
        )
        self._samples()

    def _samples(self) -> None:
        samples = from_table(Sample, pq.read_table(self.build.workspace.manifest))
        chosen = samples[:: max(1, len(samples) // NUM_SAMPLES)][:NUM_SAMPLES]
        pages = []
        for number, sample in enumerate(chosen, 1):
            heading = (
                f"## {sample.title or sample.track_id}\n\n`{sample.track_id}`, {sample.duration_s:.0f} s, {sample.url}"
            )
            pages.append(f"{heading}\n\n{sample.caption}")
            picture = structure_picture(self.build.workspace.root / "shards" / sample.shard, sample.track_id)
            create_image_artifact(
                image_url=data_uri(picture),
                key=f"{self.name}-sample-{number}",
                description=f"{sample.title or sample.track_id}: self-similarity and sections",
            )
        create_markdown_artifact(
            markdown="\n\n".join(pages), key=f"{self.name}-captions", description="Captions of a few tracks"
        )


def training_artifacts(folder: Path) -> None:
    """The loss curve and the configuration of a run."""
    key = artifact_key("train", folder.name)
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    create_image_artifact(image_url=data_uri(loss_curve(log)), key=f"{key}-loss", description=f"Loss of {folder.name}")
    config = json.dumps(json.loads((folder / "config.json").read_text(encoding="utf-8")), indent=1)
    where = f"step {log[-1]['step']}, loss {log[-1]['loss']:.3f}, in `{folder}`"
    create_markdown_artifact(
        markdown=f"# {folder.name}\n\n{where}\n\n```json\n{config}\n```",
        key=key,
        description=f"Training run {folder.name}",
    )


def retrieval_artifact(job: EvaluateJob, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """The retrieval table of all runs, and where each looks in a few tracks for the paragraphs of their captions."""
    cells: Sequence[Mapping[str, str]] = retrieval_cells(reports)
    create_markdown_artifact(
        markdown=f"# Retrieval\n\n{retrieval_caption(reports)}\n\n{markdown_table(cells)}",
        key=artifact_key("retrieval", Path(job.workspace).name),
        description="Retrieval beside chance",
    )
    workspace = Workspace(Path(job.workspace).expanduser().resolve())
    rows = pq.read_table(workspace.manifest, columns=["track_id", "shard"]).to_pylist()
    shards = {row["track_id"]: workspace.root / "shards" / row["shard"] for row in rows}
    for name, report in reports.items():
        for number, track in enumerate(report["attended"], 1):
            picture = attended_picture(shards[track["track_id"]], track["track_id"], track["moments"])
            create_image_artifact(
                image_url=data_uri(picture),
                key=artifact_key("attention", workspace.root.name, name, str(number)),
                description=f"Where {name} looks in {track['track_id']} for the paragraphs of its caption",
            )


def artifact_key(*parts: str) -> str:
    """Lower-case letters, digits and dashes only, as Prefect requires."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def _built(report: BuildReport) -> str:
    return (
        f"{report.num_samples} pairs, {report.hours:.2f} h, {report.mean_words:.0f} words on average, "
        f"{report.num_shards} shards; {report.num_new} rows new in this run"
    )
