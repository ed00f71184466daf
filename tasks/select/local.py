"""A folder of one's own music as a source."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from data_specs.records import Track
from data_specs.spec import LocalSource
from tasks.engine.errors import BuildError


def local_tracks(source: LocalSource) -> list[Track]:
    """Every file below the folder with a known suffix, in path order.

    The id is the file name made safe plus a hash of the path relative to the folder: moving the
    whole folder keeps the ids, and two files of one name stay apart.

    Raises:
        BuildError: the folder is missing, not a folder or not readable; a file (named) is a loop of links,
            a pipe or a device, or its name is not UTF-8.
    """
    folder = Path(source.folder)
    if not folder.exists():
        raise BuildError(f"folder {folder} does not exist; set source.folder to a folder of music")
    if not folder.is_dir():
        raise BuildError(f"{folder} is not a folder; set source.folder to a folder of music")
    suffixes = {f".{suffix.lower().lstrip('.')}" for suffix in source.suffixes}
    paths = []
    for here, folders, files in os.walk(folder, onerror=_refuse):
        folders.sort()
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = [Path(here, name) for name in files if not name.startswith(".")]
        paths += [path for path in visible if path.suffix.lower() in suffixes]
    return [_track(path, folder) for path in sorted(paths)]


def _refuse(error: OSError) -> None:
    raise BuildError(f"cannot read folder {error.filename}: {error.strerror}") from error


def _track(path: Path, folder: Path) -> Track:
    relative = path.relative_to(folder).as_posix()
    try:
        relative.encode()
    except UnicodeEncodeError:
        raise BuildError(f"the name of {path!r} is not UTF-8, so no table can hold it; rename the file") from None
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:60]
    mark = hashlib.sha256(os.fsencode(relative)).hexdigest()[:8]
    revision = _revision(path)
    return Track(
        track_id=f"{name}-{mark}" if name else mark,
        source="local",
        url=path.resolve().as_uri(),
        split="",
        revision=revision,
    )


def _revision(path: Path) -> str | None:
    """None for a link to nowhere, which the harvest gives its reason."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BuildError(f"cannot look at {path}: {error.strerror}; take it out of source.folder") from error
    if not stat.S_ISREG(status.st_mode):
        raise BuildError(f"{path} is not a regular file; take it out of source.folder")
    return f"{status.st_size}-{status.st_mtime_ns}"
