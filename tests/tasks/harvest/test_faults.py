"""Every fault of the site in ``site.py``, through the real harvest and then the real acceptance, and its reason.

What a server can hide from a download (half a file under the right length, a hole in a stream) only
decoding shows; so a fault counts as found wherever the track is stopped before it becomes a sample.
"""

from __future__ import annotations

import hashlib
import io
import socket
import struct
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import av
import imageio_ffmpeg
import numpy as np
import pytest
import yt_dlp
from numpy.typing import NDArray

from data_specs.network import NetworkSettings
from data_specs.outcomes import Outcome
from data_specs.reasons import Reason
from data_specs.records import Harvest, Track
from data_specs.spec import AudioSettings, HarvestSettings
from tasks.audio.accept import accept_audio
from tasks.demo.encode import CONTAINERS, encode
from tasks.harvest import ytdlp
from tasks.harvest.fetch import TEMPORARY_FOLDER, harvest_track
from tasks.harvest.network import Network
from tests.tasks.harvest.site import ANSWERS, Site

RATE_HZ = 44_100
SONG_S = 10
STREAM_S = 60
PIECE_S = 6
ATTEMPTS = 2
HARVEST = HarvestSettings(min_duration_s=5, max_duration_s=100)
AUDIO = AudioSettings(min_duration_s=5, max_duration_s=100, duration_tolerance_s=2)
NETWORK = NetworkSettings(attempts=ATTEMPTS, timeout_s=1.0)


class Case(NamedTuple):
    """One fault, the address that has it, who must find it (``harvest``, ``audio``, nobody) and as what."""

    fault: str
    address: str
    found_by: str = ""
    reason: str = ""


