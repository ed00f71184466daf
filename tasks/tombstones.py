"""Takedown: a track leaves every part, file and shard; its id stays on a list and is never fetched again.

``forgotten.csv`` in the workspace is the list, for people to read and to hand on with the dataset.
What it names is removed when a workspace is opened and the list has changed since, so a kill in the
middle of a removal is made good by the next build.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from collap_model.features.feature_files import holding
from data_specs.hashing import digest, file_sha256
from data_specs.outcomes import failed
from data_specs.publish import publish_bytes
from data_specs.reasons import Reason
from tasks.caption.generate.answers import Answers
from tasks.caption.orders import read_orders, write_orders
from tasks.engine.errors import BuildError
from tasks.engine.parts import Row, read_rows, write_part
from tasks.engine.stage import RECORD_TYPES
from tasks.engine.workspace import Workspace
from tasks.select.order import TRACK_ID

TOMBSTONE = "taken out at somebody's request, see forgotten.csv"

_COLUMNS = ("track_id", "forgotten_at", "note")
# A tar and an array of vectors hold many tracks: they are made again from what is left.
_PACKED: dict[str, tuple[str, ...]] = {"shards": (".tar", ".json"), "features": ()}


def forget(workspace: Workspace, track_ids: Sequence[str], note: str = "") -> list[str]:
    """Put tracks on the list; return those that were not on it. The workspace must be locked."""
    known = read_forgotten(workspace)
    new = [track_id for track_id in dict.fromkeys(track_ids) if track_id not in known]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows = [*known.values(), *({"track_id": i, "forgotten_at": now, "note": note} for i in new)]
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    publish_bytes(workspace.forgotten, text.getvalue().encode())
    return new


def read_forgotten(workspace: Workspace) -> dict[str, dict[str, str]]:
    """The rows of the list by track id; people edit it, so blanks and a byte order mark do no harm.

    Raises:
        BuildError: it is no UTF-8 CSV with a column ``track_id``, or an id is none.
    """
    path = workspace.forgotten
    if not path.exists():
        return {}
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"cannot read {path}: {error}; save it as CSV in UTF-8") from error
    if "track_id" not in (reader.fieldnames or ()):
        raise BuildError(
            f"{path} has no column 'track_id' but {reader.fieldnames}; its first line must be {','.join(_COLUMNS)}"
        )
    rows = {}
    for row in reader:
        track_id = (row["track_id"] or "").strip()
        if not re.fullmatch(TRACK_ID, track_id):  # it names files that will be removed
            raise BuildError(
                f"{path}, line {reader.line_num}: {track_id!r} is no track id: 1 to 80 letters, digits, '-' and '_'"
            )
        rows[track_id] = {name: row.get(name) or "" for name in _COLUMNS} | {"track_id": track_id}
    return rows


def purge(workspace: Workspace) -> frozenset[str]:
    """Remove what the list names, if the list changed since the last time; return its ids.

    The workspace must be locked. Trained models are not touched: a track cannot be taken out of one. What was measured
    on such a track goes, as it quotes the caption; ``collap evaluate`` measures without it.
    """
    ids = frozenset(read_forgotten(workspace))
    done = workspace.root / ".purged"
    before = done.read_text() if done.exists() else ""
    now = file_sha256(str(workspace.forgotten)) if ids else ""
    if now != before:
        if ids:
            _purge(workspace, ids)
        publish_bytes(done, now.encode())
    return ids


def _purge(workspace: Workspace, ids: frozenset[str]) -> None:
    workspace.withdraw()
    for journal in (workspace.root / "journal").glob("*.jsonl"):
        _purge_journal(journal, ids)
    for stage in (*RECORD_TYPES, *_PACKED):
        for path in list((workspace.root / stage).glob("*-*-*.parquet")):
            _purge_part(path, stage, ids, workspace)
    for path in holding(workspace.root / "features", ids):
        path.unlink()
    orders = read_orders(workspace.orders)
    if not ids.isdisjoint(orders):
        write_orders(workspace.orders, {i: order for i, order in orders.items() if i not in ids})
    if workspace.answers.exists():
        with Answers(workspace.answers) as answers:
            answers.forget(ids)
    _purge_evaluations(workspace.root / "models", ids)
    for track_id in ids:
        for folder in (workspace.root / "harvest" / "media", workspace.root / "audio" / "flac"):
            for path in folder.glob(f"{track_id}-????????.*"):
                path.unlink()


def _purge_evaluations(models: Path, ids: frozenset[str]) -> None:
    for report in (*models.glob("*/retrieval-*.json"), *models.glob("*/*.html"), *models.glob("*.html")):
        text = report.read_text(encoding="utf-8")
        if any(track_id in text for track_id in ids):
            report.unlink()
            report.with_suffix(".npz").unlink(missing_ok=True)


def _purge_journal(path: Path, ids: frozenset[str]) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    # a torn last line is no JSON; the journal drops it by itself
    kept = [line for line in lines if line.endswith(b"\n") and json.loads(line)["track_id"] not in ids]
    publish_bytes(path, b"".join(kept))


def _purge_part(path: Path, stage: str, ids: frozenset[str], workspace: Workspace) -> None:
    """Leave a tombstone in the harvest's part and nothing in the others.

    A part of another stage gets a name that nobody asks for: it no longer holds what its own name
    promises, but the rows of the other tracks are taken over from it.
    """
    try:
        held = ids.intersection(pq.read_table(path, columns=["track_id"])["track_id"].to_pylist())
    except pa.ArrowInvalid:  # somebody damaged it: what cannot be read cannot be kept
        path.unlink()
        return
    if not held:
        return
    if stage in _PACKED:
        for suffix in (*_PACKED[stage], path.suffix):
            path.with_suffix(suffix).unlink(missing_ok=True)
        return
    partition, _, key = path.stem.rpartition("-")
    rows = read_rows(path, RECORD_TYPES[stage])
    if stage == "harvest":
        target, rows = path, [_tombstone(row) if row.track_id in held else row for row in rows]
    else:
        key = digest(key, "without", sorted(held))
        target, rows = workspace.part(stage, partition, key), [row for row in rows if row.track_id not in held]
    written = path.stat()
    write_part(target, stage, partition, key, RECORD_TYPES[stage], rows)
    os.utime(target, ns=(written.st_atime_ns, written.st_mtime_ns))  # of two rows with one key the younger part's wins
    if target != path:
        path.unlink()


def _tombstone(row: Row) -> Row:
    return Row(track_id=row.track_id, row_key=row.row_key, outcome=failed(Reason.FORGOTTEN, TOMBSTONE))
