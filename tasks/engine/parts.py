"""Parts: one Parquet table per stage and partition, one row per input track, failures included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.arrow import from_dict, identity_fields, record_schema, to_dict
from data_specs.hashing import digest
from data_specs.outcomes import Outcome, Status
from data_specs.publish import publish
from data_specs.reasons import Reason

R = TypeVar("R")

_ROW_FIELDS = [
    pa.field("track_id", pa.string(), nullable=False),
    pa.field("status", pa.string(), nullable=False),
    pa.field("reason", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("row_key", pa.string(), nullable=False),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[R]):
    """The outcome of one track in one stage."""

    track_id: str
    row_key: str
    """Hash of what the outcome was made from: stage, version, settings and input records."""
    outcome: Outcome[R]

    @property
    def identity(self) -> str:
        """Hash of what the outcome is. Later stages depend on this, not on how it came about."""
        outcome = self.outcome
        record = None if outcome.record is None else identity_fields(outcome.record)
        return digest(self.track_id, outcome.status, outcome.reason, record)

    def to_dict(self) -> dict[str, Any]:
        """One flat table row; the record's columns are null where the track failed."""
        outcome = self.outcome
        flat = {
            "track_id": self.track_id,
            "status": str(outcome.status),
            "reason": None if outcome.reason is None else str(outcome.reason),
            "detail": outcome.detail,
            "row_key": self.row_key,
        }
        record = {} if outcome.record is None else to_dict(outcome.record)
        return {**record, **flat}

    @classmethod
    def from_dict(cls, record_type: type, values: dict[str, Any]) -> Row:
        """The inverse of ``to_dict``."""
        values = dict(values)
        status, reason = Status(values.pop("status")), values.pop("reason")
        detail, row_key = values.pop("detail"), values.pop("row_key")
        record = None if status is Status.FAILED else from_dict(record_type, values)
        outcome: Outcome = Outcome(record=record, reason=None if reason is None else Reason(reason), detail=detail)
        return cls(track_id=values["track_id"], row_key=row_key, outcome=outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartInfo:
    """What a stage did for one partition; small enough to pass through an orchestrator."""

    stage: str
    partition: str
    key: str
    path: str
    identity: str
    """Hash of the rows' identities in order."""
    counts: dict[str, int]
    """Tracks by outcome: ``ok`` or the reason."""
    num_new: int = 0
    """Rows computed in this run; 0 where the part was there already."""
    seconds: float = 0.0
    """Wall time of this run."""

    @property
    def num_tracks(self) -> int:
        return sum(self.counts.values())


Parts = Mapping[str, Mapping[str, PartInfo]]
"""By partition name and stage name."""


def part_schema(record_type: type) -> pa.Schema:
    """Row columns, then the record's own, all nullable: a failed track has no record."""
    own = [f.with_nullable(True) for f in record_schema(record_type) if f.name != "track_id"]
    return pa.schema([*_ROW_FIELDS, *own])


def write_part(path: Path, stage: str, partition: str, key: str, record_type: type, rows: Sequence[Row]) -> PartInfo:
    """Publish a part; its row counts and identity stand in the footer, so that a scan reads no rows."""
    counts = Counter(str(row.outcome.reason or "ok") for row in rows)
    info = PartInfo(
        stage=stage,
        partition=partition,
        key=key,
        path=str(path),
        identity=digest([row.identity for row in rows]),
        counts=dict(sorted(counts.items())),
    )
    metadata = {
        b"collap.identity": info.identity.encode(),
        b"collap.counts": ",".join(f"{name}={count}" for name, count in info.counts.items()).encode(),
    }
    schema = part_schema(record_type).with_metadata(metadata)
    table = pa.Table.from_pylist([row.to_dict() for row in rows], schema=schema)
    with publish(path) as (file, _):
        pq.write_table(table, file, compression="zstd")
    return info


def read_part_info(path: Path, stage: str, partition: str, key: str) -> PartInfo | None:
    """The part's summary from its footer, or None where there is no such part, or one that somebody damaged."""
    try:
        metadata = pq.read_schema(path).metadata
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    pairs = [item.split("=") for item in metadata[b"collap.counts"].decode().split(",") if item]
    return PartInfo(
        stage=stage,
        partition=partition,
        key=key,
        path=str(path),
        identity=metadata[b"collap.identity"].decode(),
        counts={name: int(count) for name, count in pairs},
    )


def read_rows(path: str | Path, record_type: type) -> list[Row]:
    """The rows of a part, in partition order."""
    return [Row.from_dict(record_type, values) for values in pq.read_table(path).to_pylist()]
