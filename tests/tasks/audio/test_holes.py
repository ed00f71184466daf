"""Six of sixty seconds that never arrived: a fragment that the network lost, whatever became of its time stamps."""

from __future__ import annotations

import io
import struct
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import pytest

from data_specs.outcomes import Status
from data_specs.reasons import Reason
from tests.tasks.audio.sounds import Sound, accepted, as_file, noise

WHOLE_S, FRAGMENT_S = 60.0, 6
LOST = 4
SETTINGS = {"max_duration_s": 100.0, "duration_tolerance_s": 2.0}


@pytest.fixture(scope="module")
def sound_TC() -> Sound:
    return noise(WHOLE_S, 22_050)


@pytest.fixture(scope="module")
def m4a(sound_TC: Sound) -> bytes:
    return as_file(sound_TC, 22_050, "m4a")


@pytest.fixture(scope="module")
def webm(sound_TC: Sound) -> bytes:
    return as_file(sound_TC, 22_050, "webm")


def joined_fragments(m4a: bytes, folder: Path, kind: str, lost: int | None) -> bytes:
    """A live stream's fragments one after the other, as a downloader joins them, without number ``lost``."""
    (folder / "whole.m4a").write_bytes(m4a)
    options = ["-c", "copy", "-f", "hls", "-hls_time", str(FRAGMENT_S), "-hls_list_size", "0"]
    options += ["-hls_segment_type", kind, "-hls_segment_filename", "part%03d", "list.m3u8"]
    _ffmpeg(folder, "-i", "whole.m4a", *options)
    fragments = sorted(folder.glob("part*"))
    assert len(fragments) >= WHOLE_S / FRAGMENT_S
    head = b"" if kind == "mpegts" else (folder / "init.mp4").read_bytes()
    return head + b"".join(path.read_bytes() for number, path in enumerate(fragments) if number != lost)


def remuxed(content: bytes, folder: Path, name: str) -> bytes:
    """Through ``ffmpeg -c copy``, as a downloader repairs a container."""
    (folder / "joined").write_bytes(content)
    _ffmpeg(folder, "-i", "joined", "-c", "copy", name)
    return (folder / name).read_bytes()


def without_packets(content: bytes, container: str, is_rebased: bool) -> bytes:
    """Copy ``content`` without the packets of the lost time; the rest keeps its stamps or closes the ranks."""
    target = io.BytesIO()
    with av.open(io.BytesIO(content)) as media, av.open(target, "w", format=container) as output:
        source = media.streams.audio[0]
        stream = output.add_stream_from_template(source)
        lost_begin, lost_end = (round(t / source.time_base) for t in (LOST * FRAGMENT_S, (LOST + 1) * FRAGMENT_S))
        for packet in media.demux(source):
            if packet.pts is None or lost_begin <= packet.pts < lost_end:
                continue
            if is_rebased and packet.pts >= lost_end:
                packet.pts -= lost_end - lost_begin
                packet.dts = packet.pts
            packet.stream = stream
            output.mux(packet)
    return target.getvalue()


def _ffmpeg(folder: Path, *arguments: str) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True, cwd=folder)


@pytest.mark.parametrize("stated_s", [None, WHOLE_S])
@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
@pytest.mark.parametrize("repaired", [None, "out.m4a", "out.mka"])
def test_a_lost_fragment_is_seen_and_a_whole_stream_is_not_accused(
    tmp_path: Path, m4a: bytes, kind: str, repaired: str | None, stated_s: float | None
) -> None:
    for lost in (None, LOST):
        folder = tmp_path / f"lost {lost}"
        folder.mkdir()
        content = joined_fragments(m4a, folder, kind, lost)
        if repaired is not None:
            content = remuxed(content, folder, repaired)
        outcome = accepted(content, folder, "t.m4a", stated_s, **SETTINGS)
        facts = outcome.record
        assert facts is not None
        if lost is None:
            assert outcome.status is Status.OK, outcome.detail
            assert facts.gap_s == 0.0
        else:
            assert outcome.reason is Reason.TRUNCATED, outcome.detail
            assert facts.duration_s == pytest.approx(WHOLE_S - FRAGMENT_S, abs=0.2)
            assert facts.gap_s == pytest.approx(FRAGMENT_S, abs=0.2)
            assert outcome.detail == f"time stamps skip {facts.gap_s:.2f} s, at most 0.5 s"


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_stamps_that_skip_are_missing_sound_also_within_the_tolerance(
    tmp_path: Path, m4a: bytes, webm: bytes, container: str
) -> None:
    content = without_packets(m4a if container == "mp4" else webm, container, is_rebased=False)
    settings = {"max_duration_s": 100.0, "duration_tolerance_s": 9.0}
    outcome = accepted(content, tmp_path, f"t.{container}", max_gap_s=0.5, **settings)
    assert outcome.reason is Reason.TRUNCATED
    assert outcome.record is not None
    assert outcome.record.gap_s == pytest.approx(FRAGMENT_S, abs=0.05)
    loose = accepted(content, tmp_path, f"t.{container}", max_gap_s=6.5, **settings)
    assert loose.status is Status.OK, loose.detail


def test_many_single_frames_that_are_missing_add_up(tmp_path: Path, m4a: bytes) -> None:
    target = io.BytesIO()
    with av.open(io.BytesIO(m4a)) as media, av.open(target, "w", format="mp4") as output:
        source = media.streams.audio[0]
        stream = output.add_stream_from_template(source)
        for number, packet in enumerate(media.demux(source)):
            if packet.pts is not None and number % 50:  # 23 ms of every 1.2 s
                packet.stream = stream
                output.mux(packet)
    outcome = accepted(target.getvalue(), tmp_path, "t.m4a", **SETTINGS)
    assert outcome.reason is Reason.TRUNCATED
    assert outcome.record is not None
    assert outcome.record.gap_s == pytest.approx(WHOLE_S / 50, abs=0.15)


def test_where_the_ranks_close_the_header_tells(tmp_path: Path, m4a: bytes) -> None:
    closed = bytearray(without_packets(m4a, "mp4", is_rebased=True))
    movie_header = closed.find(b"mvhd")  # version, two times, time scale, duration
    (time_scale,) = struct.unpack(">I", closed[movie_header + 16 : movie_header + 20])
    closed[movie_header + 20 : movie_header + 24] = struct.pack(">I", round(WHOLE_S * time_scale))
    outcome = accepted(bytes(closed), tmp_path, "t.m4a", **SETTINGS)
    assert outcome.reason is Reason.TRUNCATED
    assert outcome.record is not None
    assert outcome.record.gap_s == 0.0
    assert outcome.detail == "decoded 54.01 s, the file states 60.00 s (tolerance 2 s)"


def test_where_the_header_agrees_only_the_source_tells(tmp_path: Path, m4a: bytes) -> None:
    closed = without_packets(m4a, "mp4", is_rebased=True)
    outcome = accepted(closed, tmp_path, "t.m4a", WHOLE_S, **SETTINGS)
    assert outcome.reason is Reason.DURATION_MISMATCH
    assert "the source states 60.00 s" in str(outcome.detail)
    # nothing in such a file differs from a recording of 54 s
    assert accepted(closed, tmp_path, "t.m4a", None, **SETTINGS).status is Status.OK
