"""One build of one dataset, as a plain function; the Prefect flow drives the same pieces."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from data_specs.hashing import digest
from data_specs.network import load_network
from data_specs.reasons import Reason, ReasonClass
from data_specs.serving import load_serving
from data_specs.spec import DatasetSpec, LocalSource, RenderedSource, load_spec
from tasks.caption.open import open_captioner
from tasks.caption.orders import Orders
from tasks.duplicates.evaluation import evaluation_fingerprints, evaluation_identity
from tasks.engine.dataset_stage import run_dataset_stage
from tasks.engine.errors import BuildError
from tasks.engine.parts import PartInfo, Parts
from tasks.engine.pools import Pools
from tasks.engine.schedule import AnyStage, Submit, stream
from tasks.engine.stage import DatasetStage, Partition, PartitionStage, StageRun, TrackStage, matches, run_stage
from tasks.engine.workspace import Workspace
from tasks.harvest.network import Network
from tasks.harvest.ytdlp import check_network
from tasks.reporting.captions.audit import audit_sample
from tasks.reporting.captions.report import markdown, write_caption_report
from tasks.reporting.captions.statistics import caption_statistics
from tasks.reporting.card import BuildReport, dataset_name, read_summary, write_summary
from tasks.reporting.funnel import FunnelRow, funnel
from tasks.select import Selection, select
from tasks.shards.publish import publish_captions, publish_failures, publish_tables
from tasks.stages import stages_of
from tasks.tombstones import purge


class BuildConfig(BaseModel):
    """What to build, where, and with how much of the machine. No field but ``spec`` and ``limit`` changes a byte."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Build")

    spec: str = Field("data_specs/demo.yaml", description="Dataset spec, a YAML file")
    workspace: str | None = Field(
        None, min_length=1, description="Folder of the build; runs/<name of the dataset> when empty"
    )
    limit: int | None = Field(
        None, ge=1, description="Only the first N tracks, instead of the spec's limit; in a workspace of their own"
    )
    retry: tuple[ReasonClass | Reason, ...] = Field(
        (), description="Try dropped tracks again: reasons or classes of reasons, e.g. transient"
    )
    network: str | None = Field(
        None, min_length=1, description="Network file: identities, pace, cookies; one direct address when empty"
    )
    serving: str | None = Field(
        None, min_length=1, description="Serving file: where the Music-LLM runs; a server on this machine when empty"
    )
    downloads: int = Field(4, ge=1, le=64, description="Tracks fetched at the same time")
    processes: int | None = Field(None, ge=1, le=256, description="Analysis processes; one per core when empty")

    def load(self) -> tuple[DatasetSpec, Workspace]:
        """The spec and the workspace this configuration names."""
        spec = load_spec(self.spec)
        if self.limit is not None:
            spec = spec.model_copy(update={"limit": self.limit})
        name = spec.name if self.limit is None else f"{spec.name}-first-{self.limit}"
        return spec, Workspace(Path(self.workspace or f"runs/{name}").expanduser().resolve())


