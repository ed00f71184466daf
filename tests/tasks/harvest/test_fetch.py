"""One track, fetched by the real yt-dlp from a real web server on the loopback interface.

Such a server counts as this machine's own, so nothing here is paced: see ``test_blocks`` for one that is not.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from yt_dlp.downloader.common import FileDownloader

from data_specs.arrow import identity_fields
from data_specs.hashing import file_sha256
from data_specs.network import Identity, NetworkSettings
from data_specs.outcomes import Outcome
from data_specs.reasons import Reason
from data_specs.records import Harvest, Track
from data_specs.spec import HarvestSettings
from tasks.demo.encode import encode
from tasks.engine.errors import BuildError
from tasks.harvest import fetch, ytdlp
from tasks.harvest.fetch import TEMPORARY_FOLDER, harvest_track
from tasks.harvest.network import Network
from tests.tasks.harvest.clocks import Clock
from tests.tasks.harvest.site import Site

SETTINGS = HarvestSettings(min_duration_s=1, max_duration_s=20)
NETWORK = NetworkSettings(attempts=3, timeout_s=0.5)
SOUND_TC = (0.2 * np.random.default_rng(0).standard_normal((4 * 44_100, 2))).astype(np.float32)
NUM_PIECES = 4


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    files = {f"song.{container}": encode(SOUND_TC, 44_100, container) for container in ("mp3", "m4a", "webm", "flac")}
    files |= {"stated-4.mp3": files["song.mp3"], "stated-9000.mp3": files["song.mp3"]}
    for number in range(NUM_PIECES):
        files[f"{number}.ts"] = _piece(number)
    return files | {
        "whole.m3u8": _playlist(),
        "hole.m3u8": _playlist(missing=2),
        "live.m3u8": _playlist(ended=False),
    }


@pytest.fixture
def site(files: dict[str, bytes]) -> Iterator[Site]:
    with Site(files) as site:
        yield site


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ytdlp, "_RETRY_SLEEP_S", 0.01)


def harvested(
    site: Site, path: str, workspace: Path, network: NetworkSettings = NETWORK, track_id: str = "t"
) -> tuple[Outcome[Harvest], list[float]]:
    """The outcome, and how long the attempts would have waited."""
    clock = Clock()
    track = Track(track_id=track_id, source="urls", url=f"{site.url}/{path}", split="train")
    state = workspace / "state"
    outcome = harvest_track(track, SETTINGS, Network(network, state=state, clock=clock, sleep=clock.sleep), workspace)
    assert not state.exists(), "the machine's own server was paced"
    return outcome, clock.slept


@pytest.mark.parametrize(
    "path",
    [
        *("ok/song.mp3", "ok/song.m4a", "ok/song.webm", "ok/song.flac", "redirect/song.mp3"),
        *("norange/song.mp3", "slow/song.mp3", "audio-tag/song.m4a", "cut-2/song.mp3"),
    ],
)
def test_the_bytes_of_the_source_arrive_unchanged(
    site: Site, tmp_path: Path, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome, waits = harvested(site, path, tmp_path)
    harvest, body = outcome.record, site.files[path.partition("/")[2]]
    assert harvest is not None
    assert (harvest.file, harvest.attempts, waits) == (
        f"harvest/media/t-{harvest.sha256[:8]}.{harvest.container}",
        1,
        [],
    )
    assert (tmp_path / harvest.file).read_bytes() == body
    assert (harvest.sha256, harvest.num_bytes) == (hashlib.sha256(body).hexdigest(), len(body))
    assert harvest.container == path.rpartition(".")[2]
    assert (harvest.tool, harvest.identity) == (ytdlp.TOOL, "direct")
    assert capfd.readouterr() == ("", ""), "yt-dlp wrote to the terminal"
    assert _left_in(tmp_path) == [harvest.file]


def test_what_the_site_states_is_kept(site: Site, tmp_path: Path) -> None:
    harvest = harvested(site, "json-ld/stated-4.mp3", tmp_path)[0].record
    assert harvest is not None
    assert (harvest.title, harvest.stated_duration_s, harvest.upload_date) == ("Stated song", 4.0, "20240203")
    assert harvest.webpage_url == f"{site.url}/json-ld/stated-4.mp3"
    assert harvest.media_id
    assert json.loads(harvest.info or "")["title"] == "Stated song"
    assert site.requests["/json-ld/stated-4.mp3"] == 1, "the page was extracted more than once"


@pytest.mark.parametrize(
    ("path", "reason", "attempts"),
    [
        ("403/song.mp3", Reason.FORBIDDEN, 1),
        ("404/song.mp3", Reason.NOT_FOUND, 1),
        ("ok/none.mp3", Reason.NOT_FOUND, 1),
        ("401/song.mp3", Reason.LOGIN_REQUIRED, 1),
        ("410/song.mp3", Reason.REMOVED, 1),
        ("451/song.mp3", Reason.GEO_BLOCKED, 1),
        ("500/song.mp3", Reason.SERVER_ERROR, 3),
        ("cut/song.mp3", Reason.TRUNCATED, 3),
        ("hang/song.mp3", Reason.TIMEOUT, 3),
        ("bytes/song.mp3", Reason.NOT_MEDIA, 1),
        ("bytes/song.m4a", Reason.NOT_MEDIA, 1),
        ("audio-tag-html/song.mp3", Reason.NOT_MEDIA, 1),
        ("no-media/page", Reason.NOT_MEDIA, 1),
        ("several/song.mp3", Reason.UNSUPPORTED_URL, 1),
        ("json-ld/stated-9000.mp3", Reason.DURATION_OUT_OF_RANGE, 1),
        ("ok/hole.m3u8", Reason.TRUNCATED, 3),
        ("ok/live.m3u8", Reason.LIVE, 1),
        ("endless/song.mp3", Reason.DURATION_OUT_OF_RANGE, 1),
    ],
)
def test_every_fault_has_its_reason_and_leaves_nothing(
    site: Site, tmp_path: Path, path: str, reason: Reason, attempts: int, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome, waits = harvested(site, path, tmp_path)
    assert (outcome.reason, outcome.record) == (reason, None)
    assert len(waits) == attempts - 1
    assert outcome.detail
    assert _left_in(tmp_path) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_passes_costs_attempts_only(site: Site, tmp_path: Path, status: int) -> None:
    site.retry_after = "7"
    outcome, waits = harvested(site, f"{status}-2/song.mp3", tmp_path)
    assert outcome.record is not None
    assert outcome.record.attempts == 3
    assert waits == [7.0, 7.0] if status != 500 else max(waits) <= 2.0


def test_a_rate_limit_on_this_machine_costs_the_track_its_attempts(site: Site, tmp_path: Path) -> None:
    outcome, waits = harvested(site, "429/song.mp3", tmp_path)
    assert (outcome.reason, len(waits)) == (Reason.RATE_LIMITED, 2)
    assert (outcome.detail or "").endswith("(3 attempts)")
    assert _left_in(tmp_path) == []


def test_a_server_that_asks_for_an_hour_is_not_waited_for(site: Site, tmp_path: Path) -> None:
    site.retry_after = "3600"
    for status, reason in (("429", Reason.RATE_LIMITED), ("503", Reason.SERVER_ERROR)):
        outcome, waits = harvested(site, f"{status}/song.mp3", tmp_path)
        assert (outcome.reason, waits) == (reason, [])


@pytest.mark.parametrize("url", ["ftp://host/a", "https:///a", "watch?v=a", "http://[::1/a"])
def test_an_address_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    track = Track(track_id="t", source="urls", url=url, split="train")
    outcome = harvest_track(track, SETTINGS, Network(NETWORK, state=tmp_path / "state"), tmp_path)
    assert outcome.reason is Reason.UNSUPPORTED_URL
    assert url in (outcome.detail or "")


def test_a_stream_in_pieces_is_whole(site: Site, tmp_path: Path) -> None:
    harvest = harvested(site, "ok/whole.m3u8", tmp_path)[0].record
    assert harvest is not None
    with av.open(str(tmp_path / harvest.file)) as media:
        num_samples = sum(frame.samples for frame in media.decode(audio=0))
    assert num_samples / 44_100 == pytest.approx(4.0, abs=0.2)


def test_a_download_that_drips_for_ever_is_ended(site: Site, tmp_path: Path) -> None:
    fault = ytdlp.download(f"{site.url}/slow/song.flac", SETTINGS, NETWORK, Identity(), tmp_path, longest_s=0.1)
    assert isinstance(fault, ytdlp.Fault)
    assert fault.reason is Reason.TIMEOUT


def test_what_a_killed_run_left_is_replaced(site: Site, tmp_path: Path) -> None:
    temporary = tmp_path / TEMPORARY_FOLDER / "t"
    temporary.mkdir(parents=True)
    (temporary / "media.mp3").write_bytes(b"half of another file")
    (temporary / "media.mp3.part").write_bytes(b"half of another file")
    first = harvested(site, "ok/song.mp3", tmp_path)[0].record
    again = harvested(site, "ok/song.mp3", tmp_path)[0].record
    assert first is not None
    assert again is not None
    assert identity_fields(again) == identity_fields(first)
    assert (tmp_path / first.file).read_bytes() == site.files["song.mp3"]
    assert _left_in(tmp_path) == [first.file]


def test_the_media_are_read_once_and_take_their_space_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloaded: list[os.stat_result] = []

    def hashed(path: str) -> str:
        downloaded.append(os.stat(path))
        return file_sha256(path)

    monkeypatch.setattr(fetch, "file_sha256", hashed)
    harvest = harvested(site, "ok/song.mp3", tmp_path)[0].record
    assert harvest is not None
    (before,), after = downloaded, (tmp_path / harvest.file).stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, harvest.num_bytes)


def test_threads_fetch_different_tracks_at_once(site: Site, tmp_path: Path) -> None:
    names = ["song.mp3", "song.m4a", "song.webm", "song.flac"] * 3

    def fetch_one(item: tuple[int, str]) -> Harvest | None:
        return harvested(site, f"slow/{item[1]}?{item[0]}", tmp_path, track_id=f"track-{item[0]}")[0].record

    with ThreadPoolExecutor(6) as threads:
        harvests = list(threads.map(fetch_one, enumerate(names)))
    for name, harvest in zip(names, harvests, strict=True):
        assert harvest is not None
        assert (tmp_path / harvest.file).read_bytes() == site.files[name]


@pytest.mark.parametrize("name", ["100% $HOME", "ä b", "~"])
def test_a_workspace_may_have_any_name(site: Site, tmp_path: Path, name: str) -> None:
    harvest = harvested(site, "ok/song.mp3", tmp_path / name)[0].record
    assert harvest is not None
    assert (tmp_path / name / harvest.file).is_file()


def test_a_full_disk_stops_instead_of_dropping_the_track(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: FileDownloader, path: str, mode: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(FileDownloader, "sanitize_open", refuse)
    with pytest.raises(OSError, match="No space left") as caught:
        harvested(site, "ok/song.mp3", tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert _left_in(tmp_path) == []


def test_the_cookie_file_of_the_user_is_never_written(site: Site, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tabc\n")
    before = cookies.read_bytes()
    network = NetworkSettings(identities=(Identity(cookies=str(cookies)),))
    assert harvested(site, "ok/song.mp3", tmp_path / "w", network)[0].record is not None
    assert cookies.read_bytes() == before


def test_cookies_that_cannot_be_used_stop_the_build(site: Site, tmp_path: Path) -> None:
    for name, fix in (("gone.txt", "no file"), ("login.html", "Netscape format")):
        (tmp_path / "login.html").write_text("# Netscape HTTP Cookie File\n\n<html></html>")
        network = NetworkSettings(identities=(Identity(cookies=str(tmp_path / name)),))
        with pytest.raises(BuildError, match=fix):
            harvested(site, "ok/song.mp3", tmp_path / "w", network)
        assert _left_in(tmp_path / "w") == []


def _left_in(workspace: Path) -> list[str]:
    return sorted(str(path.relative_to(workspace)) for path in workspace.rglob("*") if path.is_file())


def _playlist(missing: int = -1, ended: bool = True) -> bytes:
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0"]
    lines += ["#EXT-X-PLAYLIST-TYPE:VOD"] if ended else []
    for number in range(NUM_PIECES):
        lines += ["#EXTINF:1.0,", f"/{'404' if number == missing else 'ok'}/{number}.ts"]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if ended else []), ""]).encode()


def _piece(number: int) -> bytes:
    """Second ``number`` of the sound as an MPEG transport stream, as HLS delivers it."""
    piece = np.ascontiguousarray(SOUND_TC[number * 44_100 : (number + 1) * 44_100]).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(piece, format="flt", layout="stereo")
    frame.sample_rate, frame.pts = 44_100, 0
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mpegts") as output:
        stream = output.add_stream("aac", rate=44_100, layout="stereo")
        for resampled in av.AudioResampler(format="fltp", layout="stereo", rate=44_100).resample(frame):
            resampled.pts = number * 44_100
            output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))
    return buffer.getvalue()
