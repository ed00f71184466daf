"""One track in, its media file under its final name and a ``Harvest`` out, or the reason why not.

Attempts are paced and spaced; an answer that concerns our session (bot check, rate limit) ends
the harvest instead of spending the rest of the list on the same answer.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from data_specs.hashing import file_sha256
from data_specs.outcomes import Outcome, failed, ok
from data_specs.publish import publish
from data_specs.reasons import Reason, ReasonClass, reason_class
from data_specs.records import Harvest, Track
from data_specs.spec import HarvestSettings
from tasks.engine.errors import BuildError
from tasks.harvest import ytdlp
from tasks.harvest.local import harvest_file
from tasks.harvest.outcomes import Fault
from tasks.harvest.pace import Pace, backoff_s, pace_for

MEDIA_FOLDER = Path("harvest", "media")
TEMPORARY_FOLDER = Path("harvest", "tmp")

# A server that asks for more is not going to be waited for by a thread; the fault stands.
LONGEST_WAIT_S = 120.0

_PAUSING = {Reason.BOT_CHECK, Reason.RATE_LIMITED}


class HarvestPaused(BuildError):
    """The source turned our session away: every further track would get the same answer."""

    def __init__(self, reason: Reason, detail: str, retry_after_s: float | None = None) -> None:
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s
        when = "later" if not retry_after_s else f"in {retry_after_s:.0f} s"
        super().__init__(
            f"harvest paused, {reason}: {detail}. Run the same command again {when}, "
            "with a lower harvest.requests_per_hour, other harvest.cookies or another harvest.proxy"
        )


def harvest_track(
    track: Track,
    settings: HarvestSettings,
    workspace: Path,
    *,
    pace: Pace | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome[Harvest]:
    """Bring the media of ``track`` to ``harvest/media/<track_id>.<ext>``, as the source encoded it.

    Safe to call from several threads for different tracks. A repeated call begins afresh and
    replaces the file, so a kill at any moment leads to the same bytes in the end.

    Args:
        pace: the shared rate; by default that of the settings' network identity.

    Raises:
        HarvestPaused: a bot check, or a rate limit that outlasted the attempts.
        OSError: the workspace cannot be written (disk full, no permission).
        BuildError: the cookie file or ffmpeg cannot be used.
    """
    scheme = urlsplit(track.url).scheme.lower()
    if scheme == "file":
        return harvest_file(track)
    if scheme not in ("http", "https"):
        return failed(Reason.UNSUPPORTED_URL, f"{track.url}: expected http://, https:// or file://")
    pace = pace or pace_for(settings)
    attempt = 0
    while True:
        attempt += 1
        pace.take()
        result = _attempt(track, settings, workspace, attempt)
        if isinstance(result, Harvest):
            return ok(result)
        wait_s = backoff_s(attempt, result.retry_after_s)
        if attempt == settings.attempts or wait_s > LONGEST_WAIT_S or not _can_pass(result):
            break
        sleep(wait_s)
    if result.reason in _PAUSING:
        raise HarvestPaused(result.reason, result.detail, result.retry_after_s)
    tries = f" ({attempt} attempts)" if attempt > 1 else ""
    return failed(result.reason, result.detail + tries)


def _can_pass(fault: Fault) -> bool:
    """Whether the same request can succeed shortly after."""
    if fault.reason is Reason.RATE_LIMITED:
        return fault.http_status is not None  # the words of a site mean an hour, a plain 429 can mean a second
    return reason_class(fault.reason) is ReasonClass.TRANSIENT


def _attempt(track: Track, settings: HarvestSettings, workspace: Path, attempt: int) -> Harvest | Fault:
    folder = workspace / TEMPORARY_FOLDER / track.track_id
    if folder.exists():  # a killed run left it; what it holds may be half of another format
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    try:
        media = ytdlp.download(track.url, settings, folder)
        if isinstance(media, Fault):
            return media
        return _published(track, media, workspace, attempt)
    finally:
        shutil.rmtree(folder)


def _published(track: Track, media: ytdlp.Media, workspace: Path, attempt: int) -> Harvest:
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
        upload_date=media.upload_date,
        license=media.license,
        webpage_url=media.webpage_url,
        extractor=media.extractor,
        attempts=attempt,
        fetched_at=datetime.now(UTC).isoformat(timespec="seconds"),
        tool=ytdlp.TOOL,
    )
