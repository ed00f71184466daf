"""Exactly-once files: whole under their final name, or not there at all.

Every file that a stage leaves behind goes through ``publish``: written under a temporary name in
the same folder, hashed on the way, flushed to disk, renamed, and the rename flushed as well.
A kill at any moment leaves either the old state or the new one, and a temporary file that
``sweep`` removes.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

TEMPORARY_MARK = ".partial-"


@dataclass(slots=True)
class Published:
    """What was written; complete once the ``publish`` block has ended."""

    sha256: str = ""
    num_bytes: int = 0


class _HashingWriter(io.RawIOBase):
    """Counts and hashes what passes through; write-only and sequential on purpose."""

    def __init__(self, file: BinaryIO, published: Published) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._published = published

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._published.num_bytes

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._file.write(view)
        self._hash.update(view)
        self._published.num_bytes += view.nbytes
        self._published.sha256 = self._hash.hexdigest()
        return view.nbytes


@contextmanager
def publish(path: Path) -> Iterator[tuple[BinaryIO, Published]]:
    """Write a file that appears under ``path`` only if the block ends without an exception.

    Yields:
        A sequential binary file and the record that holds its SHA-256 and size afterwards.

    Raises:
        OSError: as the file system says (disk full, no permission); nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}{TEMPORARY_MARK}{secrets.token_hex(4)}")
    published = Published(sha256=hashlib.sha256().hexdigest())
    try:
        with open(temporary, "wb") as file:
            yield cast(BinaryIO, _HashingWriter(file, published)), published
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def publish_bytes(path: Path, data: bytes) -> Published:
    """``publish`` for content that is already in memory."""
    with publish(path) as (file, published):
        file.write(data)
    return published


def publish_file(source: Path, path: Path) -> None:
    """``publish`` for a file that lies on the same file system already: flushed to disk and renamed.

    Raises:
        OSError: as ``publish``; also where ``source`` is on another file system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(source, "rb") as file:
        os.fsync(file.fileno())
    os.replace(source, path)
    _sync_folder(path.parent)


def sweep(folder: Path) -> int:
    """Remove the temporary files that killed runs left below ``folder``; return how many.

    Call it only while nothing else writes there.
    """
    leftovers = [path for path in folder.rglob(f".*{TEMPORARY_MARK}*") if path.is_file()]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
