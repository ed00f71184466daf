"""``collap caption``: every caption that a track ever had."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from data_specs.records import Caption
from tasks.build import BuildConfig
from tasks.engine.errors import BuildError
from tasks.engine.parts import Row, part_schema
from tasks.engine.workspace import Workspace


def history(config: BuildConfig, track_id: str) -> str:
    """The captions of a track in the order in which they were written, with where each came from.

    Raises:
        BuildError: the track has no caption in this workspace.
    """
    _, workspace = config.load()
    versions = list(_versions(workspace, track_id))
    if not versions:
        raise BuildError(f"no caption of {track_id!r} in {workspace.root}/caption; ids stand in captions.parquet")
    current = _current(workspace, track_id)
    return "\n\n".join(_block(row, written_at, row.identity == current) for written_at, row in versions)


def _current(workspace: Workspace, track_id: str) -> str | None:
    """Identity of the row that the last finished build took."""
    if not workspace.captions.exists():
        return None
    rows = _rows(workspace.captions, track_id)
    return rows[0].identity if rows else None


def _rows(path: Path, track_id: str) -> list[Row]:
    table = pq.read_table(path, schema=part_schema(Caption), filters=ds.field("track_id") == track_id)
    return [Row.from_dict(Caption, values) for values in table.to_pylist()]


def _versions(workspace: Workspace, track_id: str) -> Iterator[tuple[datetime, Row]]:
    """Distinct rows of a track by the time at which they were first written down."""
    seen = set()
    paths = sorted((workspace.root / "caption").glob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    for path in paths:
        written_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        try:
            rows = _rows(path, track_id)
        except pa.ArrowInvalid:  # somebody damaged it; the next build makes it again
            continue
        for row in rows:
            if row.identity not in seen:
                seen.add(row.identity)
                yield written_at, row


def _block(row: Row, written_at: datetime, is_current: bool) -> str:
    caption: Caption | None = row.outcome.record
    facts = [f"{written_at:%Y-%m-%d %H:%M} UTC", str(row.outcome.status)]
    if caption is not None:
        facts += [f"version {caption.version}", caption.captioner]
        facts += [text for text in (caption.model, caption.prompt) if text]
        facts.append(f"{caption.num_words} words")
    lines = [("in the dataset: " if is_current else "earlier: ") + ", ".join(facts)]
    if row.outcome.reason:
        lines.append(f"{row.outcome.reason}: {row.outcome.detail}")
    if caption is not None:
        named = {"flaws": caption.flaws, "repairs": caption.repairs, "warnings": caption.warnings}
        lines += [f"{name}: {', '.join(values)}" for name, values in named.items() if values]
        lines += ["", caption.long_text]
    return "\n".join(lines)
