"""MagnaTagATune: ``annotations_final.csv``, a row per clip of 29 s, a column of 0 and 1 per tag.

The folder of a clip's file gives its split: 0 to b train, c valid, d to f test, as in Dieleman and
Schrauwen (ICASSP 2014) and those who followed. Clips without any of the frequent tags are left out.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from data_specs.benchmark import MagnaTagATuneList
from tasks.engine.errors import BuildError
from tasks.evaluation.benchmarks.listed import Listed, Recording, stem_of
from tasks.evaluation.benchmarks.tables import read_table

_SPLITS = {**dict.fromkeys("0123456789ab", "train"), "c": "valid", **dict.fromkeys("def", "test")}
_NO_TAG = "without a frequent tag"


def read_magnatagatune(settings: MagnaTagATuneList, folder: Path) -> Listed:
    """Raises ``BuildError`` for a list that is missing or of another form, or a clip outside folders 0 to f."""
    path = folder / settings.file
    rows = read_table(path, ["clip_id", "mp3_path"], delimiter="\t")
    tags = [name for name in rows[0] if name not in ("clip_id", "mp3_path")]
    marked = [[tag for tag in tags if _is_marked(path, row, tag)] for row in rows]
    frequency = Counter(tag for of_row in marked for tag in of_row)
    # Sorting is stable: of equally frequent tags the earlier column counts.
    classes = sorted(tags, key=lambda tag: -frequency[tag])[: settings.num_tags]
    frequent = frozenset(classes)
    recordings = [
        Recording(
            track_id=row["clip_id"].strip(),
            stems=(stem_of(row["mp3_path"]),),
            split=_split(path, row),
            labels=tuple(tag for tag in of_row if tag in frequent),
        )
        for row, of_row in zip(rows, marked, strict=True)
    ]
    tagged = tuple(recording for recording in recordings if recording.labels)
    excluded = {_NO_TAG: len(recordings) - len(tagged)}
    return Listed(recordings=tagged, num_rows=len(rows), excluded=excluded, classes=tuple(classes))


def _is_marked(path: Path, row: dict[str, str], tag: str) -> bool:
    if row[tag] not in ("0", "1"):
        raise BuildError(f"{path}: clip {row['clip_id']} has {row[tag]!r} for tag {tag!r}, not 0 or 1")
    return row[tag] == "1"


def _split(path: Path, row: dict[str, str]) -> str:
    split = _SPLITS.get(row["mp3_path"].partition("/")[0])
    if split is None:
        raise BuildError(f"{path}: mp3_path {row['mp3_path']!r} of clip {row['clip_id']} is not in folders 0 to f")
    return split
