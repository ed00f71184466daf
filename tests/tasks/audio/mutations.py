"""Ways in which a media file breaks, each a function of the file, another file and a generator of chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
Mutation = Callable[[bytes, bytes, Rng], bytes]

# Beside these stand lengths and counts: boxes of mp4, chunks of wav, pages, elements, tags.
_MARKS = (b"moov", b"trak", b"mdhd", b"stsz", b"stsc", b"stts", b"stco", b"esds", b"mdat", b"moof", b"trun", b"tfdt")
_MARKS += (b"RIFF", b"fmt ", b"data", b"fLaC", b"OggS", b"OpusHead", b"ID3", b"Xing", b"Info")
_MARKS += (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b", b"\x63\xa2")  # Matroska
_HUGE = (b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x10\0\0\0", b"\0\0\0\x10", b"\x01" + b"\xff" * 7)
_MAGIC = (b"\xff\xfb\x90\x64", b"ID3\x04\0\0\0\0\0\0", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"RIFF\xff\xff\xff\x7fWAVE")
_MAGIC += (b"\x1a\x45\xdf\xa3\x93\x42\x82\x84webm", b"\0\0\0\x20ftypM4A ", b"\xff\xf1\x50\x80", b"\x47\x40\0\x10")


def flipped_bits(content: bytes, _other: bytes, rng: Rng) -> bytes:
    data = bytearray(content)
    reach = len(data) if rng.random() < 0.5 else min(1000, len(data))
    for place in rng.integers(reach, size=int(rng.integers(1, 60))):
        data[place] ^= 1 << int(rng.integers(8))
    return bytes(data)


def zeroed_run(content: bytes, _other: bytes, rng: Rng) -> bytes:
    begin, end = _span(content, rng)
    return content[:begin] + bytes(end - begin) + content[end:]


def random_run(content: bytes, _other: bytes, rng: Rng) -> bytes:
    begin, end = _span(content, rng)
    return content[:begin] + rng.bytes(end - begin) + content[end:]


def cut_off(content: bytes, _other: bytes, rng: Rng) -> bytes:
    return content[: int(rng.integers(1, len(content)))]


def beheaded(content: bytes, _other: bytes, rng: Rng) -> bytes:
    return content[int(rng.integers(1, len(content))) :]


def cut_out(content: bytes, _other: bytes, rng: Rng) -> bytes:
    begin, end = _span(content, rng)
    return content[:begin] + content[end:]


def repeated(content: bytes, _other: bytes, rng: Rng) -> bytes:
    begin, end = _span(content, rng)
    return content[:end] + content[begin:end] * int(rng.integers(1, 6)) + content[end:]


def spliced(content: bytes, other: bytes, _rng: Rng) -> bytes:
    return content[: len(content) // 2] + other[len(other) // 2 :]


def foreign_header(content: bytes, other: bytes, rng: Rng) -> bytes:
    length = int(2 ** rng.uniform(3, 12))
    return other[:length] + content[length:]


def huge_lengths(content: bytes, _other: bytes, rng: Rng) -> bytes:
    data = bytearray(content)
    marks = [mark for mark in _MARKS if mark in content]
    for _ in range(int(rng.integers(1, 4))):
        place = content.find(marks[rng.integers(len(marks))]) + int(rng.integers(-4, 24))
        huge = _HUGE[rng.integers(len(_HUGE))]
        place = max(0, min(place, len(data) - len(huge)))
        data[place : place + len(huge)] = huge
    return bytes(data)


def only_magic(_content: bytes, _other: bytes, rng: Rng) -> bytes:
    return _MAGIC[rng.integers(len(_MAGIC))] + rng.bytes(int(rng.integers(1, 100_000)))


MUTATIONS: tuple[Mutation, ...] = (
    *(flipped_bits, zeroed_run, random_run, cut_off, beheaded, cut_out),
    *(repeated, spliced, foreign_header, huge_lengths, only_magic),
)


def _span(content: bytes, rng: Rng) -> tuple[int, int]:
    """Anywhere, from a few bytes to half of the file."""
    begin = int(rng.integers(len(content)))
    return begin, min(len(content), begin + int(2 ** rng.uniform(1, np.log2(len(content) / 2))))
