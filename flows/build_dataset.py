"""``build-dataset``: from a spec to shards, manifest and features."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, cast

from prefect import flow, get_run_logger
from prefect.events import emit_event
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows.artifacts import BuildArtifacts
from tasks.build import Build, BuildConfig, BuildReport, open_build
from tasks.doors import run_part
from tasks.engine.parts import PartInfo
from tasks.engine.schedule import AnyStage, PartFuture
from tasks.engine.stage import Partition, find_part

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

        def submit(stage: AnyStage, partition: Partition, parts: Mapping[str, PartInfo]) -> PartFuture:
            return _submit(build, stage, partition, parts)

        report = build.finish(build.stream(submit, artifacts.part))
        artifacts.finish(report)
    if report.num_new == 0:
        log.info("nothing to do: all %d samples were there already (%.1f s)", report.num_samples, report.seconds)
    emit_event(
        event="collap.dataset.built",
        resource={"prefect.resource.id": f"collap.dataset.{report.name}", "prefect.resource.name": report.name},
        payload={"workspace": report.workspace, "num_samples": report.num_samples, "num_new": report.num_new},
    )
    return report


def _submit(build: Build, stage: AnyStage, partition: Partition, parts: Mapping[str, PartInfo]) -> PartFuture:
    """A task run for work to be done; none for a part that is there, so that a re-run takes seconds."""
    existing = find_part(stage, partition, parts, build.run)
    if existing is not None:
        done: Future[PartInfo] = Future()
        done.set_result(existing)
        return done
    named = run_part.with_options(name=stage.name, task_run_name=f"{stage.name} {partition.name}")
    # quote: Prefect would otherwise walk through every track of the partition in search of futures
    return cast(PartFuture, named.submit(*map(quote, (stage, partition, parts, build.run))))  # type: ignore[call-overload]


if __name__ == "__main__":
    build_dataset()
