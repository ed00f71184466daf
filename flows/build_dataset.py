"""``build-dataset``: from a spec to shards, manifest and features."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from prefect import flow, get_run_logger
from prefect.events import emit_event
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows.artifacts import BuildArtifacts
from tasks.build import Build, BuildConfig, BuildReport, open_build
from tasks.doors import run_dataset, run_part
from tasks.engine.dataset_stage import find_dataset_parts
from tasks.engine.parts import PartInfo, Parts
from tasks.engine.schedule import WorkFuture
from tasks.engine.stage import DatasetStage, Partition, PartitionStage, TrackStage, find_part

T = TypeVar("T")

_THREADS: Any = ThreadPoolTaskRunner(max_workers=16)
"""More than all stages have slots: the schedule bounds the work, not the thread pool."""


@flow(name="build-dataset", flow_run_name="build {config.spec}", task_runner=_THREADS)
def build_dataset(config: BuildConfig = BuildConfig()) -> BuildReport:
    """Select, harvest, accept, analyse, caption, pack and encode; what exists is not done again."""
    log = get_run_logger()
    with open_build(config) as build:
        log.info("%d tracks in %d partitions", len(build.selection.tracks), len(build.selection.partitions))
        artifacts = BuildArtifacts(build)
        build.run.on_row, build.run.on_detail = artifacts.row, log.warning

        report = build.finish(build.stream(_AsTaskRuns(build), artifacts.part))
        artifacts.finish(report)
    if report.num_new == 0:
        log.info("nothing to do: all %d samples were there already (%.1f s)", report.num_samples, report.seconds)
    emit_event(
        event="collap.dataset.built",
        resource={"prefect.resource.id": f"collap.dataset.{report.name}", "prefect.resource.name": report.name},
        payload={"workspace": report.workspace, "num_samples": report.num_samples, "num_new": report.num_new},
    )
    return report


@dataclass(frozen=True, slots=True)
class _AsTaskRuns:
    """A task run for work to be done; none for a part that is there, so that a re-run takes seconds."""

    build: Build

    def part(
        self, stage: TrackStage | PartitionStage, partition: Partition, parts: Mapping[str, PartInfo]
    ) -> WorkFuture[PartInfo]:
        existing = find_part(stage, partition, parts, self.build.run)
        if existing is not None:
            return _done(existing)
        named = run_part.with_options(name=stage.name, task_run_name=f"{stage.name} {partition.name}")
        # quote: Prefect would otherwise walk through every track of the partition in search of futures
        return cast(Any, named).submit(*map(quote, (stage, partition, parts, self.build.run)))

    def dataset(self, stage: DatasetStage, parts: Parts) -> WorkFuture[list[PartInfo]]:
        partitions = self.build.selection.partitions
        existing = find_dataset_parts(stage, partitions, parts, self.build.workspace)
        if existing is not None:
            return _done(existing)
        named = run_dataset.with_options(name=stage.name, task_run_name=stage.name)
        return cast(Any, named).submit(*map(quote, (stage, partitions, parts, self.build.run)))


def _done(result: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(result)
    return future


if __name__ == "__main__":
    build_dataset()
