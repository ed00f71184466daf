"""MusicCaps (arXiv 2301.11325): ``musiccaps-public.csv``, a caption of ten seconds of a YouTube video per row.

Half of it is of AudioSet's training list, which models here train on. The other half is marked
``is_audioset_eval``, and that alone is a benchmark.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_specs.benchmark import MusicCapsList
from tasks.engine.errors import BuildError
from tasks.evaluation.benchmarks.listed import Listed, Recording, grouped
from tasks.evaluation.benchmarks.tables import read_table

NOT_EVAL = "not marked is_audioset_eval"


def read_musiccaps(settings: MusicCapsList, folder: Path) -> Listed:
    """Raises ``BuildError`` for a list that is missing or of another form."""
    rows = _rows(folder / settings.file)
    kept = [row for row in rows if row["is_audioset_eval"] == "True"]
    recordings = grouped(
        Recording(track_id=row["ytid"], stems=(row["ytid"],), texts=(row["caption"].strip(),), youtube_id=row["ytid"])
        for row in kept
    )
    return Listed(recordings=recordings, num_rows=len(rows), excluded={NOT_EVAL: len(rows) - len(kept)})


def eval_ids(path: Path) -> frozenset[str]:
    """YouTube ids that the list marks ``is_audioset_eval``; raises as ``read_musiccaps``."""
    return frozenset(row["ytid"] for row in _rows(path) if row["is_audioset_eval"] == "True")


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = read_table(path, ["ytid", "caption", "is_audioset_eval"])
    for number, row in enumerate(rows, 1):
        if row["is_audioset_eval"] not in ("True", "False"):
            raise BuildError(
                f"{path}, row {number}: is_audioset_eval is {row['is_audioset_eval']!r}, not True or False"
            )
    return rows
