"""A stage over one partition: reuse what exists, compute the rest, publish the part.

Three levels of "not again", from cheap to fine:

1. A part whose name exists is not read beyond its footer.
2. Where a part is missing, rows of *any* earlier part of the stage with the same row key are taken
   over: one re-tried download in a partition does not re-caption its 255 neighbours.
3. Rows that a killed run finished are in the journal.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.arrow import identity_fields
from data_specs.hashing import digest
from data_specs.outcomes import Outcome, Status, failed
from data_specs.reasons import Reason, ReasonClass, reason_class
from data_specs.records import AudioFacts, Caption, Fingerprint, Harvest, Recording, Structure, Track
from tasks.engine.errors import operator_error
from tasks.engine.journal import Journal
from tasks.engine.parts import PartInfo, Row, read_part_info, read_rows, write_part
from tasks.engine.pools import PoolKind, Pools, WorkerCrashed
from tasks.engine.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A fixed, ordered slice of the selected tracks, all of one split: the unit of work."""

    name: str
    """Split and number, e.g. ``train-00003``."""
    split: str
    tracks: tuple[Track, ...]

    @property
    def identity(self) -> str:
        """Hash of the tracks in order."""
        return _partition_identity(self)


@functools.lru_cache(maxsize=4096)
def _partition_identity(partition: Partition) -> str:
    return digest([identity_fields(track) for track in partition.tracks])


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of one track when a stage gets it: the records of the stage's inputs."""

    track: Track
    harvest: Harvest | None = None
    audio: AudioFacts | None = None
    structure: Structure | None = None
    caption: Caption | None = None
    fingerprint: Fingerprint | None = None
    duplicates: Recording | None = None


RECORD_TYPES: dict[str, type] = {
    "harvest": Harvest,
    "audio": AudioFacts,
    "structure": Structure,
    "caption": Caption,
    "fingerprint": Fingerprint,
    "duplicates": Recording,
}
"""The stages whose records others read, as ``Known`` has them."""


class Stage(Protocol):
    """What a stage declares. Instances are frozen and picklable: they travel to worker processes."""

    name: ClassVar[str]
    version: ClassVar[int]
    """Raise it when the stage's code changes what it writes."""
    record: ClassVar[type]
    inputs: ClassVar[tuple[str, ...]]
    """Stages whose records it reads; a track must be ``ok`` in all of them."""

    def settings(self) -> Any:
        """Plain data that decides the result, for the name of the part."""


class RowStage(Stage, Protocol):
    """A stage whose rows depend on one track each, so that an earlier row can be taken over."""

    def basis(self, known: Known) -> Any:
        """Plain data that decides the result for one track, for the row's key."""

    def keeps(self, row: Row, workspace: Workspace) -> bool:
        """Whether an earlier row with the same key still stands (its file exists, say)."""

    def is_whole(self, part: Path, info: PartInfo) -> bool:
        """Whether the file that the stage wrote beside a part, if any, is still there."""


class KeepsRows:
    """What most stages answer: a row stands as long as its key does, and nothing lies beside the part."""

    __slots__ = ()

    def standing(self, known: Known) -> Any:
        return None

    def keeps(self, row: Row, workspace: Workspace) -> bool:
        return True

    def is_whole(self, part: Path, info: PartInfo) -> bool:
        return True


class TrackStage(RowStage, Protocol):
    """A stage that treats each track by itself."""

    @property
    def pool(self) -> PoolKind: ...

    def standing(self, known: Known) -> Any:
        """The basis of an earlier row that stands although the settings are others by now; None for most."""

    def process(self, known: Known, workspace: Path) -> Outcome: ...


class PartitionStage(RowStage, Protocol):
    """A stage that writes one file for the whole partition."""

    def process_partition(
        self, partition: Partition, tracks: Sequence[Known], key: str, workspace: Workspace, pools: Pools
    ) -> list[Outcome]: ...


@runtime_checkable
class DatasetStage(Stage, Protocol):
    """A stage whose outcome for one track depends on all others."""

    def process_dataset(
        self,
        partitions: Sequence[Partition],
        parts: Mapping[str, Mapping[str, PartInfo]],
        workspace: Workspace,
        pools: Pools,
    ) -> dict[str, list[tuple[str, Outcome]]]:
        """By partition name: track id and outcome of every track that is ``ok`` in all inputs, in order."""