@dataclass(slots=True)
class Build:
    """An opened build: locked workspace, selected tracks, pools, running source."""

    spec: DatasetSpec
    workspace: Workspace
    selection: Selection
    stages: tuple[AnyStage, ...]
    run: StageRun
    network: Network
    forgotten: frozenset[str]
    started: float

    def slots(self) -> dict[str, int]:
        """Two partitions per stage: the second one fills the pool while the first one's last tracks end."""
        return {stage.name: 2 for stage in self.stages}

    def stream(self, submit: Submit, on_part: Callable[[PartInfo], None]) -> dict[str, dict[str, PartInfo]]:
        cancel = self.run.pools.cancel
        strangers = sorted(self.forgotten.difference(track.track_id for track in self.selection.tracks))
        if strangers:
            self.run.on_detail(
                f"{len(strangers)} of {len(self.forgotten)} ids in {self.workspace.forgotten} are not among the "
                f"selected tracks, e.g. {', '.join(strangers[:3])}"
            )
        try:
            # What only shows when all is harvested would show after weeks: read it first, it is kept for then.
            evaluation_fingerprints(self.spec.evaluation, self.workspace, self.run.pools)
            return stream(self.stages, self.selection.partitions, self.slots(), submit, on_part, on_error=cancel)
        except BaseException:
            cancel()  # Ctrl-C, a cancelled flow run: stop at the next track, not at the end of the partition
            raise

    def finish(self, parts: Mapping[str, Mapping[str, PartInfo]]) -> BuildReport:
        """Publish tables, card and summary; all that is left as it is where no part changed.

        Raises:
            BuildError: no track survived.
        """
        # Every partition is done: what is left here are journals whose part was written just before a kill.
        shutil.rmtree(self.workspace.root / "journal", ignore_errors=True)
        rows = funnel([stage.name for stage in self.stages], parts, len(self.selection.tracks))
        infos = [of_partition[stage.name] for of_partition in parts.values() for stage in self.stages]
        counts = self.selection.counts
        mark = digest([[info.path, info.identity] for info in infos], counts)
        unchanged = read_summary(self.workspace, mark)
        if unchanged is not None:
            num_new = sum(row.num_new for row in rows)
            return replace(unchanged, funnel=tuple(rows), num_new=num_new, seconds=self._seconds())
        # From here to its new version nothing says that the tables are whole.
        self.workspace.summary.unlink(missing_ok=True)
        records = {stage.name: stage.record for stage in self.stages}
        origin = {track.track_id: (track.split, track.url) for track in self.selection.tracks}
        publish_failures(parts, records, origin, self.workspace)
        if not any(info["shards"].counts.get("ok") for info in parts.values()):
            raise BuildError(self._why_nothing_is_left(rows))
        publish_tables(parts, self.workspace)
        publish_captions(parts, {track_id: split for track_id, (split, _) in origin.items()}, self.workspace)
        captions = self._report_captions([of_partition["caption"].path for of_partition in parts.values()])
        return write_summary(self.spec, self.workspace, counts, rows, self._seconds(), mark, captions)

    def _report_captions(self, paths: Sequence[str]) -> str:
        """Publish the dashboard; return what of it stands on the card."""
        statistics = caption_statistics(paths)
        write_caption_report(self.spec.name, statistics, audit_sample(paths, self.workspace.manifest), self.workspace)
        return markdown(statistics)

    def _why_nothing_is_left(self, rows: Sequence[FunnelRow]) -> str:
        reasons = [f"{row.stage}: {reason} {n}" for row in rows for reason, n in row.reasons.items()]
        dropped = pq.read_table(self.workspace.failures, columns=["class", "detail"]).to_pylist()
        examples = [row["detail"] for row in dropped if row["detail"]][:1]
        again = [row for row in dropped if row["class"] == str(ReasonClass.TRANSIENT)]
        return "; ".join(
            [
                f"none of {len(self.selection.tracks)} tracks survived ({'; '.join(reasons)})",
                *(f"e.g. {example}" for example in examples),
                *(["what time can mend is tried again with --retry transient"] if again else []),
                f"{self.workspace.failures} has a row per track",
            ]
        )

    def _seconds(self) -> float:
        return round(time.monotonic() - self.started, 2)


