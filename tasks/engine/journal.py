"""The journal of a partition in work: every finished track, one JSON line each.

A kill costs at most the tracks in hand. The line that was being written at that moment is torn;
reading stops there, and the next run writes on from the last whole line.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType

from tasks.engine.parts import Row


class Journal:
    """Append-only rows of one partition; a context manager."""

    def __init__(self, path: Path, record_type: type) -> None:
        self.path = path
        self.rows: list[Row] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "a+b")
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            self.rows.append(Row.from_dict(record_type, json.loads(line)))
            whole += len(line)
        self._file.truncate(whole)

    def append(self, row: Row) -> None:
        """Write a row through to the disk before returning."""
        self._file.write(json.dumps(row.to_dict(), ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()
