"""One track in, its media file under its final name and a ``Harvest`` out, or the reason why not.

Every attempt waits for its turn. An answer that concerns whom the site sees (bot check, rate limit)
does not drop the track: it waits, for another identity or for the end of the block, and is tried again.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from data_specs.hashing import file_sha256
from data_specs.outcomes import Outcome, failed, ok
from data_specs.publish import publish_file
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
"""By one identity: where nothing else comes through, a track that is always refused looks like a block for ever."""

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
    identity instead and the track waits. Whether it is the track itself that is refused, ``Network.condemns`` says.
    """
    number = tries = 0
    refused_at: dict[str, float] = {}
    num_refusals: Counter[str] = Counter()
    while True:
        turn = network.take(url)
        number, tries, key = number + 1, tries + 1, turn.identity.key
        try:
            result = request(turn, number)
        except BaseException:
            network.give_back(turn)
            raise
        if not isinstance(result, Fault):
            network.report(turn, None)
            return result
        again_s = None if tries == network.settings.attempts else _again_s(result, tries)
        if not turn.is_own and result.reason in BLOCKS and (again_s is None or turn.probe is not None):
            network.report(turn, result)
            num_refusals[key] += 1
            if num_refusals[key] == MOST_REFUSALS or (key in refused_at and network.condemns(turn, refused_at)):
                return _told(result, number)
            refused_at.setdefault(key, turn.at)
            tries = 0
            continue
        if result.reason in BLOCKS:  # a short one, no block yet
            network.give_back(turn)
        else:
            network.report(turn, result)
        if again_s is not None:
            network.on_event(f"{turn.identity.name} at {turn.site}: trying again, {result.reason}: {result.detail}")
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
    num_bytes = media.path.stat().st_size
    publish_file(media.path, workspace / file)
    return Harvest(
        track_id=track.track_id,
        file=str(file),
        sha256=content,
        num_bytes=num_bytes,
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
