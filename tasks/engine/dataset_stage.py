"""A stage over the whole dataset: computed at once, stored as one part per partition like any other.

Its parts are named by *all* inputs, so one new track makes new parts everywhere. What hangs on them
depends on their identity, which changes only where a row did.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.hashing import digest
from data_specs.outcomes import Status
from tasks.engine.errors import operator_error
from tasks.engine.parts import PartInfo, Parts, Row, read_part_info, write_part
from tasks.engine.stage import DatasetStage, Partition, StageRun
from tasks.engine.workspace import Workspace


def find_dataset_parts(
    stage: DatasetStage, partitions: Sequence[Partition], parts: Parts, workspace: Workspace
) -> list[PartInfo] | None:
    """The stage's parts if all of them exist, else None; ``parts`` are those of all inputs."""
    key = dataset_key(stage, partitions, parts)
    found = []
    for partition in partitions:
        path = workspace.part(stage.name, partition.name, key)
        info = read_part_info(path, stage.name, partition.name, key)
        if info is None:
            return None
        found.append(info)
    return found


def run_dataset_stage(
    stage: DatasetStage, partitions: Sequence[Partition], parts: Parts, run: StageRun
) -> list[PartInfo]:
    """Make sure that the stage's parts exist, one per partition in order.

    Args:
        parts: the parts of all inputs, by partition and stage name.

    Raises:
        BuildError: a person must act.
    """
    started = time.monotonic()
    run.pools.check()
    with run.in_work():
        try:
            existing = find_dataset_parts(stage, partitions, parts, run.workspace)
            return existing if existing is not None else _compute(stage, partitions, parts, run, started)
        except OSError as error:
            raise operator_error(error) or error from error


def _compute(
    stage: DatasetStage, partitions: Sequence[Partition], parts: Parts, run: StageRun, started: float
) -> list[PartInfo]:
    key = dataset_key(stage, partitions, parts)
    outcomes = stage.process_dataset(partitions, parts, run.workspace, run.pools)
    infos = []
    for partition in partitions:
        expected = _tracks_in(stage, partition, parts[partition.name])
        found = [track_id for track_id, _ in outcomes[partition.name]]
        assert found == expected, f"{stage.name} of {partition.name}: {len(found)} outcomes for {len(expected)} tracks"
        rows = [
            Row(track_id=track_id, row_key=digest(key, track_id), outcome=outcome)
            for track_id, outcome in outcomes[partition.name]
        ]
        path = run.workspace.part(stage.name, partition.name, key)
        # One that a killed run left is the same: a build that is killed again and again still gets on.
        written = read_part_info(path, stage.name, partition.name, key)
        infos.append(written or write_part(path, stage.name, partition.name, key, stage.record, rows))
        for row in rows:
            run.on_row(stage.name, str(row.outcome.reason or "ok"))
    _remove_others(stage, partitions, key, run)
    seconds = (time.monotonic() - started) / max(1, len(infos))
    return [replace(info, num_new=info.num_tracks, seconds=seconds) for info in infos]


def _tracks_in(stage: DatasetStage, partition: Partition, parts: Mapping[str, PartInfo]) -> list[str]:
    """Tracks that are ``ok`` in all inputs, in partition order."""
    ok_in = []
    for name in stage.inputs:
        table = pq.read_table(parts[name].path, columns=["track_id", "status"])
        ok_in.append(set(table.filter(pc.field("status") == str(Status.OK))["track_id"].to_pylist()))
    return [track.track_id for track in partition.tracks if all(track.track_id in ids for ids in ok_in)]


def dataset_key(stage: DatasetStage, partitions: Sequence[Partition], parts: Parts) -> str:
    """The name of the stage's result, given the parts of all its inputs."""
    inputs = [[parts[partition.name][name].identity for name in stage.inputs] for partition in partitions]
    return digest(stage.name, stage.version, stage.settings(), [p.identity for p in partitions], inputs)


def _remove_others(stage: DatasetStage, partitions: Sequence[Partition], key: str, run: StageRun) -> None:
    """Parts of earlier inputs are worth nothing: no row of them is ever taken over."""
    current = {run.workspace.part(stage.name, partition.name, key) for partition in partitions}
    for split in dict.fromkeys(partition.split for partition in partitions):
        for path in (run.workspace.root / stage.name).glob(f"{split}-*.parquet"):
            if path not in current:
                path.unlink()
