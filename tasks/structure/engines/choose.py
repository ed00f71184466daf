"""Which engines the settings name, what their files say of one track, and when the files changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_specs.settings import SpecError
from data_specs.spec import StructureSettings
from tasks.structure.engines.beat_this import BeatThis
from tasks.structure.engines.given import GivenBeats, GivenSections, Reader
from tasks.structure.engines.songformer import SongFormer

BEATS: Reader[GivenBeats] = BeatThis()
SECTIONS: Reader[GivenSections] = SongFormer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What engines of others say of one track; None where the analyser listens itself."""

    beats: GivenBeats | None = None
    sections: GivenSections | None = None

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of the engines whose results are used."""
        pairs = ((self.beats, BEATS.name), (self.sections, SECTIONS.name))
        return tuple(name for result, name in pairs if result is not None)


def read_given(track_id: str, settings: StructureSettings, duration_s: float) -> Given:
    """Read the track's files from the folders that the settings name.

    Raises:
        EngineFileError: a file is missing or cannot be believed.
    """
    beats = sections = None
    if settings.beats is not None:
        beats = BEATS.read(_file(settings.beats, track_id, BEATS), duration_s)
    if settings.sections is not None:
        sections = SECTIONS.read(_file(settings.sections, track_id, SECTIONS), duration_s)
    return Given(beats=beats, sections=sections)


def engines_identity(settings: StructureSettings) -> Any:
    """Digest of the folders' listings (names, sizes, times of change): differs whenever a file may have changed.

    Raises:
        SpecError: a folder is not there.
    """
    return {name: _listing_digest(name, folder, reader) for name, folder, reader in _folders(settings)}


def track_identity(track_id: str, settings: StructureSettings) -> Any:
    """Digest of the track's own files; None for one that is not there."""
    found = {}
    for name, folder, reader in _folders(settings):
        path = _file(folder, track_id, reader)
        found[name] = [path.suffix, hashlib.sha256(path.read_bytes()).hexdigest()] if path.is_file() else None
    return found


def _folders(settings: StructureSettings) -> Iterator[tuple[str, str, Reader[Any]]]:
    for name, folder, reader in (("beats", settings.beats, BEATS), ("sections", settings.sections, SECTIONS)):
        if folder is not None:
            yield name, folder, reader


def _file(folder: str, track_id: str, reader: Reader[Any]) -> Path:
    """The track's file: the first suffix that exists, else the preferred one."""
    paths = [Path(folder) / f"{track_id}{suffix}" for suffix in reader.suffixes]
    return next((path for path in paths if path.is_file()), paths[0])


def _listing_digest(name: str, folder: str, reader: Reader[Any]) -> str:
    try:
        with os.scandir(folder) as entries:
            rows = sorted(
                f"{entry.name}\t{entry.stat().st_size}\t{entry.stat().st_mtime_ns}"
                for entry in entries
                if entry.name.endswith(reader.suffixes)
            )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SpecError(f"structure.{name}: {folder} is not a folder; put {reader.name}'s files there") from error
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()
