"""The only place that runs yt-dlp: one extraction and one download of one address.

Used as a library, yt-dlp behaves worse than its command line: it does not retry, leaves out
fragments that are missing and ignores options it does not know. So every option that matters is
set here, by name, in one table (``_options``), and a test holds the names against yt-dlp's own list.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import yt_dlp
from yt_dlp.cookies import CookieLoadError
from yt_dlp.utils import DownloadCancelled

from data_specs.reasons import Reason
from data_specs.spec import HarvestSettings
from tasks.engine.errors import BuildError
from tasks.harvest.outcomes import Fault, classify, operator_fault, trimmed

TOOL = f"yt-dlp {yt_dlp.version.__version__}"

# Inside one attempt yt-dlp takes up a broken connection where it ended (Range); a new attempt starts afresh.
_RETRIES = 2
_FRAGMENT_RETRIES = 3
_RETRY_SLEEP_S = 0.5

# A server that sends a little just before each time-out, or a radio station that never ends, would
# hold a thread for ever. 1 MB/s of sound is above 24 bit 96 kHz stereo.
LONGEST_DOWNLOAD_S = 1800.0
_MOST_BYTES_PER_SECOND = 1_000_000

# YouTube adds or removes a few bytes at the end of a file between extraction and download.
_SIZE_TOLERANCE_BYTES = 100

_COOKIE_TABS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A complete media file in the temporary folder, and what the one extraction said about it."""

    path: Path
    container: str
    codec: str | None
    duration_s: float | None
    title: str | None
    artist: str | None
    album: str | None
    channel: str | None
    upload_date: str | None
    license: str | None
    webpage_url: str | None
    extractor: str | None


class _Log:
    """Takes yt-dlp's messages, so that none reaches a terminal; the last ones explain an empty error."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, message: str) -> None:
        """Progress and chatter: nobody reads it."""

    def info(self, message: str) -> None:
        """As ``debug``."""

    def warning(self, message: str) -> None:
        self.warnings.append(trimmed(message))

    def error(self, message: str) -> None:
        self.warnings.append(trimmed(message))


class _Gate:
    """What the project refuses by itself: before the download from metadata, during it from its course."""

    def __init__(self, settings: HarvestSettings, longest_s: float) -> None:
        self.refusal: Fault | None = None
        self.num_bytes: int | None = None
        self._settings = settings
        self._longest_s = longest_s
        self._most_bytes = int(settings.max_duration_s * _MOST_BYTES_PER_SECOND)
        self._begun_s = time.monotonic()

    def match(self, info: Any, *, incomplete: bool = False) -> str | None:
        """yt-dlp's ``match_filter``: None lets the track through, a text skips it."""
        self.refusal = self._refuse(info)
        return None if self.refusal is None else self.refusal.detail

    def watch(self, progress: dict[str, Any]) -> None:
        """yt-dlp's ``progress_hooks``. Raises ``DownloadCancelled`` to end the download."""
        num_bytes = progress.get("downloaded_bytes") or 0
        if progress["status"] == "finished":
            self.num_bytes = num_bytes
        elif time.monotonic() - self._begun_s > self._longest_s:
            self.refusal = Fault(
                reason=Reason.TIMEOUT, detail=f"not complete after {self._longest_s:.0f} s ({num_bytes} bytes)"
            )
        elif num_bytes > self._most_bytes:
            self.refusal = Fault(
                reason=Reason.DURATION_OUT_OF_RANGE,
                detail=f"more than {self._most_bytes} bytes for at most {self._settings.max_duration_s:g} s of sound",
            )
        if self.refusal is not None:
            raise DownloadCancelled(self.refusal.detail)

    def _refuse(self, info: Any) -> Fault | None:
        num_media = info.get("n_entries")
        if num_media is not None and num_media > 1:
            return Fault(reason=Reason.UNSUPPORTED_URL, detail="the address lists several media, a track needs one")
        if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming", "post_live"):
            return Fault(reason=Reason.LIVE, detail=f"live_status is {info.get('live_status') or 'is_live'}")
        duration_s = info.get("duration")
        low_s, high_s = self._settings.min_duration_s, self._settings.max_duration_s
        if duration_s is not None and not low_s <= duration_s <= high_s:
            return Fault(
                reason=Reason.DURATION_OUT_OF_RANGE, detail=f"{duration_s:g} s is outside {low_s:g} to {high_s:g} s"
            )
        return None


def download(
    url: str, settings: HarvestSettings, folder: Path, *, longest_s: float = LONGEST_DOWNLOAD_S
) -> Media | Fault:
    """Extract ``url`` once and download its best audio into the empty ``folder``, as the source encoded it.

    Raises:
        OSError: this machine, not the source, is at fault (disk full, no permission).
        BuildError: the cookie file or ffmpeg cannot be used.
    """
    log, gate = _Log(), _Gate(settings, longest_s)
    options = _options(settings, folder, log, gate)
    try:
        with yt_dlp.YoutubeDL(options) as ydl:
            info = ydl.extract_info(url, download=True)
    except CookieLoadError as error:
        raise BuildError(
            f"harvest.cookies {settings.cookies}: {trimmed(str(error))}; export it again in Netscape format"
        ) from error
    except DownloadCancelled as error:
        return gate.refusal or classify(error)
    except Exception as error:  # a library of 1,800 extractors can raise anything
        at_home = operator_fault(error)
        if at_home is not None:
            raise at_home from error
        return _explained(classify(error), log)
    if gate.refusal is not None:
        return gate.refusal
    items = list(_downloads(info))
    if not items:
        return Fault(reason=Reason.NOT_MEDIA, detail=_last_words(log, "yt-dlp found nothing to download"))
    return _checked(items[0], info, gate)


