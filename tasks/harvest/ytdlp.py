"""The only place that runs yt-dlp: one extraction and one download of one address.

Used as a library, yt-dlp behaves worse than its command line: it does not retry, leaves out
fragments that are missing and ignores options it does not know. So every option that matters is
set here by name (``_download_options``); what a network file adds comes through ``options``.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import yt_dlp
from yt_dlp.utils import DownloadError

from data_specs.network import Identity, NetworkSettings
from data_specs.reasons import Reason
from data_specs.spec import HarvestSettings
from tasks.engine.errors import BuildError
from tasks.harvest.bounded import Bound, BoundedYoutubeDL
from tasks.harvest.checks import check_network
from tasks.harvest.cookies import copy_cookies
from tasks.harvest.gate import Gate
from tasks.harvest.info import info_text, storable, without_secrets
from tasks.harvest.options import network_options
from tasks.harvest.outcomes import Fault, classify, operator_fault, trimmed

__all__ = ["LONGEST_DOWNLOAD_S", "TOOL", "Media", "check_network", "download", "probe"]

TOOL = f"yt-dlp {yt_dlp.version.__version__}"

# Inside one attempt yt-dlp takes up a broken connection where it ended (Range); a new attempt starts afresh.
_RETRIES = 2
_FRAGMENT_RETRIES = 3
_RETRY_SLEEP_S = 0.5

# Seconds from the first request to the last byte. A probe is shorter than the lease that its asker holds.
LONGEST_DOWNLOAD_S = 1800.0
LONGEST_PROBE_S = 120.0

# YouTube adds or removes a few bytes at the end of a file between extraction and download.
_SIZE_TOLERANCE_BYTES = 100

_BLANKS = b"\xef\xbb\xbf \t\r\n"
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_MOST_JSON_BYTES = 1_000_000


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
    channel_id: str | None
    media_id: str | None
    upload_date: str | None
    license: str | None
    webpage_url: str | None
    extractor: str | None
    info: str
    """What the site said of the work, as JSON; see ``info_text``."""


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


def download(
    url: str,
    settings: HarvestSettings,
    network: NetworkSettings,
    identity: Identity,
    folder: Path,
    *,
    longest_s: float = LONGEST_DOWNLOAD_S,
) -> Media | Fault:
    """Extract ``url`` once and download its best audio into the empty ``folder``, as the source encoded it.

    Raises:
        OSError: this machine, not the source, is at fault (disk full, no permission).
        BuildError: the cookie file, ffmpeg or the options cannot be used.
    """
    log, gate, bound = _Log(), Gate(settings), Bound(longest_s)
    options = _download_options(url, settings, network, identity, folder, log, gate)
    info = _extracted(url, options, log, bound, download=True)
    if bound.broken is not None:
        return bound.broken
    if gate.refusal is not None:
        return _doubted(gate.refusal, gate, log)
    if isinstance(info, Fault):
        return info
    items = list(_downloads(info))
    if not items:
        return Fault(reason=Reason.NOT_MEDIA, detail=_last_words(log, "yt-dlp found nothing to download"))
    return _checked(items[0], info, gate)


def probe(
    url: str, network: NetworkSettings, identity: Identity, *, longest_s: float = LONGEST_PROBE_S
) -> Fault | None:
    """Extract ``url`` without downloading it: None where the medium is there and playable. Ends after ``longest_s``.

    Raises:
        OSError, BuildError: as ``download``.
    """
    with tempfile.TemporaryDirectory() as folder:
        log, bound = _Log(), Bound(longest_s)
        options = _options(url, network, identity, Path(folder), log)
        found = _extracted(url, options, log, bound, download=False)
    if bound.broken is not None:
        return bound.broken
    return found if isinstance(found, Fault) else None


def _extracted(url: str, options: dict[str, Any], log: _Log, bound: Bound, *, download: bool) -> dict[str, Any] | Fault:
    """yt-dlp's information dictionary; empty where it had nothing to say."""
    with _opened(options, bound) as ydl:
        try:
            return ydl.extract_info(url, download=download) or {}
        except Exception as error:  # a library of 1,800 extractors can raise anything
            at_home = operator_fault(error)
            if at_home is not None:
                raise at_home from error
            return _explained(classify(error), log)


def _opened(options: dict[str, Any], bound: Bound) -> BoundedYoutubeDL:
    try:
        return BoundedYoutubeDL(options, bound)
    except Exception as error:  # no track is at fault for this, so no track may be dropped for it
        raise BuildError(
            f"yt-dlp does not take its options: {trimmed(str(error))}; "
            "check harvest.format in the spec and options in the network file"
        ) from error


def _download_options(
    url: str,
    settings: HarvestSettings,
    network: NetworkSettings,
    identity: Identity,
    folder: Path,
    log: _Log,
    gate: Gate,
) -> dict[str, Any]:
    return _options(url, network, identity, folder, log) | {
        "format": settings.format,
        "outtmpl": {"default": str(folder).replace("%", "%%") + "/media.%(ext)s"},
        "match_filter": gate.match,
        "progress_hooks": [gate.watch],
        "updatetime": False,
        "overwrites": True,
        # completeness
        "retries": _RETRIES,
        "fragment_retries": _FRAGMENT_RETRIES,
        "file_access_retries": _RETRIES,
        "skip_unavailable_fragments": False,
        "hls_prefer_native": True,  # the native reader counts fragments, ffmpeg passes over missing ones
    }


