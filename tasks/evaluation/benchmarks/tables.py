"""Published tables as rows, with errors that name the columns found."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.engine.errors import BuildError

csv.field_size_limit(2**27)  # long captions; the module's own limit is 128 KiB


def read_table(path: Path, columns: Sequence[str] = (), *, delimiter: str = ",") -> list[dict[str, Any]]:
    """The rows of a CSV or, by its suffix, JSON-lines file by column name.

    Raises:
        BuildError: the file is missing or unreadable, has no rows, lacks one of ``columns``, or has a row
            (named) of another length than its header.
    """
    rows = _read(path, delimiter)
    if not rows:
        raise BuildError(f"{path} has no rows; download it again")
    missing = [name for name in columns if name not in rows[0]]
    if missing:
        raise BuildError(f"{path} has no column {', '.join(missing)}; it has {_named(rows[0])}")
    return rows


def choose_column(path: Path, row: dict[str, Any], candidates: Sequence[str], what: str) -> str:
    """The first candidate that the table has, capitals aside: its own name for it.

    Raises:
        BuildError: it has none; names its columns.
    """
    folded = {name.strip().casefold(): name for name in row}
    for name in candidates:
        if name.casefold() in folded:
            return folded[name.casefold()]
    raise BuildError(
        f"{path} has no column of {what}: none of {', '.join(candidates)}; it has {_named(row)}. "
        f"Give its name in the benchmark spec, list.{what}_columns"
    )


def read_lines(path: Path) -> list[str]:
    """Lines that are not empty.

    Raises:
        BuildError: the file is missing, unreadable or empty.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    if not any(lines):
        raise BuildError(f"{path} is empty; download it again")
    return [line for line in lines if line]


def _read(path: Path, delimiter: str) -> list[dict[str, Any]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".jsonl":
                return [_object(path, number, line) for number, line in enumerate(file, 1) if line.strip()]
            rows = list(csv.DictReader(file, delimiter=delimiter, strict=True))
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from error
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise BuildError(f"{path}, row {number}: another number of cells than the header; download it again")
    return rows


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise BuildError(f"{path}, line {number}: expected an object, got {line.strip()[:60]!r}")
    return row


def _unreadable(path: Path, error: Exception) -> BuildError:
    if isinstance(error, FileNotFoundError):
        return BuildError(f"no list at {path}; docs/evaluation.md says what to download, --lists where it lies")
    return BuildError(f"cannot read {path}: {error}")


def _named(row: dict[str, Any]) -> str:
    return ", ".join(map(str, row)) or "none"