FAULTS = [
    # nothing is wrong, or it passes
    *(Case(f"none ({container})", f"ok/song.{container}") for container in CONTAINERS),
    Case("the server knows no ranges", "norange/song.mp3"),
    Case("sent in chunks of no stated length", "chunked/song.m4a"),
    Case("compressed on the way", "gzip/song.flac"),
    Case("slow", "slow/song.mp3"),
    Case("redirect", "redirect/song.mp3"),
    Case("flac named mp3", "ok/renamed.mp3"),
    Case("a page with one medium", "audio-tag/song.mp3"),
    Case("a page that states the right length", "json-ld/stated-10.mp3"),
    Case("429 once", "429-1/song.mp3"),
    Case("429 once, Retry-After as a date", "429-date-1/song.mp3"),
    Case("500 once", "500-1/song.mp3"),
    Case("503 once", "503-1/song.mp3"),
    Case("connection reset once", "reset-1/song.mp3"),
    Case("cut in the middle once", "cut-1/song.mp3"),
    Case("hangs before its answer once", "hang-before-1/song.mp3"),
    Case("empty once", "empty-1/song.mp3"),
    Case("HLS", "hls/stream.m3u8"),
    Case("HLS, a fragment 503 once", "hls-late/stream.m3u8"),
    # the server says no
    Case("400", "400/song.mp3", "harvest", "extraction_failed"),
    Case("401", "401/song.mp3", "harvest", "login_required"),
    Case("402", "402/song.mp3", "harvest", "rate_limited"),
    Case("403", "403/song.mp3", "harvest", "forbidden"),
    Case("403 with a bot challenge", "challenge/song.mp3", "harvest", "bot_check"),
    Case("404", "404/song.mp3", "harvest", "not_found"),
    Case("410", "410/song.mp3", "harvest", "removed"),
    Case("416", "416/song.mp3", "harvest", "truncated"),
    Case("429", "429/song.mp3", "harvest", "rate_limited"),
    Case("429, Retry-After as a date", "429-date/song.mp3", "harvest", "rate_limited"),
    Case("451", "451/song.mp3", "harvest", "geo_blocked"),
    Case("500", "500/song.mp3", "harvest", "server_error"),
    Case("502", "502/song.mp3", "harvest", "server_error"),
    Case("503", "503/song.mp3", "harvest", "server_error"),
    Case("403 for the medium that the page lists", "audio-tag-refused/song.mp3", "harvest", "extraction_failed"),
    Case("404 for the medium that the page lists", "audio-tag-gone/song.mp3", "harvest", "extraction_failed"),
    # the way is broken
    Case("connection refused", "{refused}/song.mp3", "harvest", "network"),
    Case("connection reset", "reset/song.mp3", "harvest", "network"),
    Case("no TLS where https is asked for", "{tls}/ok/song.mp3", "harvest", "network"),
    Case("redirect to itself", "redirect-loop/song.mp3", "harvest", "extraction_failed"),
    Case("hangs before its answer", "hang-before/song.mp3", "harvest", "timeout"),
    Case("hangs in the body", "hang/song.mp3", "harvest", "timeout"),
    # less came than should
    Case("cut in the middle", "cut/song.mp3", "harvest", "truncated"),
    Case("cut in a chunk", "chunked-cut/song.m4a", "harvest", "truncated"),
    Case("Content-Length too large", "states-more/song.mp3", "harvest", "truncated"),
    Case("Content-Length too small, mp3", "states-less/song.mp3", "audio", "truncated"),
    Case("Content-Length too small, m4a", "states-less/song.m4a", "audio", "truncated"),
    Case("empty", "empty/song.mp3", "harvest", "truncated"),
    *(Case(f"half a {c} on the server", f"ok/half.{c}", "audio", "truncated") for c in ("mp3", "webm", "flac")),
    Case("half an m4a on the server", "ok/half.m4a", "audio", "truncated"),
    Case("HLS, a fragment 404", "hls-hole/stream.m3u8", "harvest", "truncated"),
    Case("HLS, a fragment 503", "hls-down/stream.m3u8", "harvest", "server_error"),
    Case("HLS, a fragment empty", "hls-empty/stream.m3u8", "harvest", "truncated"),
    Case("HLS, half a fragment", "hls-cut/stream.m3u8", "audio", "truncated"),
    # more or other than should
    Case("endless", "endless/song.mp3", "harvest", "duration_out_of_range"),
    Case("a page without end", "endless-page/page", "harvest", "not_media"),
    Case("HLS without an end", "hls-live/stream.m3u8", "harvest", "live"),
    Case("the page states 300 s", "json-ld/stated-300.mp3", "harvest", "duration_out_of_range"),
    Case("the page states 60 s, the file has 10", "json-ld/stated-60.mp3", "audio", "duration_mismatch"),
    Case("the page states 5 s, the file has 10", "json-ld/stated-5.mp3", "audio", "duration_mismatch"),
    # not a song
    Case("a page without media", "no-media/page", "harvest", "not_media"),
    Case("a page with several media", "several/song.mp3", "harvest", "unsupported_url"),
    Case("redirect to a page", "redirect-page/song.mp3", "harvest", "not_media"),
    Case("a bot check as a page (200)", "bot-page/song.mp3", "harvest", "not_media"),
    Case("a log-in page instead of sound", "bytes/song.mp3", "harvest", "not_media"),
    Case("a log-in page as audio/mpeg", "html-as-audio/song.mp3", "harvest", "not_media"),
    Case("a log-in page for the medium that the page lists", "audio-tag-html/song.mp3", "harvest", "not_media"),
    Case("JSON instead of sound", "json/song.mp3", "harvest", "not_media"),
    Case("JSON as audio/mpeg", "json-as-audio/song.mp3", "harvest", "not_media"),
    Case("a picture as mp4", "ok/picture.mp4", "harvest", "not_media"),
    Case("a film without sound", "ok/film.mp4", "audio", "no_audio"),
]


