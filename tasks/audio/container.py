"""What a file says about its own length, and whether it ends in the middle of something.

Half an mp3, webm, ogg or wav decodes without an error. Only its header, its pages or the site that
delivered it can tell that there should have been more.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from tasks.audio.mp4 import movie_duration_s, open_box

# Demuxers whose duration is written in the file. For raw streams (adts, ac3 ...) FFmpeg divides the
# file size by the first bit rate, which follows a truncation and misjudges a variable rate.
_STATING = {"mov", "matroska", "flac", "wav", "aiff", "ogg", "caf", "asf", "wv", "ape", "w64", "mpegts"}

_OGG_HEADER_BYTES = 27
_OGG_LONGEST_PAGE_BYTES = _OGG_HEADER_BYTES + 255 + 255 * 255
_RIFF_HEADER_BYTES = 8
_RIFF_UNKNOWN = (0, 0xFFFFFFFF)
_ID3_HEADER_BYTES = 10


def stated_duration_s(container: Any, stream: Any, path: Path) -> float | None:
    """Seconds that the file itself claims to last, None where FFmpeg would only be guessing.

    Args:
        container: the open ``av`` input container of ``path``.
        stream: its audio stream, whose own statement is preferred.
    """
    kind = container.format.name.split(",")[0]
    if kind not in _STATING and not (kind == "mp3" and _has_frame_count(path)):
        return None
    if stream.duration is not None and stream.time_base is not None:
        stated_s = float(stream.duration * stream.time_base)
        # FFmpeg shows what the packets in an mp4's tables add up to; its header may know of more
        alone = kind == "mov" and len(container.streams) == 1
        return max(stated_s, movie_duration_s(path)) if alone else stated_s
    if container.duration is None or container.streams.video:
        return None  # the whole file's; a picture may last longer than the sound
    return container.duration / 1e6


def missing_tail(path: Path) -> str | None:
    """What shows that the file was cut off, where its duration cannot: an open Ogg page, RIFF chunk or mp4 box."""
    num_bytes = path.stat().st_size
    with open(path, "rb") as file:
        magic = file.read(4)
        if file.read(4) == b"ftyp":
            return open_box(path)
        file.seek(len(magic))
        if magic == b"OggS":
            file.seek(max(0, num_bytes - _OGG_LONGEST_PAGE_BYTES))
            return _open_page(file.read())
        if magic in (b"RIFF", b"RIFX"):
            (stated,) = struct.unpack("<I" if magic == b"RIFF" else ">I", file.read(4).ljust(4, b"\0"))
            # one byte less is the padding of an odd chunk that some writers leave out
            if stated not in _RIFF_UNKNOWN and stated + _RIFF_HEADER_BYTES > num_bytes + 1:
                return f"RIFF header states {stated + _RIFF_HEADER_BYTES} bytes, the file has {num_bytes}"
    return None


def _open_page(tail: bytes) -> str | None:
    """Whether the last Ogg page (RFC 3533) in ``tail`` promises more bytes than follow."""
    begin = tail.rfind(b"OggS")
    if begin < 0:
        return "no Ogg page in the last 64 KiB"
    page = tail[begin:]
    if len(page) < _OGG_HEADER_BYTES:
        return f"the last Ogg page ends after {len(page)} bytes of its header"
    lacing = page[_OGG_HEADER_BYTES : _OGG_HEADER_BYTES + page[26]]
    promised = _OGG_HEADER_BYTES + page[26] + sum(lacing)
    return f"the last Ogg page promises {promised} bytes and has {len(page)}" if promised > len(page) else None


def _has_frame_count(path: Path) -> bool:
    """Whether an mp3 begins with a Xing, Info or VBRI frame, which holds the number of frames."""
    with open(path, "rb") as file:
        head = file.read(_ID3_HEADER_BYTES)
        begin = 0
        if head[:3] == b"ID3" and len(head) == _ID3_HEADER_BYTES:
            size = head[6:10]  # four 7-bit bytes
            begin = _ID3_HEADER_BYTES + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
        file.seek(begin)
        first_frames = file.read(4096)
    return any(mark in first_frames for mark in (b"Xing", b"Info", b"VBRI"))
