from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tasks.audio.mp4 import movie_duration_s
from tests.tasks.audio.sounds import as_file, fragmented_m4a, noise


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


MVHD = box(b"mvhd", struct.pack(">BxxxIIII", 0, 1, 1, 1000, 60_500) + bytes(80))
MVHD_1 = box(b"mvhd", struct.pack(">BxxxQQIQ", 1, 1, 1, 1000, 7_000_000_000) + bytes(80))
UNKNOWN = box(b"mvhd", struct.pack(">BxxxIIII", 0, 1, 1, 1000, 0xFFFFFFFF) + bytes(80))
MEHD = box(b"mvex", box(b"trex", bytes(24)) + box(b"mehd", struct.pack(">BxxxI", 0, 61_000)))
FREE = box(b"free", bytes(10)) + struct.pack(">I4sQ", 1, b"mdat", 20) + b"moov"


@pytest.mark.parametrize(
    ("content", "duration_s"),
    [
        (FREE + box(b"moov", MVHD), 60.5),
        (box(b"moov", MVHD_1), 7_000_000.0),
        (box(b"moov", UNKNOWN), 0.0),
        (box(b"moov", MVHD + MEHD), 61.0),
        (box(b"moov", UNKNOWN + MEHD), 61.0),
        (b"\0\0\0\0moov" + MVHD, 60.5),
        (box(b"moov", MVHD)[:30], 0.0),
        (box(b"moov", b"") + MVHD, 0.0),
        (struct.pack(">I", 4) + b"free" + box(b"moov", MVHD), 0.0),
        (box(b"moov", box(b"mvhd", bytes(100))), 0.0),
        (struct.pack(">I4sQ", 1, b"free", 1 << 63) + box(b"moov", MVHD), 0.0),
        (b"", 0.0),
    ],
)
def test_the_movie_header_is_found_wherever_it_is(tmp_path: Path, content: bytes, duration_s: float) -> None:
    path = tmp_path / "t.m4a"
    path.write_bytes(content)
    assert movie_duration_s(path) == duration_s


def test_real_files(tmp_path: Path) -> None:
    sound_TC = noise(3.0)
    for name, content, duration_s in (
        ("whole.m4a", as_file(sound_TC, 44_100, "m4a"), 3.0),
        ("fragmented.m4a", fragmented_m4a(sound_TC, 44_100), 0.0),
        ("t.flac", as_file(sound_TC, 44_100, "flac"), 0.0),
    ):
        (tmp_path / name).write_bytes(content)
        assert movie_duration_s(tmp_path / name) == pytest.approx(duration_s, abs=0.05)
