"""AudioSet's published segment lists as columns (research.google.com/audioset, CC BY 4.0).

A list has three ``#`` header lines and rows ``YTID, start, end, "label,label"``: a comma and a space
between fields, quotes around the labels. Ids may begin with ``-`` and contain ``_``; labels are ids of
Freebase (``/m/...``, ``/g/...``) or of AudioSet (``/t/...``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tasks.engine.errors import BuildError

_LABELS = pa.dictionary(pa.int32(), pa.string())
_COLUMNS = {"video": pa.string(), "start": pa.binary(), "end": pa.binary(), "labels": _LABELS}
_LABEL = "/[gmt]/[0-9a-z_]+"
_LABEL_TEXT = f'"{_LABEL}(,{_LABEL})*"'
_LINE = re.compile(f"[^ ]*, [^ ]*, [^ ]*, {_LABEL_TEXT}")
_BLOCK_BYTES = 4 << 20  # larger ones are no faster, smaller ones make more dictionaries to unite


def read_segments(path: Path) -> pa.Table:
    """The rows of a list: ``video``, a string, and ``labels``, dictionary-encoded text as in ``"/m/04rlf,/m/0342h"``.

    No field contains a space, so the space is the delimiter and each field but the last keeps its
    comma, which tells a row of the format from any other. The quotes stay on the labels: whoever
    splits them does so once per distinct text.

    Raises:
        BuildError: the file cannot be read, or a line (named) is not of the format.
    """
    try:
        with pa.OSFile(str(path)) as file:
            table = pyarrow.csv.read_csv(
                file,
                pyarrow.csv.ReadOptions(column_names=list(_COLUMNS), block_size=_BLOCK_BYTES),
                pyarrow.csv.ParseOptions(delimiter=" ", quote_char=False, invalid_row_handler=_other_row),
                pyarrow.csv.ConvertOptions(column_types=_COLUMNS),
            )
    except pa.ArrowInvalid as error:
        _check_lines(path)
        raise BuildError(f"cannot read segment list {path}: {error}; set source.segments") from error
    except OSError as error:
        raise BuildError(f"cannot read segment list {path}: {error}; set source.segments") from error
    table = table.unify_dictionaries()
    if not (_end_in_commas(table) and _are_labels(table["labels"])):
        _check_lines(path)
        table = table.filter(pc.invert(pc.starts_with(table["video"], "#")))  # comments of four words
    videos = pc.utf8_slice_codeunits(table["video"], 0, -1)
    return pa.table({"video": videos, "labels": table["labels"]})


def _end_in_commas(table: pa.Table) -> bool:
    return all(pc.all(pc.ends_with(table[name], ",")).as_py() for name in ("video", "start", "end"))


def _are_labels(column: pa.ChunkedArray) -> bool:
    """Looks at each distinct text of a column whose chunks share a dictionary once."""
    texts = [chunk.dictionary for chunk in column.chunks[:1]]
    return all(pc.all(pc.match_substring_regex(text, rf"\A{_LABEL_TEXT}\z")).as_py() for text in texts)


def _other_row(row: Any) -> str:
    return "skip" if row.text.startswith("#") else "error"


def _check_lines(path: Path) -> None:
    """Find the line that is not of the format: the parser knows no line numbers."""
    with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            text = line.rstrip("\r\n")
            if not text or text.startswith("#"):
                continue
            if not _LINE.fullmatch(text):
                raise BuildError(
                    f"{path}, line {number}: expected 'YTID, start, end, \"labels\"' with labels such as /m/04rlf, "
                    f"got {text[:200]!r}; correct it or fetch the list again"
                )
