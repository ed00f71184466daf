"""What the boxes of an mp4 say of its duration and size, which FFmpeg does not show (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MOST_BOXES = 10_000
_BOX_HEADER_BYTES = 8
_LARGE_BOX, _LAST_BOX = 1, 0
"""Sizes that mean: a 64-bit size follows; up to the end of what contains it."""
_UNKNOWN = (0, (1 << 32) - 1, (1 << 64) - 1)

# Version 0 and version 1: time scale and duration, duration.
_MOVIE_HEADER = (">12xII", ">20xIQ")
_FRAGMENTS_HEADER = (">4xI", ">4xQ")


def movie_duration_s(path: Path) -> float:
    """The longest that ``mvhd`` and, for fragments, ``mehd`` state; 0 where they state nothing."""
    with open(path, "rb") as file:
        movie = _inside(file, b"moov", range(path.stat().st_size))
        time_scale, whole = _fields(file, _inside(file, b"mvhd", movie), _MOVIE_HEADER) or (0, 0)
        fragments = _inside(file, b"mehd", _inside(file, b"mvex", movie))
        (joined,) = _fields(file, fragments, _FRAGMENTS_HEADER) or (0,)
    if not time_scale:
        return 0.0
    return max((units for units in (whole, joined) if units not in _UNKNOWN), default=0) / time_scale


def open_box(path: Path) -> str | None:
    """Which box of an mp4 promises more bytes than the file has; None where all are whole, or it is no mp4."""
    num_bytes = path.stat().st_size
    with open(path, "rb") as file:
        for name, content, end in _boxes(file, range(num_bytes)):
            if end > num_bytes:
                label = name.decode("ascii", "replace")
                return f"the box '{label}' promises {end - content} bytes and has {num_bytes - content}"
    return None


def _inside(file: BinaryIO, name: bytes, place: range) -> range:
    """Where the content of the first box of this name among those in ``place`` lies; empty where there is none."""
    for found, content, end in _boxes(file, place):
        if found == name:
            return range(content, min(end, place.stop))
    return range(0)


def _boxes(file: BinaryIO, place: range) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin of the content and promised end of each box in ``place``, one after the other."""
    begin = place.start
    for _ in range(_MOST_BOXES):
        if place.stop - begin < _BOX_HEADER_BYTES:
            return
        file.seek(begin)
        header = file.read(_BOX_HEADER_BYTES).ljust(_BOX_HEADER_BYTES, b"\0")
        size, content = int.from_bytes(header[:4], "big"), begin + _BOX_HEADER_BYTES
        if size == _LARGE_BOX:
            size, content = int.from_bytes(file.read(8), "big"), content + 8
        elif size == _LAST_BOX:
            size = place.stop - begin
        yield header[4:], content, begin + size
        if size < _BOX_HEADER_BYTES:
            return
        begin += size


def _fields(file: BinaryIO, content: range, versions: tuple[str, str]) -> tuple[int, ...] | None:
    file.seek(content.start)
    version = file.read(1) if content else b""
    if version not in (b"\0", b"\1"):
        return None
    form = versions[version[0]]
    rest = version + file.read(struct.calcsize(form) - 1)
    return struct.unpack(form, rest) if len(rest) == struct.calcsize(form) <= len(content) else None
