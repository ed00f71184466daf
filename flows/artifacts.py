"""What the Prefect UI shows of a run: progress while it goes, funnel, failures, samples, curves, tables."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from typing import cast
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
from tasks.reporting.captions.report import read_markdown
from tasks.reporting.funnel import funnel_cells
from tasks.reporting.pictures import data_uri, loss_curve, structure_picture
from tasks.reporting.progress import Progress
from tasks.reporting.runs.record import read_run

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
    run = read_run(folder, split=None)
    parts = [f"# {folder.name}", *run.faults]
    if run.log:
        curve = loss_curve(run.log)
        create_image_artifact(image_url=data_uri(curve), key=f"{key}-loss", description=f"Loss of {folder.name}")
        parts.append(f"step {run.log[-1]['step']}, loss {run.log[-1]['loss']:.3f}, in `{folder}`")
    create_markdown_artifact(
        markdown="\n\n".join([*parts, f"```json\n{json.dumps(run.config, indent=1)}\n```"]),
        key=key,
        description=f"Training run {folder.name}",
    )


def artifact_key(*parts: str) -> str:
    """Lower-case letters, digits and dashes only, as Prefect requires."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def _built(report: BuildReport) -> str:
    return (
        f"{report.num_samples} pairs, {report.hours:.2f} h, {report.mean_words:.0f} words on average, "
        f"{report.num_shards} shards; {report.num_new} rows new in this run"
    )
