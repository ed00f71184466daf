"""Disk, folders and clock."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import yt_dlp

from data_specs.spec import DatasetSpec, LocalSource
from tasks.doctor.finding import Finding
from tasks.doctor.programs import release_date
from tasks.engine.errors import BuildError
from tasks.harvest.ledger import state_folder
from tasks.select import select
from tasks.select.plan import AUDIO_BYTES, MEDIA_BYTES, SHARD_BYTES

_GIB = 2**30


def machine_findings(spec: DatasetSpec | None, workspace: Path | None) -> Iterator[Finding]:
    """Whether the source can be read, the disk holds the dataset, the folders can be written, the clock can be true."""
    num_tracks = None
    if spec is not None:
        try:
            num_tracks = len(select(spec).tracks)
            yield Finding("source", "ok", f"{spec.source.type}: {num_tracks:,} tracks, see `collap plan`")
        except BuildError as error:
            yield Finding("source", "problem", str(error))
    if workspace is not None:
        folder = _folder_finding("workspace", workspace)
        yield folder
        if folder.level == "ok" and spec is not None and num_tracks is not None:
            yield disk_finding(num_tracks, workspace, copies_media=not isinstance(spec.source, LocalSource))
    try:
        yield _folder_finding("state folder", state_folder())
    except BuildError as error:
        yield Finding("state folder", "problem", str(error))
    yield clock_finding(time.time(), yt_dlp.version.__version__)


def clock_finding(now_s: float, version: str) -> Finding:
    """A clock that stands before the release of the installed yt-dlp is wrong."""
    now, released = datetime.fromtimestamp(now_s, UTC), release_date(version)
    text = now.strftime("%Y-%m-%d %H:%M UTC")
    if released is not None and now.date() < released:
        return Finding(
            "clock", "problem", f"{text} is before yt-dlp {version} came out; set it: certificates depend on it"
        )
    return Finding("clock", "ok", text)


def _folder_finding(name: str, folder: Path) -> Finding:
    """Tries it: permission bits know nothing of read-only file systems."""
    try:
        if folder.exists() and not folder.is_dir():
            return Finding(name, "problem", f"{folder} is a file; move it or choose another folder")
        with tempfile.TemporaryFile(dir=_existing(folder)):
            pass
    except OSError as error:
        return Finding(name, "problem", f"cannot write {folder} ({error.strerror}); change its mode or choose another")
    return Finding(name, "ok", str(folder))


def disk_finding(num_tracks: int, workspace: Path, *, copies_media: bool) -> Finding:
    """Whether what is not yet in the workspace of so many tracks will fit beside it."""
    free = shutil.disk_usage(_existing(workspace)).free
    per_track = (MEDIA_BYTES if copies_media else 0) + AUDIO_BYTES + SHARD_BYTES
    missing = max(0, num_tracks * per_track - _size(workspace))
    text = f"{free / _GIB:.1f} GiB free, about {missing / _GIB:.1f} GiB more needed for {num_tracks:,} tracks"
    if missing > free:
        return Finding("disk", "problem", f"{text}; free some space, choose another workspace or a lower limit")
    return Finding("disk", "warning" if missing > 0.8 * free else "ok", text)


def _size(folder: Path) -> int:
    """Bytes of the files in a folder, which a build that goes on does not need again."""
    num_bytes = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # a build that runs takes its temporary files away
                num_bytes += os.lstat(os.path.join(path, name)).st_size
    return num_bytes


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