def _options(settings: HarvestSettings, folder: Path, log: _Log, gate: _Gate) -> dict[str, Any]:
    options: dict[str, Any] = {
        "format": settings.format,
        "outtmpl": {"default": str(folder).replace("%", "%%") + "/media.%(ext)s"},
        "ffmpeg_location": _ffmpeg(),
        # silence
        "logger": log,
        "quiet": True,
        "noprogress": True,
        "color": "never",
        # one track, nothing beside it
        "noplaylist": True,
        "playlist_items": "1:2",  # enough to tell one from several without listing a whole channel
        "match_filter": gate.match,
        "progress_hooks": [gate.watch],
        "cachedir": False,
        "updatetime": False,
        "overwrites": True,
        # completeness
        "retries": _RETRIES,
        "fragment_retries": _FRAGMENT_RETRIES,
        "extractor_retries": _RETRIES,
        "file_access_retries": _RETRIES,
        "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor", "file_access"), _retry_sleep_s),
        "skip_unavailable_fragments": False,
        "hls_prefer_native": True,  # the native reader counts fragments, ffmpeg passes over missing ones
        # network identity
        "socket_timeout": settings.timeout_s,
        "proxy": settings.proxy or "",  # empty: no proxy, whatever the environment says
    }
    if settings.cookies:
        options["cookiefile"] = _cookie_copy(settings.cookies, folder)
    if settings.player_clients:
        options["extractor_args"] = {"youtube": {"player_client": list(settings.player_clients)}}
    return options


def _ffmpeg() -> str:
    """Path of the program that puts the pieces of a stream into one container, without encoding."""
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise BuildError(f"no ffmpeg: install imageio-ffmpeg again ({error})") from error


def _retry_sleep_s(n: int) -> float:
    return _RETRY_SLEEP_S * 2.0**n


def _cookie_copy(cookies: str, folder: Path) -> str:
    """yt-dlp rewrites its cookie file when it ends, so every download gets a copy of its own.

    It also prints each line that it cannot read and goes on without; here such a file is refused.
    """
    try:
        text = Path(cookies).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise BuildError(f"harvest.cookies: no file at {cookies}; export one or remove the setting") from error
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.removeprefix("#HttpOnly_")
        if entry.strip() and not entry.startswith("#") and entry.count("\t") != _COOKIE_TABS:
            raise BuildError(
                f"harvest.cookies: line {number} of {cookies} is not a cookie; export it again in Netscape format"
            )
    copy = folder / "cookies.txt"
    copy.touch(mode=0o600)
    copy.write_text(text, encoding="utf-8")
    return str(copy)


def _downloads(info: Any) -> Iterator[dict[str, Any]]:
    """What was downloaded: by the one media item, or by the one entry of a list."""
    for item in (info or {}).get("entries") or [info]:
        yield from (item or {}).get("requested_downloads") or []


def _checked(item: dict[str, Any], info: dict[str, Any], gate: _Gate) -> Media | Fault:
    path = Path(item.get("filepath") or "")
    if not path.is_file():
        return Fault(reason=Reason.EXTRACTION_FAILED, detail="yt-dlp reported success but left no file")
    stated_bytes = item.get("filesize")
    if gate.num_bytes is not None and stated_bytes and item.get("protocol") in ("http", "https"):
        if gate.num_bytes < stated_bytes - _SIZE_TOLERANCE_BYTES:
            return Fault(reason=Reason.TRUNCATED, detail=f"{gate.num_bytes} bytes arrived of {stated_bytes}")
    with open(path, "rb") as file:
        head = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return Fault(reason=Reason.TRUNCATED, detail="the downloaded file is empty")
    if head.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return Fault(reason=Reason.NOT_MEDIA, detail=f"a web page came instead of sound: {head[:80]!r}")
    entry = (info.get("entries") or [info])[0]
    return _media(path, {**entry, **item})


def _media(path: Path, info: dict[str, Any]) -> Media:
    def text(*names: str) -> str | None:
        for name in names:
            value = info.get(name)
            if isinstance(value, (list, tuple)):
                value = ", ".join(map(str, value))
            if value:
                return str(value)
        return None

    codec, duration_s = info.get("acodec"), info.get("duration")
    return Media(
        path=path,
        container=path.suffix.lstrip(".").lower(),
        codec=None if codec in (None, "none") else str(codec),
        duration_s=None if duration_s is None else float(duration_s),
        title=text("track", "title"),
        artist=text("artists", "artist", "creators", "creator"),
        album=text("album"),
        channel=text("channel", "uploader"),
        upload_date=text("upload_date"),
        license=text("license"),
        webpage_url=text("webpage_url"),
        extractor=text("extractor"),
    )


def _explained(fault: Fault, log: _Log) -> Fault:
    """A fault whose message is empty says in ``detail`` what yt-dlp warned of last."""
    if fault.detail.strip():
        return fault
    return Fault(reason=fault.reason, detail=_last_words(log, "no message"), http_status=fault.http_status)


def _last_words(log: _Log, otherwise: str) -> str:
    return "; ".join(log.warnings[-2:]) or otherwise
