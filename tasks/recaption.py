"""``collap recaption``: order the captions that a query finds to be written anew, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.build import BuildConfig
from tasks.caption.orders import NO_ORDER, Order, read_orders, write_orders
from tasks.caption.query import parse_query
from tasks.engine.errors import BuildError
from tasks.stages import settings_of

EXAMPLES = 5
_COLUMNS = (
    "track_id split status reason detail duration_s num_words repetition version settings prompt captioner model "
    "flaws repairs warnings heard_s"
).split()
_NESTED = ["sections.list.element.start_s", "sections.list.element.writer"]


def recaption(config: BuildConfig, queries: Sequence[str], *, dry_run: bool = False) -> str:
    """Write orders for the tracks that any of the queries finds; the next build carries them out.

    The other captions stand as they are, also where the spec's caption settings have changed since.

    Returns:
        What was ordered, for people.

    Raises:
        BuildError: there is no finished build, another process holds it, or a query cannot be read.
    """
    parsed = [parse_query(text) for text in queries]
    spec, workspace = config.load()
    if not workspace.captions.exists():
        raise BuildError(f"no finished build in {workspace.root}: {workspace.captions.name} is not there; build first")
    with workspace.locked():
        orders = read_orders(workspace.orders)
        ordered_at = datetime.now(UTC).isoformat(timespec="seconds")
        found, num_standing, num_rows = [], 0, 0
        for row in _rows(workspace.captions):
            track_id, num_rows = row["track_id"], num_rows + 1
            order = orders.get(track_id, replace(NO_ORDER, track_id=track_id))
            query = next((query for query in parsed if query.matches(row)), None)
            if query is not None:
                found.append(track_id)
                version = (row["version"] if row["version"] is not None else order.version) + 1
                order = Order(track_id=track_id, version=version, query=query.text, ordered_at=ordered_at)
            elif row["status"] == "ok" and row["settings"] != settings_of(track_id, spec.caption):
                order = replace(order, standing=row["settings"])
                num_standing += 1
            if order.version or order.standing:
                orders[track_id] = order
        if found and not dry_run:
            write_orders(workspace.orders, orders)
    return _told(config, found, num_rows, num_standing, dry_run)


def _rows(captions: Path) -> Iterator[dict[str, Any]]:
    """Rows with the columns that a query can ask for; the texts stay on the disk."""
    table = pq.ParquetFile(captions)
    for batch in table.iter_batches(batch_size=1024, columns=[*_COLUMNS, *_NESTED]):
        yield from batch.to_pylist()


def _told(config: BuildConfig, found: Sequence[str], num_rows: int, num_standing: int, dry_run: bool) -> str:
    if not found:
        return f"no caption of {num_rows} matches; nothing was ordered"
    examples = ", ".join(found[:EXAMPLES]) + (", ..." if len(found) > EXAMPLES else "")
    lines = [f"{len(found)} of {num_rows} captions match: {examples}"]
    if num_standing:
        lines.append(f"{num_standing} others were written under other settings and stand as they are")
    if dry_run:
        return "\n".join([*lines, "nothing was ordered (--dry-run)"])
    return "\n".join([*lines, f"the next build writes them anew: collap build {config.spec}"])