@dataclass(slots=True)
class StageRun:
    """Everything one build hands to its stages; shared by the threads that work on partitions."""

    workspace: Workspace
    pools: Pools
    retry: frozenset[Reason | ReasonClass] = frozenset()
    on_row: Callable[[str, str], None] = lambda stage, result: None
    """Told ``(stage, "ok" or reason)`` for every row that was computed."""
    on_detail: Callable[[str], None] = lambda text: None
    """Told what deserves a line in the log."""
    refetch: frozenset[str] = frozenset()
    """Tracks whose media are fetched again, because the audio stage found fault with them."""
    row_index: dict[str, dict[str, Path]] = field(default_factory=dict)
    """Per stage: which part, written before this build, holds a row key."""
    scanning: threading.Lock = field(default_factory=threading.Lock)
    _idle: threading.Condition = field(default_factory=threading.Condition)
    _num_in_work: int = 0

    @contextmanager
    def in_work(self) -> Iterator[None]:
        with self._idle:
            self._num_in_work += 1
        try:
            yield
        finally:
            with self._idle:
                self._num_in_work -= 1
                self._idle.notify_all()

    def drain(self) -> None:
        """Wait until no stage works in the workspace: only then may another build have it."""
        with self._idle:
            self._idle.wait_for(lambda: self._num_in_work == 0)


def part_key(stage: Stage, partition: Partition, parts: Mapping[str, PartInfo]) -> str:
    """The name of a stage's result for a partition, given the parts of its inputs."""
    inputs = [parts[name].identity for name in stage.inputs]
    return digest(stage.name, stage.version, stage.settings(), partition.identity, inputs)


def row_key(stage: RowStage, known: Known) -> str:
    return _row_key(stage, known, stage.basis(known))


def _row_key(stage: RowStage, known: Known, basis: Any) -> str:
    return digest(stage.name, stage.version, known.track.track_id, basis)


def _row_keys(stage: TrackStage, known: Known) -> list[str]:
    """Keys under which an earlier row answers for a track, the one that is to be preferred first."""
    standing = stage.standing(known)
    return [*([_row_key(stage, known, standing)] if standing is not None else []), row_key(stage, known)]


def find_part(stage: RowStage, partition: Partition, parts: Mapping[str, PartInfo], run: StageRun) -> PartInfo | None:
    """The part if it exists and nothing in it is to be tried again, else None."""
    key = part_key(stage, partition, parts)
    path = run.workspace.part(stage.name, partition.name, key)
    info = read_part_info(path, stage.name, partition.name, key)
    if info is None or not stage.is_whole(path, info) or _wants_retry(info.counts, run.retry):
        return None
    # Media and accepted audio may be removed to save space, so their absence counts only when asked for.
    asked = matches(Reason.FILE_MISSING, run.retry) or not run.refetch.isdisjoint(t.track_id for t in partition.tracks)
    if asked and hasattr(stage, "process"):
        if not all(_stands(row, stage, run) for row in read_rows(path, stage.record)):
            return None
    return info


def run_stage(
    stage: TrackStage | PartitionStage, partition: Partition, parts: Mapping[str, PartInfo], run: StageRun
) -> PartInfo:
    """Make sure that the stage's part for a partition exists.

    Args:
        parts: the parts of this partition's earlier stages by stage name.

    Raises:
        BuildError: a person must act (disk full, no permission ...). Rows that were
            finished before are journalled.
    """
    started = time.monotonic()
    run.pools.check()
    with run.in_work():
        return _run_stage(stage, partition, parts, run, started)


def _run_stage(
    stage: TrackStage | PartitionStage,
    partition: Partition,
    parts: Mapping[str, PartInfo],
    run: StageRun,
    started: float,
) -> PartInfo:
    try:
        existing = find_part(stage, partition, parts, run)
        if existing is not None:
            return existing
        key = part_key(stage, partition, parts)
        path = run.workspace.part(stage.name, partition.name, key)
        known = _known_tracks(stage, partition, parts)
        if hasattr(stage, "process"):
            rows, num_new = _track_rows(stage, partition, known, run)  # type: ignore[arg-type]
        else:
            rows, num_new = _partition_rows(stage, partition, known, key, run), len(known)
        info = write_part(path, stage.name, partition.name, key, stage.record, rows)
        run.workspace.journal(stage.name, partition.name).unlink(missing_ok=True)
    except OSError as error:
        raise operator_error(error) or error from error
    return replace(info, num_new=num_new, seconds=time.monotonic() - started)


def _wants_retry(results: Iterable[str], retry: frozenset[Reason | ReasonClass]) -> bool:
    return any(result != "ok" and matches(Reason(result), retry) for result in results)


def matches(reason: Reason, retry: frozenset[Reason | ReasonClass]) -> bool:
    """Whether a reason, or its class, is among those to be tried again."""
    return reason in retry or reason_class(reason) in retry


