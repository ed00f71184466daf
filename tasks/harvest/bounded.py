"""A yt-dlp that ends: every body it reads from a site is held against one deadline, those of pages against a size.

yt-dlp's ``socket_timeout`` bounds one wait, not an answer: a page that sends a byte before each time-out
never ends, one that sends fast fills the memory. Its progress hooks see the media alone, a block at a time.
The header of an answer and the body of a redirect are read below ``urlopen``, and not bounded here.
"""

from __future__ import annotations

import time
from typing import Any

import yt_dlp
from yt_dlp.networking import Request, Response
from yt_dlp.networking.exceptions import HTTPError
from yt_dlp.utils import DownloadCancelled

from data_specs.reasons import Reason
from tasks.harvest.outcomes import Fault

MOST_PAGE_BYTES = 64_000_000
"""Of all pages of one extraction together; YouTube's come to two or three megabytes."""

_PIECE_BYTES = 1 << 16


class Bound:
    """What one extraction may read, and until when; ``broken`` says afterwards which of the two it broke."""

    def __init__(self, longest_s: float) -> None:
        self.broken: Fault | None = None
        self._is_page = True
        self._longest_s = longest_s
        self._begun_s = time.monotonic()
        self._num_bytes = 0
        self._num_page_bytes = 0

    def check(self, num_bytes: int = 0) -> None:
        """Count bytes that arrived. Raises ``DownloadCancelled``, which no extractor takes for a passing fault."""
        self._num_bytes += num_bytes
        self._num_page_bytes += num_bytes if self._is_page else 0
        if time.monotonic() - self._begun_s > self._longest_s:
            self.broken = Fault(
                reason=Reason.TIMEOUT, detail=f"not complete after {self._longest_s:g} s ({self._num_bytes} bytes)"
            )
        elif self._num_page_bytes > MOST_PAGE_BYTES:
            self.broken = Fault(reason=Reason.NOT_MEDIA, detail=f"a page of more than {MOST_PAGE_BYTES} bytes")
        if self.broken is not None:
            raise DownloadCancelled(self.broken.detail)

    def media_begin(self, progress: dict[str, Any]) -> None:
        """yt-dlp's ``progress_hooks``: from here on come the media, whose size the ``Gate`` bounds."""
        self._is_page = False


class BoundedYoutubeDL(yt_dlp.YoutubeDL):
    """``YoutubeDL`` whose answers, also those with an error status, are read under a ``Bound``."""

    def __init__(self, options: dict[str, Any], bound: Bound) -> None:
        self._bound = bound
        super().__init__(options)
        self.add_progress_hook(bound.media_begin)

    def urlopen(self, req: Request | str) -> Response:
        self._bound.check()
        try:
            response = super().urlopen(req)
        except HTTPError as error:
            error.response.fp = _Body(error.response.fp, self._bound)
            raise
        response.fp = _Body(response.fp, self._bound)
        return response


class _Body:
    """The file of a response, read as it arrives: a plain ``read`` of many bytes waits until all are there."""

    def __init__(self, file: Any, bound: Bound) -> None:
        self._file, self._bound = file, bound
        self._read = getattr(file, "read1", file.read)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, amt: int | None = None, **kwargs: Any) -> bytes:
        """Up to ``amt`` bytes, all without; fewer only where the body ends. Raises as the file and the ``Bound`` do."""
        body = bytearray()
        while amt is None or len(body) < amt:
            self._bound.check()
            piece = self._read(_PIECE_BYTES if amt is None else min(_PIECE_BYTES, amt - len(body)), **kwargs)
            self._bound.check(len(piece))
            if not piece:
                break
            body += piece
        return bytes(body)
