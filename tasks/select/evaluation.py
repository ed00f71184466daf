"""What models are measured on: the lists of ids that benchmarks publish."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit, urlunsplit

from tasks.engine.errors import BuildError
from tasks.select.order import TRACK_ID
from tasks.select.segments import read_segments

ID_COLUMNS = ("track_id", "ytid", "youtube_id", "id")
"""Names of a table's columns of ids; all that it has are taken."""

_TRACK_ID = re.compile(TRACK_ID)
_SEGMENT = re.compile(r'\S+, [0-9.]+, [0-9.]+, "')
_FIX = (
    f"evaluation.ids takes AudioSet segment lists, CSV and TSV tables with a column {', '.join(ID_COLUMNS)}, "
    "and text with one id a line"
)

_YOUTUBE_ID = re.compile("[A-Za-z0-9_-]{11}")


def read_evaluation_ids(paths: Iterable[str | Path]) -> frozenset[str]:
    """The ids in all of the files.

    A file is an AudioSet segment list, a CSV or TSV table whose header names some of ``ID_COLUMNS``
    (MusicCaps has ``ytid``), or text with one id a line; lines before them that begin with ``#``
    are comments. A song that a table gives two ids is known by both.

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
    """The video id in an address that yt-dlp takes for one of YouTube's, None in any other.

    yt-dlp's pattern knows hosts only as they are mostly written. Capitals, a port or a final dot name
    the same host, so they are taken off first.
    """
    try:
        address = urlsplit(url)
        host = address.hostname
    except ValueError:  # brackets that are no IPv6 address
        return None
    if host is None or address.scheme not in {"http", "https"}:
        return None
    from yt_dlp.extractor.youtube import YoutubeIE  # half a second, which most selections need not wait

    usual_host = host.removesuffix(".").removeprefix("www.")
    found: str | None = YoutubeIE.get_temp_id(urlunsplit(address._replace(scheme="https", netloc=usual_host)))
    return found


def _read_ids(path: Path) -> set[str]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        head = next((line.strip() for line in file if not _is_comment(line)), "")
        if not head:
            return set()
        if _SEGMENT.match(head):
            return set(read_segments(path)["video"].to_pylist())
        delimiter = "\t" if "\t" in head else ","
        names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter))]
        columns = [place for place, name in enumerate(names) if name in ID_COLUMNS]
        if not columns and len(names) > 1:
            raise BuildError(f"{path} has no column of ids, it has {', '.join(names)}; {_FIX}")
        file.seek(0)
        return _ids_of_table(path, file, delimiter, columns) if columns else _ids_of_lines(path, file)


def _is_comment(line: str) -> bool:
    return line.startswith("#") or not line.strip()


def _ids_of_lines(path: Path, file: TextIO) -> set[str]:
    lines = [(number, line.strip()) for number, line in enumerate(file, 1) if not _is_comment(line)]
    for number, text in lines:
        _check(path, number, text)
    (first_number, first), others = lines[0], lines[1:]
    if others and not _YOUTUBE_ID.fullmatch(first) and all(_YOUTUBE_ID.fullmatch(text) for _, text in others):
        raise BuildError(
            f"{path}, line {first_number}: {first!r} is no YouTube id like all that follow; if it is a header, "
            "name it ytid, if it is an id, let it not come first"
        )
    return {text for _, text in lines}


def _ids_of_table(path: Path, file: TextIO, delimiter: str, columns: Sequence[int]) -> set[str]:
    """The ids in some columns; a row may lack all but one of them. Lines are those that rows end on."""
    rows = csv.reader(file, delimiter=delimiter, strict=True)
    header = next(row for row in rows if not _is_comment(delimiter.join(row)))
    ids: set[str] = set()
    for row in rows:
        cells = {row[column].strip() for column in columns if column < len(row)} - {""}
        if row and not cells:
            names = ", ".join(header[column].strip() for column in columns)
            raise BuildError(f"{path}, line {rows.line_num}: no id in {names}; {_FIX}")
        for cell in cells:
            _check(path, rows.line_num, cell)
        ids |= cells
    return ids


def _check(path: Path, number: int, text: str) -> None:
    if not _TRACK_ID.fullmatch(text):
        raise BuildError(f"{path}, line {number}: {text[:100]!r} is not an id; {_FIX}")