@contextmanager
def open_build(config: BuildConfig) -> Iterator[Build]:
    """Lock the workspace, select the tracks, start pools and, for rendered songs, their web site.

    Raises:
        SpecError, BuildError: the spec, the source or the workspace cannot be used.
    """
    started = time.monotonic()
    spec, workspace = config.load()
    settings = load_network(config.network)
    check_network(settings)
    serving = load_serving(config.serving)
    if isinstance(spec.source, LocalSource) and workspace.root.is_relative_to(Path(spec.source.folder).resolve()):
        raise BuildError(
            f"workspace {workspace.root} lies inside source.folder {spec.source.folder}, so the build would take its "
            "own files for music; choose a workspace elsewhere"
        )
    evaluation_identity(spec.evaluation)
    selection = select(spec)
    with ExitStack() as stack:
        stack.enter_context(workspace.locked())
        holds = dataset_name(workspace)
        if holds not in (None, spec.name):
            raise BuildError(
                f"workspace {workspace.root} holds the dataset '{holds}', the spec is '{spec.name}': choose another one"
            )
        pools = stack.enter_context(Pools(config.downloads, config.processes or os.cpu_count() or 1, serving.requests))
        if isinstance(spec.source, RenderedSource):
            from tasks.demo.site import Site

            stack.enter_context(Site(spec.source, workspace.root / "site"))
        retry = frozenset(config.retry)
        run = StageRun(workspace=workspace, pools=pools, retry=retry, refetch=_to_fetch_again(workspace, retry))
        network = stack.enter_context(Network(settings, stopped=pools.stopped))
        network.on_event = lambda text: run.on_detail(text)  # whoever listens may be set later
        forgotten = purge(workspace)
        captioner = stack.enter_context(
            open_captioner(
                spec.caption,
                serving,
                answers=workspace.answers,
                log=workspace.root / "vllm.log",
                stopped=pools.stopped,
                on_event=lambda text: run.on_detail(text),
                retries=lambda reason: matches(reason, retry),
            )
        )
        stages = stages_of(spec, network, Orders.of(workspace.orders), captioner, forgotten)
        stack.callback(run.drain)
        yield Build(spec, workspace, selection, stages, run, network, forgotten, started)


# Faults that the audio stage finds in a file and that another download can mend.
_FETCH_AGAIN = {Reason.TRUNCATED, Reason.DURATION_MISMATCH, Reason.UNDECODABLE, Reason.NO_AUDIO}
_FETCH_AGAIN |= {Reason.FILE_EMPTY, Reason.FILE_CHANGED}


def _to_fetch_again(workspace: Workspace, retry: frozenset[Reason | ReasonClass]) -> frozenset[str]:
    """Tracks whose media the last build's audio stage refused for a reason that is to be tried again."""
    if not retry or not workspace.failures.exists():
        return frozenset()
    rows = pq.read_table(workspace.failures, columns=["track_id", "stage", "reason"]).to_pylist()
    return frozenset(
        row["track_id"]
        for row in rows
        if row["stage"] == "audio" and Reason(row["reason"]) in _FETCH_AGAIN and matches(Reason(row["reason"]), retry)
    )


class Watcher(Protocol):
    """Who is told how a build goes on; called from several threads."""

    def row(self, stage: str, result: str) -> None:
        """A track's outcome in a stage: ``ok`` or the reason."""

    def part(self, info: PartInfo) -> None:
        """A stage is through with a partition."""

    def detail(self, text: str) -> None:
        """Something that deserves a line in a log."""


def build(config: BuildConfig, watch: Callable[[Build], Watcher] | None = None) -> BuildReport:
    """Build a dataset, or finish one that was begun.

    Args:
        watch: makes the watcher of the opened build.

    Raises:
        SpecError, BuildError: a person must act; what was finished before stays valid.
    """
    with open_build(config) as opened:
        watcher = watch(opened) if watch is not None else None
        if watcher is not None:
            opened.run.on_row, opened.run.on_detail = watcher.row, watcher.detail
        with ThreadPoolExecutor(sum(opened.slots().values()), thread_name_prefix="partition") as threads:
            on_part = watcher.part if watcher is not None else lambda info: None
            return opened.finish(opened.stream(_InThreads(opened, threads), on_part))


@dataclass(frozen=True, slots=True)
class _InThreads:
    """Every part in a thread of this process."""

    build: Build
    threads: ThreadPoolExecutor

    def part(
        self, stage: TrackStage | PartitionStage, partition: Partition, parts: Mapping[str, PartInfo]
    ) -> Future[PartInfo]:
        return self.threads.submit(run_stage, stage, partition, parts, self.build.run)

    def dataset(self, stage: DatasetStage, parts: Parts) -> Future[list[PartInfo]]:
        return self.threads.submit(run_dataset_stage, stage, self.build.selection.partitions, parts, self.build.run)


__all__ = ["Build", "BuildConfig", "BuildError", "BuildReport", "Watcher", "build", "open_build"]