class Found(NamedTuple):
    workspace: Path
    harvested: dict[str, Outcome[Harvest]]
    waited_s: dict[str, list[float]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    noise_TC = 0.2 * np.random.default_rng(0).standard_normal((STREAM_S * RATE_HZ, 2))
    sound_TC = noise_TC.astype(np.float32)
    files = {f"song.{c}": encode(sound_TC[: SONG_S * RATE_HZ], RATE_HZ, c) for c in CONTAINERS}
    files |= {f"half.{c}": files[f"song.{c}"][: len(files[f"song.{c}"]) // 2] for c in CONTAINERS}
    files |= {f"stated-{seconds}.mp3": files["song.mp3"] for seconds in (5, 10, 60, 300)}
    files |= {"renamed.mp3": files["song.flac"], "picture.mp4": _picture(), "film.mp4": _film()}
    files |= _stream(sound_TC, tmp_path_factory.mktemp("stream"))
    with Site(files) as site:
        yield site


@pytest.fixture(scope="module")
def found(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """All addresses, several at a time: most of the time is waiting for what does not come."""
    workspace = tmp_path_factory.mktemp("workspace")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refused = f"http://127.0.0.1:{closed.getsockname()[1]}"
    bases = {"refused": refused, "tls": site.url.replace("http:", "https:")}

    def harvest_one(number: int) -> tuple[Outcome[Harvest], list[float]]:
        waited_s: list[float] = []
        address = FAULTS[number].address
        url = address.format(**bases) if address.startswith("{") else f"{site.url}/{address}"
        network = Network(NETWORK, state=workspace / "state", sleep=waited_s.append)
        return harvest_track(_track(url, f"track-{number}"), HARVEST, network, workspace), waited_s

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(8) as threads:
        patch.setattr(ytdlp, "_RETRY_SLEEP_S", 0.01)
        results = list(threads.map(harvest_one, range(len(FAULTS))))
    by_address = {case.address: result for case, result in zip(FAULTS, results, strict=True)}
    yield Found(workspace, {a: r[0] for a, r in by_address.items()}, {a: r[1] for a, r in by_address.items()})
    assert not list((workspace / TEMPORARY_FOLDER).iterdir()), "an attempt left something behind"


@pytest.mark.parametrize("case", FAULTS, ids=[case.fault for case in FAULTS])
def test_every_fault_is_found_and_nothing_else(case: Case, found: Found) -> None:
    harvested = found.harvested[case.address]
    assert (harvested.reason or "") == (case.reason if case.found_by == "harvest" else ""), harvested.detail
    if harvested.record is None:
        assert harvested.detail
        return
    accepted = accept_audio("t", harvested.record, AUDIO, found.workspace)
    assert (accepted.reason or "") == (case.reason if case.found_by == "audio" else ""), accepted.detail
    if not case.found_by:
        assert accepted.record is not None
        expected_s = STREAM_S if case.address.endswith(".m3u8") else SONG_S
        assert accepted.record.duration_s == pytest.approx(expected_s, abs=0.1)


def test_every_answer_of_the_site_is_in_the_table() -> None:
    kinds = {case.address.partition("/")[0] for case in FAULTS}
    assert ANSWERS.keys() - {"trickle"} <= kinds  # that one lasts until the bound of a download: see test_ytdlp.py
    assert len({case.address for case in FAULTS}) == len(FAULTS)


def test_a_server_that_names_a_date_is_waited_for(found: Found) -> None:
    assert found.waited_s["429-date-1/song.mp3"] == [pytest.approx(60, abs=10)]
    assert len(found.waited_s["429-date/song.mp3"]) == ATTEMPTS - 1


@pytest.fixture(scope="module")
def holed(site: Site) -> Iterator[tuple[Path, list[str]]]:
    """A stream without its fourth fragment as yt-dlp alone fetches it, with its default options; and its warnings."""
    log = _Log()
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "outtmpl": f"{folder}/plain.%(ext)s",
            "logger": log,
            "proxy": "",
            "ffmpeg_location": imageio_ffmpeg.get_ffmpeg_exe(),
        }
        with yt_dlp.YoutubeDL(options) as ydl:
            info = ydl.extract_info(f"{site.url}/hls-hole/stream.m3u8")
        yield Path(info["requested_downloads"][0]["filepath"]), log.warnings


def test_yt_dlp_alone_calls_a_stream_with_a_hole_complete(holed: tuple[Path, list[str]]) -> None:
    """The negative control: no error, no warning, a header that says 60 s, and one fragment less of sound."""
    path, warnings = holed
    assert not [warning for warning in warnings if "fragment" in warning]
    with av.open(str(path)) as media:
        stream = media.streams.audio[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(STREAM_S, abs=0.1)
    assert len(_decoded(path)) / RATE_HZ == pytest.approx(STREAM_S - PIECE_S, abs=0.1)


@pytest.mark.parametrize("stated_s", [STREAM_S, None])
def test_a_stream_with_a_hole_is_rejected_if_it_gets_in(
    holed: tuple[Path, list[str]], tmp_path: Path, stated_s: float | None
) -> None:
    accepted = accept_audio("t", _as_harvested(holed[0], stated_s), AUDIO, tmp_path)
    assert accepted.reason is Reason.TRUNCATED, accepted.detail
    assert accepted.record is not None
    assert accepted.record.gap_s == pytest.approx(PIECE_S, abs=0.1)


def test_a_hole_without_time_stamps_is_found_by_what_the_site_states(
    holed: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path = tmp_path / "encoded-again.mp3"
    path.write_bytes(encode(_decoded(holed[0]), RATE_HZ, "mp3"))
    accepted = accept_audio("t", _as_harvested(path, STREAM_S), AUDIO, tmp_path)
    assert accepted.reason is Reason.DURATION_MISMATCH, accepted.detail


def test_a_local_file_with_a_hole_is_rejected(holed: tuple[Path, list[str]], tmp_path: Path) -> None:
    network = Network(NETWORK, state=tmp_path / "state")
    harvest = harvest_track(_track(holed[0].as_uri(), "t"), HARVEST, network, tmp_path).record
    assert harvest is not None
    assert accept_audio("t", harvest, AUDIO, tmp_path).reason is Reason.TRUNCATED


def _track(url: str, track_id: str) -> Track:
    return Track(track_id=track_id, source="urls", url=url, split="train")


def _as_harvested(path: Path, stated_s: float | None) -> Harvest:
    body = path.read_bytes()
    return Harvest(
        track_id="t",
        file=str(path),
        sha256=hashlib.sha256(body).hexdigest(),
        num_bytes=len(body),
        container=path.suffix[1:],
        stated_duration_s=stated_s,
    )


def _decoded(path: Path) -> NDArray[np.float32]:
    with av.open(str(path)) as media:
        return np.ascontiguousarray(np.concatenate([f.to_ndarray() for f in media.decode(audio=0)], axis=1).T)


class _Log:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, message: str) -> None: ...

    def warning(self, message: str) -> None:
        self.warnings.append(message)

    error = warning


def _stream(sound_TC: NDArray[np.float32], folder: Path) -> dict[str, bytes]:
    """The sound as FFmpeg's own HLS muxer publishes it: a playlist and pieces of ``PIECE_S``."""
    frame = av.AudioFrame.from_ndarray(sound_TC.reshape(1, -1), format="flt", layout="stereo")
    frame.sample_rate, frame.pts = RATE_HZ, 0
    options = {"hls_time": str(PIECE_S), "hls_playlist_type": "vod"}
    with av.open(str(folder / "stream.m3u8"), "w", format="hls", options=options) as output:
        stream: Any = output.add_stream("aac", rate=RATE_HZ, layout="stereo")
        for resampled in av.AudioResampler(format="fltp", layout="stereo", rate=RATE_HZ).resample(frame):
            output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _film() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream: Any = output.add_stream("mpeg4", rate=10, width=64, height=64, pix_fmt="yuv420p")
        for _ in range(SONG_S * 10):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def _picture() -> bytes:
    """A grey PNG of 64 x 64."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(65 * 64))) + chunk(b"IEND", b"")
