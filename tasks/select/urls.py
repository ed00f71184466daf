"""A table of addresses as a source."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from data_specs.records import Track
from data_specs.spec import UrlsSource
from tasks.engine.errors import BuildError


def _read_json_lines(path: Path) -> pd.DataFrame:
    """With Python's parser: pandas' own rounds integers above 64 bits."""
    rows = []
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number}: expected an object with the field 'url', got {line.strip()[:100]}")
            rows.append(row)
    return pd.DataFrame(rows, dtype=object)


_READERS = {
    ".csv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False),
    ".tsv": lambda path: pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False),
    # integers with a hole would become floats, and an id 1 "1.0"
    ".parquet": lambda path: pq.read_table(path).to_pandas(integer_object_nulls=True).astype(object).fillna(""),
    ".jsonl": lambda path: _read_json_lines(path).fillna(""),
}
_COLUMNS = {"url", "track_id", "title", "labels", "split"}


def url_tracks(source: UrlsSource) -> list[Track]:
    """One track per row. Without a ``track_id`` column the id is a hash of the address.

    Raises:
        BuildError: the table is missing, of another format, without ``url`` column, or has a row
            whose address is not http(s).
    """
    path = Path(source.table)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise BuildError(f"table {path} ends in {path.suffix!r}; use one of {', '.join(_READERS)}")
    if not path.exists():
        raise BuildError(f"table {path} does not exist; set source.table")
    try:
        table = reader(path)
    except (ValueError, OSError) as error:  # pandas' and Arrow's parsers raise ValueErrors
        raise BuildError(f"cannot read table {path}: {error}") from error
    if "url" not in table.columns:
        raise BuildError(f"table {path} has no column 'url'; it has {', '.join(map(str, table.columns)) or 'none'}")
    if "labels" in table.columns:
        table["labels"] = table["labels"].map(_labels)
    rows = table.loc[:, [name for name in table.columns if name in _COLUMNS]].to_dict("records")
    return [_track({str(k): str(v) for k, v in row.items()}, number, path) for number, row in enumerate(rows, 1)]


def _is_web_address(url: str) -> bool:
    try:
        address = urlsplit(url)
    except ValueError:  # brackets that are no IPv6 address
        return False
    return address.scheme in {"http", "https"} and bool(address.hostname)


def _labels(value: object) -> str:
    """JSON lines and Parquet may hold labels as a list."""
    return ";".join(map(str, value)) if isinstance(value, list | np.ndarray) else str(value)


def _track(row: dict[str, str], number: int, path: Path) -> Track:
    url = row["url"].strip()
    if not _is_web_address(url):
        raise BuildError(f"{path}, row {number}: url {url!r} is not an http(s) address")
    labels = tuple(label.strip() for label in row.get("labels", "").split(";") if label.strip())
    return Track(
        track_id=row.get("track_id", "").strip() or hashlib.sha256(url.encode()).hexdigest()[:16],
        source="urls",
        url=url,
        split=row.get("split", "").strip(),
        title=row.get("title", "").strip() or None,
        labels=labels,
    )
