"""One track in, its media file under its final name and a ``Harvest`` out, or the reason why not.

Every attempt waits for its turn. An answer that concerns whom the site sees (bot check, rate limit)
does not drop the track: it waits, for another identity or for the end of the block, and is tried again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from data_specs.hashing import file_sha256
from data_specs.outcomes import Outcome, failed, ok
from data_specs.publish import publish
from data_specs.reasons import Reason, ReasonClass, reason_class
from data_specs.records import Harvest, Track
from data_specs.spec import HarvestSettings
from tasks.harvest import ytdlp
from tasks.harvest.breaker import BLOCKS
from tasks.harvest.local import harvest_file
from tasks.harvest.network import Network, Turn
from tasks.harvest.outcomes import Fault
from tasks.harvest.pace import backoff_s

MEDIA_FOLDER = Path("harvest", "media")
TEMPORARY_FOLDER = Path("harvest", "tmp")

LONGEST_WAIT_S = 120.0
"""A server that asks for more says that it blocks us, or will not have the track soon."""

MOST_REFUSALS = 10
"""As a probe: without a canary a track that is always refused looks like a block, and must not be asked for ever."""

T = TypeVar("T")


def harvest_track(track: Track, settings: HarvestSettings, network: Network, workspace: Path) -> Outcome[Harvest]:
    """Bring the media of ``track`` to ``harvest/media/<track_id>.<ext>``, as the source encoded it.

    Safe to call from several threads for different tracks. A repeated call begins afresh and
    replaces the file, so a kill at any moment leads to the same bytes in the end. It can wait for
    days where every identity is blocked; ``network.on_event`` then says why.

    Raises:
        CancelledError: the build is being stopped; nothing is known of the track.
        OSError: the workspace cannot be written (disk full, no permission).
        BuildError: the ledger, a cookie file or ffmpeg cannot be used.
    """
    try:
        parts = urlsplit(track.url)
    except ValueError as error:
        return failed(Reason.UNSUPPORTED_URL, f"{track.url}: {error}")
    if parts.scheme == "file":
        return harvest_file(track, settings)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return failed(Reason.UNSUPPORTED_URL, f"{track.url}: expected http://host/..., https://host/... or file://")

    def attempt(turn: Turn, number: int) -> Harvest | Fault:
        return _attempt(track, settings, network, turn, workspace, number)

    result = until_answered(track.url, network, attempt)
    return failed(result.reason, result.detail) if isinstance(result, Fault) else ok(result)


def until_answered(url: str, network: Network, request: Callable[[Turn, int], T | Fault]) -> T | Fault:
    """Repeat ``request(turn, number)``, a turn each, until it succeeds or its fault is the track's own.

    A passing fault costs one of ``network.settings.attempts``. A block opens the breaker of the turn's
    identity instead and the track waits. It is the track itself that is refused where the same identity
    meets a block with it again after the breaker was closed in between, by a canary or another track.
    """
    number = tries = refusals = 0
    refused_by: set[str] = set()
    while True:
        turn = network.take(url)
        number, tries = number + 1, tries + 1
        result = request(turn, number)
        if not isinstance(result, Fault):
            network.report(turn, None)
            return result
        again_s = None if tries == network.settings.attempts else _again_s(result, tries)
        is_block = not turn.is_own and result.reason in BLOCKS and (again_s is None or turn.probe is not None)
        if is_block and turn.probe is None and turn.identity.key in refused_by:
            return _told(result, number)
        if is_block or turn.probe is not None:
            network.report(turn, result)
        if is_block:
            refused_by.add(turn.identity.key)
            tries, refusals = 0, refusals + (turn.probe is not None)
            if refusals == MOST_REFUSALS:
                return _told(result, number)
        elif again_s is not None:
            network.wait(again_s)
        elif network.believes(turn, result):
            return _told(result, number)
        else:
            tries = 0


def _again_s(fault: Fault, tries: int) -> float | None:
    """Seconds until the same request can succeed; None where it cannot within a short while."""
    if fault.reason is Reason.RATE_LIMITED:
        passes = fault.http_status is not None  # the words of a site mean an hour, a plain 429 can mean a second
    else:
        passes = reason_class(fault.reason) is ReasonClass.TRANSIENT
    wait_s = backoff_s(tries, fault.retry_after_s)
    return wait_s if passes and wait_s <= LONGEST_WAIT_S else None


def _told(fault: Fault, number: int) -> Fault:
    attempts = f" ({number} attempts)" if number > 1 else ""
    return Fault(reason=fault.reason, detail=fault.detail + attempts)


def _attempt(
    track: Track, settings: HarvestSettings, network: Network, turn: Turn, workspace: Path, number: int
) -> Harvest | Fault:
    folder = workspace / TEMPORARY_FOLDER / track.track_id
    if folder.exists():  # a killed run left it; what it holds may be half of another format
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    try:
        media = ytdlp.download(track.url, settings, network.settings, turn.identity, folder)
        if isinstance(media, Fault):
            return media
        return _published(track, media, workspace, number, turn.identity.name)
    finally:
        shutil.rmtree(folder)


def _published(track: Track, media: ytdlp.Media, workspace: Path, attempts: int, identity: str) -> Harvest:
    # Content is in the name: a part made of one download never meets another one's bytes.
    content = file_sha256(str(media.path))
    file = MEDIA_FOLDER / f"{track.track_id}-{content[:8]}.{media.container}"
    with publish(workspace / file) as (target, published), open(media.path, "rb") as source:
        shutil.copyfileobj(source, target, length=1 << 20)
    return Harvest(
        track_id=track.track_id,
        file=str(file),
        sha256=published.sha256,
        num_bytes=published.num_bytes,
        container=media.container,
        codec=media.codec,
        stated_duration_s=media.duration_s,
        title=media.title,
        artist=media.artist,
        album=media.album,
        channel=media.channel,
        channel_id=media.channel_id,
        media_id=media.media_id,
        upload_date=media.upload_date,
        license=media.license,
        webpage_url=media.webpage_url,
        extractor=media.extractor,
        attempts=attempts,
        fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=ytdlp.TOOL,
        identity=identity,
        info=media.info,
    )
