"""Tables of ids and captions without documented columns: FUTGA's sets and MusicCaps-Remake.

FUTGA (arXiv 2407.20445) keeps several answers to one prompt as a list, and segments as an object:
``{"0-14": {"func": "Intro", "head": ..., "text": ...}, "global": {...}}``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_specs.benchmark import CaptionTable
from tasks.engine.errors import BuildError
from tasks.evaluation.benchmarks.listed import Listed, Recording, grouped, stem_of
from tasks.evaluation.benchmarks.musiccaps import NOT_EVAL, eval_ids
from tasks.evaluation.benchmarks.tables import choose_column, read_table

_AUDIO = re.compile(r".*\.(wav|mp3|flac|m4a|ogg|opus|webm|aac|mp4)", re.IGNORECASE)


def read_caption_table(settings: CaptionTable, folder: Path) -> Listed:
    """Raises ``BuildError`` for a table that is missing, has none of the columns, or a row without id or caption."""
    path = folder / settings.file
    rows = read_table(path)
    id_column = choose_column(path, rows[0], settings.id_columns, "id")
    text_column = choose_column(path, rows[0], settings.text_columns, "text")
    found = [
        _recording(f"{path}, row {number}", row.get(id_column), row.get(text_column), settings)
        for number, row in enumerate(rows, 1)
    ]
    _check_apart(path, found)
    if settings.musiccaps is None:
        return Listed(recordings=grouped(found), num_rows=len(rows))
    kept_ids = eval_ids(folder / settings.musiccaps)
    kept = [recording for recording in found if recording.youtube_id in kept_ids]
    return Listed(recordings=grouped(kept), num_rows=len(rows), excluded={NOT_EVAL: len(rows) - len(kept)})


def _check_apart(path: Path, recordings: list[Recording]) -> None:
    """Ids lose what cannot stand in a file name: two must not become one by it."""
    stems: dict[str, str] = {}
    for recording in recordings:
        stem = stems.setdefault(recording.track_id, recording.stems[0])
        if stem != recording.stems[0]:
            raise BuildError(f"{path}: {stem!r} and {recording.stems[0]!r} would both be {recording.track_id!r}")


def _recording(where: str, name: Any, caption: Any, settings: CaptionTable) -> Recording:
    name = str(name or "").strip()
    stem = stem_of(name) if _AUDIO.fullmatch(name) else name
    if not stem:
        raise BuildError(f"{where}: no id; correct it, or the benchmark spec's list.id_columns")
    texts = tuple(_texts(where, caption))
    if not texts:
        raise BuildError(f"{where}: no caption of {stem}; correct it, or the benchmark spec's list.text_columns")
    track_id = re.sub(r"[^A-Za-z0-9_-]+", "-", stem)[:80]
    return Recording(
        track_id=track_id, stems=(stem,), texts=texts, youtube_id=stem if settings.ids == "youtube" else None
    )


def _texts(where: str, value: Any) -> Iterator[str]:
    """Each answer of a list is a text; the parts of one answer are one text, whole song first."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        value = _parsed(where, value)
    if isinstance(value, list):
        for item in value:
            yield from _texts(where, item)
    elif isinstance(value, dict):
        order = sorted(value, key=lambda name: name != "global")
        yield "\n".join(_part(where, name, value[name]) for name in order)
    elif value is not None and str(value).strip():
        yield str(value).strip()


def _part(where: str, name: str, part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else part
    if not isinstance(text, str):
        raise BuildError(f"{where}: part {name!r} of the caption has no text but {str(part)[:60]!r}")
    return text.strip()


def _parsed(where: str, text: str) -> Any:
    """JSON, or a Python literal, which is what pandas writes of a list."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise BuildError(f"{where}: caption {text[:60]!r} begins like a list or an object and is none") from error
