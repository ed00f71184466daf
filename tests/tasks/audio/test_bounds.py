"""Files that would cost hours, gigabytes or nonsense: each ends early, with its reason."""

from __future__ import annotations

import io
import resource
import struct
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from data_specs.outcomes import Outcome
from data_specs.reasons import Reason
from data_specs.records import AudioFacts
from tasks.audio.limits import memory_bounded
from tasks.engine.pools import Pools
from tests.tasks.audio.sounds import accepted, as_file, noise, peak_bytes

LONGEST_S = 20.0


def long_flac(duration_s: float, name: str = "FLAC") -> bytes:
    buffer = io.BytesIO()
    sound = np.resize((1000 * noise(5.0, 8_000, 1)[:, 0]).astype(np.int16), round(duration_s * 8_000))
    soundfile.write(buffer, sound, 8_000, format=name, subtype="PCM_16")
    return buffer.getvalue()


def test_a_file_of_hours_is_decoded_no_further_than_the_bound(tmp_path: Path) -> None:
    outcome = accepted(long_flac(3600.0), tmp_path, "t.flac", 3599.0, max_duration_s=LONGEST_S)
    facts = outcome.record
    assert outcome.reason is Reason.TOO_LONG
    assert facts is not None
    assert LONGEST_S < facts.duration_s < LONGEST_S + 1.0  # one frame of the codec more
    assert facts.container_duration_s == 3600.0
    assert outcome.detail == (
        f"more than {facts.duration_s:.2f} s, the file states 3600.00 s, the source states 3599.00 s, at most 20 s"
    )
    assert facts.loudness_lufs is not None


@pytest.mark.parametrize(
    ("duration_s", "stated_s", "reason"),
    [
        (LONGEST_S, None, None),
        (LONGEST_S + 0.3, None, Reason.TOO_LONG),
        (LONGEST_S + 5.0, LONGEST_S - 1.0, Reason.DURATION_MISMATCH),  # so much is certain, whatever follows
        (LONGEST_S + 5.0, LONGEST_S + 0.2, Reason.TOO_LONG),  # what follows is not known
    ],
)
def test_what_is_too_long_and_what_is_another_recording(
    tmp_path: Path, duration_s: float, stated_s: float | None, reason: Reason | None
) -> None:
    content = long_flac(duration_s)
    outcome = accepted(content, tmp_path, "t.flac", stated_s, max_duration_s=LONGEST_S, min_bandwidth_hz=0.0)
    assert outcome.reason is reason, outcome.detail


def test_half_of_a_file_that_is_too_long_stays_too_long(tmp_path: Path) -> None:
    """Another download would not help, so it must not be asked for."""
    content = long_flac(60.0, "WAV")
    outcome = accepted(content[: len(content) // 2], tmp_path, "t.wav", 60.0, max_duration_s=LONGEST_S)
    assert outcome.reason is Reason.TOO_LONG


def test_packets_without_sound_come_to_an_end(tmp_path: Path) -> None:
    """One sample per packet: a thousand times the packets of any codec."""
    sound, buffer = (1000 * noise(2.0, 8_000, 1)[:, 0]).astype("<i2"), io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=8_000, layout="mono")
        for number in range(len(sound)):
            packet = av.Packet(sound[number : number + 1].tobytes())
            packet.stream, packet.time_base = stream, Fraction(1, 8_000)
            packet.pts = packet.dts = number
            output.mux(packet)
    outcome = accepted(buffer.getvalue(), tmp_path, "t.mka")
    assert outcome.reason is Reason.UNDECODABLE
    assert "packets hold 1." in str(outcome.detail)


@pytest.mark.parametrize(
    ("rate_hz", "channels", "words"),
    [
        (1, 2, "2 channels at 1 Hz; readable are 1 to 64 channels at 4000 to 768000 Hz"),
        (3_999, 1, "1 channels at 3999 Hz"),
        (2_000_000_000, 1, "1 channels at 2000000000 Hz"),
        (8_000, 65, "65 channels at 8000 Hz"),
    ],
)
def test_headers_that_no_recording_has(tmp_path: Path, rate_hz: int, channels: int, words: str) -> None:
    sound = np.zeros((70_000, channels), np.int16).tobytes()
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * 2 * channels & 0xFFFFFFFF, 2 * channels, 16)
    content = b"RIFF" + struct.pack("<I", 36 + len(sound)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    content += b"data" + struct.pack("<I", len(sound)) + sound
    outcome = accepted(content, tmp_path, "t.wav")
    assert outcome.reason is Reason.UNDECODABLE
    assert words in str(outcome.detail)


def test_a_change_of_channels_on_the_way_is_refused(tmp_path: Path) -> None:
    parts = []
    for channels in (2, 1):
        buffer = io.BytesIO()
        soundfile.write(buffer, noise(3.0, 44_100, channels), 44_100, format="MP3")
        parts.append(buffer.getvalue())
    outcome = accepted(b"".join(parts), tmp_path, "t.mp3")
    assert outcome.reason is Reason.UNDECODABLE
    assert "changes from 2 channels of fltp at 44100 Hz to 1 channels of fltp at 44100 Hz" in str(outcome.detail)


def claiming_many_samples(m4a: bytes, num_samples: int) -> bytes:
    """An mp4 whose tables promise packets of one byte in one chunk."""
    content = bytearray(m4a)
    sizes, chunks, times = (content.find(name) for name in (b"stsz", b"stsc", b"stts"))
    content[sizes + 8 : sizes + 16] = struct.pack(">II", 1, num_samples)
    content[chunks + 8 : chunks + 24] = struct.pack(">IIII", 1, 1, num_samples, 1)
    content[times + 8 : times + 20] = struct.pack(">III", 1, num_samples, 1024)
    return bytes(content)


def judged(case: tuple[bytes, Path]) -> tuple[Outcome[AudioFacts], int]:
    content, folder = case
    return accepted(content, folder, "t.m4a"), peak_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux only")
def test_a_table_of_gigabytes_is_refused(tmp_path: Path) -> None:
    content = as_file(noise(10.0), 44_100, "m4a")
    counts = (60_000_000, 170_000_000)  # FFmpeg's entries have 24 bytes: 1.4 and 4.1 GB
    cases = [(claiming_many_samples(content, count), tmp_path / str(count)) for count in counts]
    with Pools(num_downloads=1, num_processes=1) as pools:
        for _, result in pools.map("processes", judged, cases):
            assert not isinstance(result, Exception), result
            outcome, peak_bytes = result
            assert outcome.reason is Reason.UNDECODABLE
            assert peak_bytes < 1_300_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux only")
def test_the_bound_is_of_what_is_added_and_is_lifted_again() -> None:
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with memory_bounded(100 << 20):
        np.ones(50 << 20, np.uint8)
        with pytest.raises(MemoryError):
            np.ones(200 << 20, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    np.ones(200 << 20, np.uint8)