def _known_tracks(stage: Stage, partition: Partition, parts: Mapping[str, PartInfo]) -> list[Known]:
    """The partition's tracks that are ``ok`` in every input, in order, with the inputs' records."""
    records: dict[str, dict[str, Any]] = {}
    for name in stage.inputs:
        rows = read_rows(parts[name].path, RECORD_TYPES[name])
        records[name] = {row.track_id: row.outcome.record for row in rows if row.outcome.status is Status.OK}
    return [
        Known(track=track, **{name: records[name][track.track_id] for name in stage.inputs})
        for track in partition.tracks
        if all(track.track_id in records[name] for name in stage.inputs)
    ]


def _partition_rows(
    stage: PartitionStage, partition: Partition, known: Sequence[Known], key: str, run: StageRun
) -> list[Row]:
    outcomes = stage.process_partition(partition, known, key, run.workspace, run.pools)
    rows = [
        Row(track_id=item.track.track_id, row_key=row_key(stage, item), outcome=outcome)
        for item, outcome in zip(known, outcomes, strict=True)
    ]
    for row in rows:
        run.on_row(stage.name, str(row.outcome.reason or "ok"))
    return rows


def _track_rows(
    stage: TrackStage, partition: Partition, known: Sequence[Known], run: StageRun
) -> tuple[list[Row], int]:
    keys = {item.track.track_id: _row_keys(stage, item) for item in known}
    journal = Journal(run.workspace.journal(stage.name, partition.name), stage.record)
    with journal:
        wanted = {key for of_track in keys.values() for key in of_track}
        rows = [*_earlier_rows(stage, wanted, run), *journal.rows]  # the youngest last, so that it wins
        earlier = {row.row_key: row for row in rows if _stands(row, stage, run)}
        done = {
            track_id: next(earlier[key] for key in of_track if key in earlier)
            for track_id, of_track in keys.items()
            if any(key in earlier for key in of_track)
        }
        todo = [item for item in known if item.track.track_id not in done]
        for item, result in run.pools.map(stage.pool, _Process(stage, run.workspace.root), todo):
            outcome = _outcome_of(result, item, stage, run)
            row = Row(track_id=item.track.track_id, row_key=keys[item.track.track_id][-1], outcome=outcome)
            journal.append(row)
            done[item.track.track_id] = row
            run.on_row(stage.name, str(outcome.reason or "ok"))
    return [done[item.track.track_id] for item in known], len(todo)


@dataclass(frozen=True, slots=True)
class _Process:
    """``stage.process`` of one workspace as a function of one argument that can be pickled."""

    stage: TrackStage
    workspace: Path

    def __call__(self, known: Known) -> Outcome:
        return self.stage.process(known, self.workspace)


def _outcome_of(result: Outcome | Exception, item: Known, stage: Stage, run: StageRun) -> Outcome:
    if isinstance(result, Outcome):
        return result
    outcome = failure_of(result)
    run.on_detail(f"{stage.name} of {item.track.track_id}: {outcome.reason} ({outcome.detail})")
    return outcome


def failure_of(error: Exception) -> Outcome:
    """What an unexpected exception over one track means for it.

    Raises:
        BuildError: it concerns the whole build.
    """
    stop = operator_error(error)
    if stop is not None:
        raise stop from error
    reason = Reason.WORKER_CRASHED if isinstance(error, WorkerCrashed) else Reason.INTERNAL_ERROR
    return failed(reason, f"{type(error).__name__}: {error}")


def _stands(row: Row, stage: RowStage, run: StageRun) -> bool:
    reason = row.outcome.reason
    if reason is not None and matches(reason, run.retry):
        return False
    if stage.name == "harvest" and row.track_id in run.refetch:
        return False
    return stage.keeps(row, run.workspace)


def _earlier_rows(stage: RowStage, wanted: set[str], run: StageRun) -> list[Row]:
    """Rows of the stage's earlier parts with a wanted key."""
    with run.scanning:
        if stage.name not in run.row_index:
            run.row_index[stage.name] = _index_rows(run.workspace.root / stage.name)
        index = run.row_index[stage.name]
    rows: list[Row] = []
    for path in {index[key] for key in wanted & index.keys()}:
        candidates = read_rows(path, stage.record)
        rows += [row for row in candidates if row.row_key in wanted and index[row.row_key] == path]
    return rows


def _index_rows(folder: Path) -> dict[str, Path]:
    """Which part holds a row key: the youngest one, where there are several."""
    paths = sorted(folder.glob("*.parquet"), key=lambda path: (path.stat().st_mtime_ns, path))
    index: dict[str, Path] = {}
    for path in paths:
        try:
            keys = pq.read_table(path, columns=["row_key"])["row_key"].to_pylist()
        except pa.ArrowInvalid:  # somebody damaged it: as good as missing, and made again
            continue
        index.update(dict.fromkeys(keys, path))
    return index
