"""What the real yt-dlp makes of the site, and what it raises for each kind of broken page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from yt_dlp import YoutubeDL
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import DownloadError, UnsupportedError

from data_specs.records import Track
from data_specs.spec import RenderedSource
from tasks.demo.catalogue import Fault, demo_tracks
from tasks.demo.encode import CONTAINERS
from tasks.demo.song import compose


class _Quiet:
    def debug(self, message: str) -> None: ...

    warning = error = debug


def _download(track: Track, folder: Path) -> dict[str, Any]:
    options = {
        "quiet": True,
        "logger": _Quiet(),
        "noprogress": True,
        "proxy": "",
        "cachedir": False,
        "format": "bestaudio/best",
        "outtmpl": str(folder / "%(id)s.%(ext)s"),
        "retries": 2,
        "socket_timeout": 10,
    }
    with YoutubeDL(options) as downloader:
        info: dict[str, Any] = downloader.sanitize_info(downloader.extract_info(track.url, download=True))
    return info


def test_yt_dlp_downloads_all_formats_with_their_facts(source: RenderedSource, cache: Path, tmp_path: Path) -> None:
    for index, track in enumerate(demo_tracks(source)[:4]):
        info = _download(track, tmp_path)
        song = compose(0, index, 6, 8)
        assert (info["id"], info["title"], info["artist"]) == (track.track_id, song.title, song.artist)
        assert info["duration"] == pytest.approx(song.duration_s, abs=0.001)
        assert info["ext"] == CONTAINERS[index]
        downloaded = Path(info["requested_downloads"][0]["filepath"])
        served = next(cache.rglob(downloaded.name))
        assert downloaded.read_bytes() == served.read_bytes()


def _fault_of(source: RenderedSource, fault: Fault) -> Track:
    return next(track for track in demo_tracks(source) if track.track_id == f"broken-{fault}")


@pytest.mark.parametrize(("fault", "status"), [(Fault.MISSING, 404), (Fault.FORBIDDEN, 403)])
def test_yt_dlp_meets_refusals(source: RenderedSource, tmp_path: Path, fault: Fault, status: int) -> None:
    with pytest.raises(DownloadError) as caught:
        _download(_fault_of(source, fault), tmp_path)
    cause = caught.value.exc_info[1]
    assert isinstance(cause, HTTPError)
    assert cause.status == status


@pytest.mark.parametrize("fault", [Fault.NOT_AUDIO, Fault.NO_MEDIA])
def test_yt_dlp_finds_no_media(source: RenderedSource, tmp_path: Path, fault: Fault) -> None:
    with pytest.raises(DownloadError, match="Unsupported URL") as caught:
        _download(_fault_of(source, fault), tmp_path)
    assert isinstance(caught.value.exc_info[1], UnsupportedError)


def test_yt_dlp_gives_up_on_truncated_media(source: RenderedSource, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"more expected\. Giving up after 2 retries"):
        _download(_fault_of(source, Fault.TRUNCATED), tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]


def test_yt_dlp_downloads_silence(source: RenderedSource, tmp_path: Path) -> None:
    info = _download(_fault_of(source, Fault.SILENT), tmp_path)
    assert info["duration"] == source.min_duration_s
    assert Path(info["requested_downloads"][0]["filepath"]).stat().st_size > 10_000
