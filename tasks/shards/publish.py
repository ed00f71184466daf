"""From the parts of all partitions to the tables a user opens: manifest, shards, features, captions, failures."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.arrow import from_dict, to_table
from data_specs.outcomes import Status
from data_specs.publish import publish, publish_bytes
from data_specs.reasons import Reason, reason_class
from data_specs.records import Caption, Features, Sample, ShardEntry
from tasks.engine.parts import PartInfo, Row, part_schema, read_rows
from tasks.engine.workspace import Workspace
from tasks.shards.pack import sidecar

_OURS = re.compile(r"(train|valid|test)-\d{5}-[0-9a-f]{16}\.(tar|json|parquet)")

FAILURE_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("track_id", "split", "url", "stage", "reason", "class", "detail")]
)

CAPTION_SCHEMA = pa.schema(
    [
        ("track_id", pa.string()),
        ("split", pa.string()),
        ("duration_s", pa.float64()),
        ("published", pa.bool_()),
        *(field for field in part_schema(Caption) if field.name != "track_id"),
    ]
)


def publish_failures(
    parts: Mapping[str, Mapping[str, PartInfo]],
    records: dict[str, type],
    split_url: dict[str, tuple[str, str]],
    to: Workspace,
) -> None:
    """Write ``failures.parquet``: a row per dropped track.

    Args:
        parts: by partition and stage name.
        records: record type by stage name.
        split_url: split and address by track id.
    """
    by_stage = {name: [of_partition[name] for of_partition in parts.values()] for name in records}
    write_if_changed(to.failures, _failures(by_stage, records, split_url))


def publish_tables(parts: Mapping[str, Mapping[str, PartInfo]], to: Workspace) -> None:
    """Write manifest, shards and features tables, each only if it changed; ``parts`` by partition and stage name."""
    by_stage = {name: [of_partition[name] for of_partition in parts.values()] for name in ("shards", "features")}
    samples = _records(by_stage["shards"], Sample)
    write_if_changed(to.shards, to_table(ShardEntry, _shard_entries(samples, to)))
    # Duplicates and leaks have vectors too: nobody who reads this table alone may learn from them.
    published = {sample.track_id for sample in samples}
    features = [record for record in _records(by_stage["features"], Features) if record.track_id in published]
    write_if_changed(to.features, to_table(Features, features))
    # Whoever finds the manifest finds everything it speaks of.
    write_if_changed(to.manifest, to_table(Sample, samples))
    _remove_stale_shards({Path(part.path).stem for part in by_stage["shards"]}, to.root / "shards")


def publish_captions(parts: Mapping[str, Mapping[str, PartInfo]], split: Mapping[str, str], to: Workspace) -> None:
    """Write ``captions.parquet``: every caption that was written, rejected ones too, as its stage's part has it.

    ``published`` says which ones are in the manifest: duplicates and leaks have captions as well.

    Args:
        parts: by partition and stage name.
        split: by track id.
    """
    published = set(pq.read_table(to.manifest, columns=["track_id"])["track_id"].to_pylist())
    schema = CAPTION_SCHEMA
    with publish(to.captions) as (file, _), pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for of_partition in parts.values():
            table = pq.read_table(of_partition["caption"].path)
            ids = table["track_id"].to_pylist()
            duration_s = _durations(of_partition["audio"])
            columns = {
                "split": pa.array([split[track_id] for track_id in ids], pa.string()),
                "duration_s": pa.array([duration_s[track_id] for track_id in ids], pa.float64()),
                "published": pa.array([track_id in published for track_id in ids], pa.bool_()),
            }
            for name, column in columns.items():
                table = table.append_column(name, column)
            writer.write_table(table.select(schema.names).cast(schema))


def _durations(part: PartInfo) -> dict[str, float]:
    table = pq.read_table(part.path, columns=["track_id", "duration_s"])
    return dict(zip(table["track_id"].to_pylist(), table["duration_s"].to_pylist(), strict=True))


def _remove_stale_shards(current: set[str], folder: Path) -> None:
    """Remove shards that an earlier setting made: a user who takes ``shards/*.tar`` gets one dataset.

    They cost no analysis to make again, and on a full-size dataset each generation is 200 GB.
    """
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name) and path.stem not in current:
            path.unlink()


def write_if_changed(path: Path, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    if not path.exists() or path.read_bytes() != buffer.getvalue():
        publish_bytes(path, buffer.getvalue())


def _records(parts: Sequence[PartInfo], record_type: type) -> list[Any]:
    rows: Iterable[Row] = (row for part in parts for row in read_rows(part.path, record_type))
    return [row.outcome.record for row in rows if row.outcome.status is Status.OK]


def _shard_entries(samples: Sequence[Sample], workspace: Workspace) -> list[ShardEntry]:
    shards = dict.fromkeys(sample.shard for sample in samples)
    sidecars = [sidecar(workspace.root / "shards" / shard) for shard in shards]
    return [from_dict(ShardEntry, json.loads(path.read_bytes())) for path in sidecars]


def _failures(
    by_stage: dict[str, list[PartInfo]], records: dict[str, type], split_url: dict[str, tuple[str, str]]
) -> pa.Table:
    rows = []
    for stage, parts in by_stage.items():
        for part in parts:
            if set(part.counts) <= {"ok"}:
                continue
            rows += [
                _failure(row, stage, split_url) for row in read_rows(part.path, records[stage]) if row.outcome.reason
            ]
    return pa.Table.from_pylist(rows, schema=FAILURE_SCHEMA)


def _failure(row: Row, stage: str, split_url: dict[str, tuple[str, str]]) -> dict[str, str | None]:
    split, url = split_url[row.track_id]
    reason = row.outcome.reason or Reason.INTERNAL_ERROR
    return {
        "track_id": row.track_id,
        "split": split,
        "url": None if reason is Reason.FORGOTTEN else url,
        "stage": stage,
        "reason": str(reason),
        "class": str(reason_class(reason)),
        "detail": row.outcome.detail,
    }
