"""Sections of SongFormer (https://github.com/ASLP-lab/SongFormer).

Its ``infer.py`` writes a JSON list of ``{"label", "start", "end"}``, its evaluation a text file with a
line per section, start and label, closed by the end of the song and the word ``end``. The labels
of Harmonix and of allin1, which writes the same text, are understood too.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from data_specs.records import LABELS
from tasks.structure.engines.given import END_TOLERANCE_S, GivenSections, broken, file_text, seconds

HIT_RATE = 0.78
"""HR3F on Harmonix by its authors: what a border is worth before anything is measured at it."""
SHORTEST_S = 0.05
_JOIN_S = 0.05
"""Sections of a JSON file that end and begin within this meet."""
_AGAIN = "run SongFormer again"
_ALIASES = {
    "inst": "instrumental",
    "prechorus": "pre-chorus",
    "postchorus": "post-chorus",
    "refrain": "chorus",
    "breakdown": "break",
    "buildup": "build-up",
    "build": "build-up",
    "opening": "intro",
    "fadein": "intro",
    "fadeout": "outro",
    "coda": "outro",
    "ending": "outro",
    "transition": "interlude",
}
_PLAIN = {label.replace("-", ""): label for label in LABELS} | _ALIASES


class SongFormer:
    """Reader of ``.json`` and ``.txt`` files."""

    name: ClassVar[str] = "songformer"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".txt")

    def read(self, path: Path, duration_s: float) -> GivenSections:
        rows = _json_rows(path, duration_s) if path.suffix == ".json" else _text_rows(path, duration_s)
        return _tiled(rows, path, duration_s)


def known_label(word: str) -> str:
    """The label of ``LABELS`` for an engine's word, ``section`` where there is none."""
    plain = "".join(c for c in word.lower() if c.isalpha())
    return _PLAIN.get(plain, "section")


Rows = list[tuple[float, str, str]]
"""Start, label and where it stands in the file; the last one is the end of the song."""


def _text_rows(path: Path, duration_s: float) -> Rows:
    rows: Rows = []
    for number, line in enumerate(file_text(path).splitlines(), 1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        fields = line.split(maxsplit=1)
        if len(fields) != 2:
            raise broken(where, f"expected time and label; got {line[:60]!r}", _AGAIN)
        if rows and rows[-1][1] == "end":
            raise broken(where, f"{line[:60]!r} stands after the end", _AGAIN)
        rows.append((seconds(fields[0], where, duration_s), fields[1].strip(), where))
    if not rows or rows[-1][1] != "end":
        raise broken(str(path), "the last line does not say 'end'", f"{_AGAIN}: the file is cut off")
    return rows


def _json_rows(path: Path, duration_s: float) -> Rows:
    try:
        items = json.loads(file_text(path))
    except json.JSONDecodeError as error:
        raise broken(f"{path}:{error.lineno}", f"not JSON: {error.msg}", _AGAIN) from error
    if not isinstance(items, list) or not items:
        raise broken(str(path), "expected a list of sections, each with label, start and end", _AGAIN)
    rows: Rows = []
    end_s = 0.0
    for index, item in enumerate(items):
        where = f"{path}: section {index}"
        if not isinstance(item, dict) or not {"label", "start", "end"} <= set(item):
            raise broken(where, f"expected label, start and end; got {json.dumps(item)[:60]}", _AGAIN)
        start_s = seconds(item["start"], where, duration_s)
        if rows and abs(start_s - end_s) > _JOIN_S:
            raise broken(where, f"starts at {start_s:g} s where the one before ends at {end_s:g} s", _AGAIN)
        end_s = seconds(item["end"], where, duration_s)
        rows.append((start_s, str(item["label"]), where))
    return [*rows, (end_s, "end", f"{path}: the end")]


def _tiled(rows: Rows, path: Path, duration_s: float) -> GivenSections:
    """Rows as sections from 0 to the end of the track."""
    first_s, last_s = rows[0][0], rows[-1][0]
    if len(rows) < 2:
        raise broken(str(path), "no section in it", _AGAIN)
    if first_s > END_TOLERANCE_S:
        raise broken(rows[0][2], f"the first section starts at {first_s:g} s, not within {END_TOLERANCE_S:g} s", _AGAIN)
    if last_s < duration_s - END_TOLERANCE_S:
        what = f"the sections end at {last_s:g} s, more than {END_TOLERANCE_S:g} s before the track, {duration_s:.2f} s"
        raise broken(rows[-1][2], what, "run SongFormer on the accepted audio of this track")
    # Padding of the last window can carry a section of its own.
    rows = [row for row in rows[:-1] if row[0] < duration_s - SHORTEST_S] or rows[:1]
    borders_s = (0.0, *(time for time, _, _ in rows[1:]), duration_s)
    for (start_s, end_s), (_, _, where) in zip(pairwise(borders_s), rows, strict=True):
        if end_s - start_s < SHORTEST_S:
            what = f"section from {start_s:g} to {end_s:g} s is shorter than {SHORTEST_S:g} s"
            raise broken(where, what, _AGAIN)
    return GivenSections(borders_s=borders_s, labels=tuple(known_label(label) for _, label, _ in rows))
