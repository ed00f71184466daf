"""What every loader of a published list yields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One audio file that a benchmark wants, with its texts or its labels."""

    track_id: str
    """Letters, digits, ``-`` and ``_``: the published id as far as it is one."""
    stems: tuple[str, ...]
    """File names without folder and suffix under which its audio is known; the first that is found counts."""
    split: str = "test"
    """``train``, ``valid`` or ``test``; queries are of ``test`` only."""
    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    youtube_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A published list, read whole."""

    recordings: tuple[Recording, ...]
    num_rows: int
    """Of the files as published."""
    excluded: dict[str, int] = field(default_factory=dict)
    """Rows that the protocol leaves out, by rule."""
    classes: tuple[str, ...] = ()

    @property
    def num_texts(self) -> int:
        return sum(len(recording.texts) for recording in self.recordings)


def grouped(recordings: Iterable[Recording]) -> tuple[Recording, ...]:
    """Rows of one track become one recording with all their texts, in order of first appearance."""
    found: dict[str, Recording] = {}
    for recording in recordings:
        known = found.get(recording.track_id)
        texts = recording.texts if known is None else known.texts + recording.texts
        found[recording.track_id] = replace(known or recording, texts=texts)
    return tuple(found.values())


def stem_of(path: str) -> str:
    """``12/345.mp3`` is ``345``: the last suffix of a list is that of another encoding of the same recording."""
    return Path(path.replace("\\", "/")).stem
