"""MTG-Jamendo (ICML 2019 workshop): split lists of full tracks with tags such as ``genre---rock``.

The files have fewer columns in their header than in their rows: every cell from TAGS on is a tag.
Audio of ``14/214.mp3`` is ``14/214.mp3`` or, in the smaller edition, ``14/214.low.mp3``.
"""

from __future__ import annotations

from pathlib import Path

from data_specs.benchmark import JamendoLists
from tasks.engine.errors import BuildError
from tasks.evaluation.benchmarks.listed import Listed, Recording, stem_of
from tasks.evaluation.benchmarks.tables import read_lines

_HEADER = ["TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS"]


def read_jamendo(settings: JamendoLists, folder: Path) -> Listed:
    """Raises ``BuildError`` for a list that is missing or of another form, or a track on two lists."""
    found: dict[str, Recording] = {}
    for split in ("train", "valid", "test"):
        path = folder / getattr(settings, split)
        header, *lines = read_lines(path)
        if header.split("\t") != _HEADER:
            raise BuildError(f"{path} begins with {header[:80]!r}, not with the columns {', '.join(_HEADER)}")
        for line in lines:
            recording = _recording(path, line.split("\t"), split)
            if recording.track_id in found:
                raise BuildError(f"{path}: {recording.track_id} stands in {found[recording.track_id].split} already")
            found[recording.track_id] = recording
    classes = sorted({label for recording in found.values() for label in recording.labels})
    return Listed(recordings=tuple(found.values()), num_rows=len(found), classes=tuple(classes))


def _recording(path: Path, cells: list[str], split: str) -> Recording:
    if len(cells) < len(_HEADER):
        raise BuildError(f"{path}: the row {' '.join(cells)[:60]!r} has {len(cells)} cells, fewer than its header")
    stem = stem_of(cells[3])
    return Recording(track_id=cells[0], stems=(stem, f"{stem}.low"), split=split, labels=tuple(cells[5:]))