def _options(url: str, network: NetworkSettings, identity: Identity, folder: Path, log: _Log) -> dict[str, Any]:
    """What an extraction needs, with a download or without."""
    options = network_options(network, identity, url) | {
        "format": "bestaudio/best",
        "extractor_retries": _RETRIES,
        "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor", "file_access"), _retry_sleep_s),
        "ffmpeg_location": _ffmpeg(),
        "cachedir": False,
        # silence
        "logger": log,
        "quiet": True,
        "noprogress": True,
        "color": "never",
        # one track, nothing beside it
        "noplaylist": True,
        "playlist_items": "1:2",  # enough to tell one from several without listing a whole channel
    }
    if identity.cookies:
        options["cookiefile"] = str(copy_cookies(identity, folder))
    return options


def _ffmpeg() -> str:
    """Path of the program that puts the pieces of a stream into one container, without encoding."""
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise BuildError(f"no ffmpeg: install imageio-ffmpeg again ({error})") from error


def _retry_sleep_s(n: int) -> float:
    return _RETRY_SLEEP_S * 2.0**n


def _downloads(info: Any) -> Iterator[dict[str, Any]]:
    """What was downloaded: by the one media item, or by the one entry of a list."""
    for item in (info or {}).get("entries") or [info]:
        yield from (item or {}).get("requested_downloads") or []


def _checked(item: dict[str, Any], info: dict[str, Any], gate: Gate) -> Media | Fault:
    path = Path(item.get("filepath") or "")
    if not path.is_file():
        return Fault(reason=Reason.EXTRACTION_FAILED, detail="yt-dlp reported success but left no file")
    stated_bytes = item.get("filesize")
    if gate.num_bytes is not None and stated_bytes and item.get("protocol") in ("http", "https"):
        if gate.num_bytes < stated_bytes - _SIZE_TOLERANCE_BYTES:
            return Fault(reason=Reason.TRUNCATED, detail=f"{gate.num_bytes} bytes arrived of {stated_bytes}")
    with open(path, "rb") as file:
        head = file.read(512)
    if not head.strip(_BLANKS):
        return Fault(reason=Reason.TRUNCATED, detail="the downloaded file is empty")
    other = _other_than_media(path, head)
    if other is not None:
        return Fault(reason=Reason.NOT_MEDIA, detail=f"{other} came instead of sound: {head.strip(_BLANKS)[:80]!r}")
    entry = (info.get("entries") or [info])[0]
    return _media(path, without_secrets({**entry, **item}), info_text(without_secrets(entry)))


def _other_than_media(path: Path, head: bytes) -> str | None:
    """What a file is instead, where that is plain from how it begins."""
    text = head.lstrip(_BLANKS).lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "a web page"
    if head.startswith(_PICTURES) or (head[:4], head[8:12]) == (b"RIFF", b"WEBP") or head[4:12] == b"ftypavif":
        return "a picture"
    if text.startswith((b"{", b"[")) and path.stat().st_size <= _MOST_JSON_BYTES:
        try:
            json.loads(path.read_bytes().lstrip(_BLANKS))
        except (ValueError, RecursionError):
            return None
        return "JSON"
    return None


def _media(path: Path, info: dict[str, Any], text_of_info: str) -> Media:
    def text(*names: str) -> str | None:
        for name in names:
            value = info.get(name)
            if isinstance(value, (list, tuple)):
                value = ", ".join(map(str, value))
            if value:
                return storable(str(value))
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
        channel_id=text("channel_id", "uploader_id"),
        media_id=text("id"),
        upload_date=text("upload_date"),
        license=text("license"),
        webpage_url=text("webpage_url"),
        extractor=text("extractor"),
        info=text_of_info,
    )


def _explained(fault: Fault, log: _Log) -> Fault:
    """The fault with what only yt-dlp's warnings say.

    Its YouTube extractor turns "429 Too Many Requests" of the player into a warning and raises that it
    got no answer. And errors with an empty message happen.
    """
    if fault.reason is Reason.EXTRACTION_FAILED:
        for said in (classify(DownloadError(warning)) for warning in log.warnings):
            if said.reason in (Reason.RATE_LIMITED, Reason.BOT_CHECK):
                return said
    if fault.detail.strip():
        return fault
    return replace(fault, detail=_last_words(log, "no message"))


def _doubted(refusal: Fault, gate: Gate, log: _Log) -> Fault:
    """A refusal for want of a licence, unless the page that would have named it did not arrive.

    yt-dlp goes on without that page, with a warning, and the player's answer names no licence.
    """
    lost = [warning for warning in log.warnings if re.search(r"unable to download|incomplete data", warning.lower())]
    if refusal.reason is not Reason.LICENSE_REFUSED or gate.license is not None or not lost:
        return refusal
    return _explained(Fault(reason=Reason.EXTRACTION_FAILED, detail=f"licence unknown: {lost[-1]}"), log)


def _last_words(log: _Log, otherwise: str) -> str:
    return "; ".join(log.warnings[-2:]) or otherwise
