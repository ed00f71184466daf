"""Where imported captions lie: a folder of one file per track, or one table of all."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from data_specs.hashing import digest, file_sha256
from data_specs.spec import ImportCaptions
from tasks.engine.errors import BuildError

ID_COLUMNS = ("track_id", "id", "ytid", "youtube_id")
TEXT_COLUMNS = ("caption", "captions", "text")

Raw = str | Mapping[str, Any]
"""A caption as it was found: text, or the parts of one."""


class Unreadable(ValueError):
    """A track's record that is none; the message names what was found."""


def find_record(track_id: str, settings: ImportCaptions) -> Raw | None:
    """What is there for a track; None where nothing is.

    Raises:
        Unreadable: the track's own record is not JSON, or holds no caption.
        BuildError: the path is missing, or the table cannot be read.
    """
    path = _existing(settings)
    if path.is_dir():
        file = path / f"{track_id}.json"
        if not file.is_file():
            return None
        content = _parsed(file.read_bytes())
        row = content if isinstance(content, Mapping) else {}
        column = next((name for name in TEXT_COLUMNS if name in row), None)
        return _caption(row[column] if column else content)
    content = _table(*_state(path)).get(track_id)
    return None if content is None else _caption(content)


def records_identity(settings: ImportCaptions) -> str:
    """Changes where any record may have changed: the table's content, or the folder's listing.

    Raises:
        BuildError: the path is missing.
    """
    path = _existing(settings)
    if path.is_file():
        return _sha256(*_state(path))
    return digest(
        [[Path(name).name, size, changed] for name, size, changed in map(_state, sorted(path.glob("*.json")))]
    )


def track_identity(track_id: str, settings: ImportCaptions) -> str | None:
    """Digest of one track's record, None where there is none: another track's new record does not touch it.

    Raises:
        BuildError: as ``find_record``.
    """
    path = _existing(settings)
    if path.is_dir():
        file = path / f"{track_id}.json"
        return file_sha256(str(file)) if file.is_file() else None
    content = _table(*_state(path)).get(track_id)
    return None if content is None else digest(content)


def _existing(settings: ImportCaptions) -> Path:
    path = Path(settings.path)
    if not path.exists():
        raise BuildError(f"captions to import: {path} does not exist; correct caption.path in the spec")
    return path


def _state(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=4)
def _sha256(path: str, size: int, changed_ns: int) -> str:
    return file_sha256(path)


@lru_cache(maxsize=2)
def _table(path: str, size: int, changed_ns: int) -> dict[str, Any]:
    """Captions by id; of an id that comes twice the first counts."""
    found: dict[str, Any] = {}
    try:
        for row in _rows(Path(path)):
            found.setdefault(str(row[_column(row, ID_COLUMNS, path)]).strip(), row[_column(row, TEXT_COLUMNS, path)])
    except (ValueError, csv.Error) as error:
        raise BuildError(f"captions to import: cannot read {path}: {error}") from error
    return found


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    kind = path.suffix.lower()
    if kind not in (".csv", ".json", ".jsonl"):
        raise BuildError(f"captions to import: {path} is none of .csv, .json, .jsonl, and no folder")
    with path.open(encoding="utf-8-sig", newline="") as file:
        if kind == ".csv":
            rows: Iterable[Any] = csv.DictReader(file)
        elif kind == ".jsonl":
            rows = (json.loads(line) for line in file if line.strip())
        else:
            rows = json.load(file)
        for row in rows:
            if not isinstance(row, Mapping):
                raise BuildError(f"captions to import: {path} holds {type(row).__name__} {str(row)[:40]!r}, not rows")
            yield row


def _column(row: Mapping[str, Any], names: tuple[str, ...], path: str) -> str:
    # The names' order, not the file's: a table with both "track_id" and "id" means the former.
    folded = {str(name).strip().casefold(): name for name in row}
    for name in names:
        if name in folded:
            return folded[name]
    raise BuildError(
        f"captions to import: {path} has no column {' or '.join(names)}; it has {', '.join(map(str, row)) or 'none'}"
    )


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:  # broken JSON, or bytes that are no text
        raise Unreadable(f"not JSON: {error}") from error


def _caption(value: Any) -> Raw:
    """A text or the parts of one; of several answers to one prompt the longest."""
    if isinstance(value, list) and value:
        value = max(value, key=lambda answer: len(str(answer)))
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("{"):  # a cell of a table that holds JSON
            value = _parsed(text)
        elif text:
            return text
    if isinstance(value, Mapping) and value:
        return value
    raise Unreadable(f"no caption but {str(value)[:60]!r}")
