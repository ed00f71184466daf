"""Which file on disk is the audio of which recording."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from data_specs.spec import LocalSource
from tasks.engine.errors import BuildError
from tasks.evaluation.benchmarks.listed import Recording

_SUFFIXES = frozenset(LocalSource(folder=".").suffixes)


def find_audio(recordings: Sequence[Recording], folder: Path) -> dict[str, Path]:
    """File by track id, for those that have one anywhere below ``folder``; matched by name without suffix.

    Raises:
        BuildError: no such folder, or two files of a wanted name.
    """
    if not folder.is_dir():
        raise BuildError(f"no folder {folder}; set --audio to where the benchmark's audio lies")
    by_stem: dict[str, list[Path]] = {}
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(here, name) for name in sorted(files) if not name.startswith(".")):
            if path.suffix.lower() in _SUFFIXES:
                by_stem.setdefault(path.stem, []).append(path)
    found = {}
    for recording in recordings:
        paths = next((by_stem[stem] for stem in recording.stems if stem in by_stem), [])
        if len(paths) > 1:
            raise BuildError(f"{paths[0]} and {paths[1]} could both be {recording.track_id}; take one of them away")
        if paths:
            found[recording.track_id] = paths[0].resolve()
    return found
