"""What models are measured on: the lists of ids that benchmarks publish."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO
from urllib.parse import parse_qs, urlsplit

from tasks.engine.errors import BuildError
from tasks.select.order import TRACK_ID
from tasks.select.segments import read_segments

ID_COLUMNS = ("track_id", "ytid", "youtube_id", "id")
"""Names of a table's column of ids; the first of them that it has is taken."""

_TRACK_ID = re.compile(TRACK_ID)
_SEGMENT = re.compile(r'\S+, [0-9.]+, [0-9.]+, "')
_FIX = (
    f"evaluation.ids takes AudioSet segment lists, CSV and TSV tables with a column {', '.join(ID_COLUMNS)}, "
    "and text with one id a line"
)

_YOUTUBE_ID = re.compile("[A-Za-z0-9_-]{11}")
_YOUTUBE_HOSTS = {"youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "www.youtube-nocookie.com"}
_YOUTUBE_FOLDERS = {"shorts", "embed", "live", "v"}


def read_evaluation_ids(paths: Iterable[str | Path]) -> frozenset[str]:
    """The ids in all of the files.

    A file is an AudioSet segment list, a CSV or TSV table whose header names one of ``ID_COLUMNS``
    (MusicCaps has ``ytid``), or text with one id a line; lines before them that begin with ``#``
    are comments.

    Raises:
        BuildError: a file is missing, of another form or without ids; a line (named) has no id.
    """
    ids: set[str] = set()
    for path in map(Path, paths):
        try:
            found = _read_ids(path)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise BuildError(f"cannot read evaluation ids {path}: {error}; {_FIX}") from error
        if not found:
            raise BuildError(f"{path} has no ids; {_FIX}")
        ids |= found
    return frozenset(ids)


def youtube_id(url: str) -> str | None:
    """The video id in one of YouTube's addresses, None in any other."""
    try:
        address = urlsplit(url)
        host = address.hostname
    except ValueError:  # brackets that are no IPv6 address
        return None
    folder, _, rest = address.path.strip("/").partition("/")
    if host in {"youtu.be", "www.youtu.be"}:
        found = folder
    elif host in _YOUTUBE_HOSTS and folder == "watch":
        found = parse_qs(address.query).get("v", [""])[0]
    elif host in _YOUTUBE_HOSTS and folder in _YOUTUBE_FOLDERS:
        found = rest.partition("/")[0]
    else:
        return None
    return found if _YOUTUBE_ID.fullmatch(found) else None


def _read_ids(path: Path) -> set[str]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        head = next((line.strip() for line in file if not _is_comment(line)), "")
        if _SEGMENT.match(head):
            return set(read_segments(path)["video"].to_pylist())
        delimiter = "\t" if "\t" in head else ","
        names = [name.strip().strip('"') for name in head.split(delimiter)]
        column = next((name for name in ID_COLUMNS if name in names), None)
        if column is None and len(names) > 1:
            raise BuildError(f"{path} has no column of ids, it has {', '.join(names)}; {_FIX}")
        file.seek(0)
        cells = _lines(file) if column is None else _cells(file, delimiter, names.index(column))
        ids = set()
        for number, cell in cells:
            if not _TRACK_ID.fullmatch(cell):
                raise BuildError(f"{path}, line {number}: {cell[:100]!r} is not an id; {_FIX}")
            ids.add(cell)
        return ids


def _is_comment(line: str) -> bool:
    return line.startswith("#") or not line.strip()


def _lines(file: TextIO) -> Iterator[tuple[int, str]]:
    return ((number, line.strip()) for number, line in enumerate(file, 1) if not _is_comment(line))


def _cells(file: TextIO, delimiter: str, column: int) -> Iterator[tuple[int, str]]:
    """Number of the line that a row ends on, and its cell; empty where the row is too short."""
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    for row in rows:
        if row and not row[0].startswith("#"):
            break  # the header
    for row in rows:
        if row:
            yield rows.line_num, row[column].strip() if column < len(row) else ""
