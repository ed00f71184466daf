"""What the project refuses by itself: before a download from what the site says, during it from its course."""

from __future__ import annotations

import re
from typing import Any

from yt_dlp.utils import DownloadCancelled

from data_specs.reasons import Reason
from data_specs.spec import HarvestSettings
from tasks.harvest.licenses import license_refusal
from tasks.harvest.outcomes import Fault

# 1 MB/s of sound is above 24 bit 96 kHz stereo: more than that for the longest track is another thing.
_MOST_BYTES_PER_SECOND = 1_000_000


class Gate:
    """Hooks for one download; ``refusal`` says afterwards whether and why they ended it."""

    def __init__(self, settings: HarvestSettings) -> None:
        self.refusal: Fault | None = None
        self.num_bytes: int | None = None
        """Bytes of the media file that arrived, where yt-dlp reported the end."""
        self.license: str | None = None
        """As the site states it."""
        self._settings = settings
        self._most_bytes = int(settings.max_duration_s * _MOST_BYTES_PER_SECOND)

    def match(self, info: Any, *, incomplete: bool = False) -> str | None:
        """yt-dlp's ``match_filter``: None lets the track through, a text skips it.

        Args:
            incomplete: the page itself was not read yet, so that what is absent may still come.
        """
        self.refusal = self._refuse(info, incomplete)
        return None if self.refusal is None else self.refusal.detail

    def watch(self, progress: dict[str, Any]) -> None:
        """yt-dlp's ``progress_hooks``. Raises ``DownloadCancelled`` to end the download."""
        num_bytes = progress.get("downloaded_bytes") or 0
        if progress["status"] == "finished":
            self.num_bytes = num_bytes
        elif num_bytes > self._most_bytes:
            self.refusal = Fault(
                reason=Reason.DURATION_OUT_OF_RANGE,
                detail=f"more than {self._most_bytes} bytes for at most {self._settings.max_duration_s:g} s of sound",
            )
        if self.refusal is not None:
            raise DownloadCancelled(self.refusal.detail)

    def _refuse(self, info: Any, incomplete: bool) -> Fault | None:
        num_media = info.get("n_entries")
        if num_media is not None and num_media > 1:
            return Fault(reason=Reason.UNSUPPORTED_URL, detail="the address lists several media, a track needs one")
        if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming", "post_live"):
            return Fault(reason=Reason.LIVE, detail=f"live_status is {info.get('live_status') or 'is_live'}")
        media_type = str(info.get("media_type") or "")
        if re.search(r"live|premiere", media_type.lower()):  # a recording of a broadcast, with its waiting time
            return Fault(reason=Reason.LIVE, detail=f"media_type is {media_type}")
        duration_s = info.get("duration")
        low_s, high_s = self._settings.min_duration_s, self._settings.max_duration_s
        if duration_s is not None and not low_s <= duration_s <= high_s:
            return Fault(
                reason=Reason.DURATION_OUT_OF_RANGE, detail=f"{duration_s:g} s is outside {low_s:g} to {high_s:g} s"
            )
        self.license = info.get("license") or None
        refusal = None if incomplete else license_refusal(self.license, self._settings.licenses)
        return None if refusal is None else Fault(reason=Reason.LICENSE_REFUSED, detail=refusal)
