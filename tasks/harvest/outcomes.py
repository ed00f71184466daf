"""What an error of yt-dlp means for a track: one ``Reason``, the raw words, when to come back.

yt-dlp raises ``ExtractorError`` for nearly everything a site can say, so the text decides. It is
matched in a fixed order, the most specific statement first: YouTube begins both "deleted" and
"you are rate-limited" with "Video unavailable", and writes "you’re" with a typographic apostrophe.
Faults of the download itself arrive as ``DownloadError`` whose inner exception may be missing.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import ContentTooShortError, ExtractorError, GeoRestrictedError, UnsupportedError

from data_specs.reasons import Reason
from tasks.harvest.statements import FAULTS, HINTS, LISTED, STATEMENTS, STATUSES, first

MAX_DETAIL_CHARS = 600

# What only a person can mend on this machine; such an error stops the build instead of dropping tracks.
_OPERATOR_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE}
# ffmpeg passes on such an error as text only.
_OPERATOR_WORDS = {os.strerror(number).lower(): number for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an attempt failed."""

    reason: Reason
    detail: str
    """The site's or the library's own words, without colour codes, at most ``MAX_DETAIL_CHARS``."""
    http_status: int | None = None
    retry_after_s: float | None = None
    """What the server asked for, where it did."""


# An address or a path says nothing about what happened.
_ADDRESS = r"https?://\S+|\bhost='[^']*'|(?<![\w/<])/[\w.~-]\S*"
# U+FFFD stands where a terminal lost the apostrophe.
_QUOTES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\ufffd", "'") | {"\u201c": '"', "\u201d": '"', "\u2010": "-"})


def classify(error: BaseException) -> Fault:
    """The ``Fault`` that an exception out of yt-dlp stands for. Never raises."""
    chain = list(_chain(error))
    text = _statement(chain)
    http = next((link for link in chain if isinstance(link, HTTPError)), None)
    status = http.status if http is not None else _status_in(text)
    return Fault(
        reason=_reason(chain, text, status),
        detail=trimmed(next((words for words in map(_words, chain) if words), type(error).__name__)),
        http_status=status,
        retry_after_s=_retry_after_s(http),
    )


def operator_fault(error: BaseException) -> OSError | None:
    """The error of the local file system (disk full, no permission) behind an exception, if there is one."""
    chain = list(_chain(error))
    if any(isinstance(link, TransportError) for link in chain):
        return None  # a firewall answers a connection with EACCES or EPERM too
    for link in chain:
        if isinstance(link, OSError) and link.errno in _OPERATOR_ERRNOS:
            return link
    if not any(isinstance(link, HTTPError) for link in chain):
        for words, number in _OPERATOR_WORDS.items():
            if words in _statement(chain):
                return OSError(number, trimmed(_words(error)))
    return None


def trimmed(message: str) -> str:
    """A message for people: no colour codes, no ``ERROR:``, no password, one line, at most ``MAX_DETAIL_CHARS``."""
    plain = " ".join(_uncoloured(message).split()).removeprefix("ERROR:").strip()
    plain = re.sub(r"//[^\s/]*@", "//", plain)
    return plain if len(plain) <= MAX_DETAIL_CHARS else plain[: MAX_DETAIL_CHARS - 3] + "..."


def _reason(chain: list[BaseException], text: str, status: int | None) -> Reason:
    def has(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    if has(GeoRestrictedError):
        return Reason.GEO_BLOCKED
    if has(ContentTooShortError, IncompleteRead):
        return Reason.TRUNCATED
    if has(UnsupportedError):
        return Reason.NOT_MEDIA  # the message quotes the address and says nothing of us
    if has(TransportError, ConnectionError, TimeoutError):  # nobody answered
        return first(FAULTS, text) or (Reason.TIMEOUT if has(TimeoutError) else Reason.NETWORK)
    reason = first(STATEMENTS, text)
    if reason is None and status is not None:
        reason = _reason_of_status(status, text)
    return reason or first(FAULTS, text) or first(HINTS, text) or Reason.EXTRACTION_FAILED


def _reason_of_status(status: int, text: str) -> Reason:
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) and re.search(r"\[download\]|fragment", text):
        return Reason.TRUNCATED  # a piece of a stream that is there
    if status in LISTED and re.search(LISTED[status], text):
        return Reason.EXTRACTION_FAILED
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Reason.SERVER_ERROR
    return STATUSES.get(status, Reason.EXTRACTION_FAILED)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps, outermost first.

    ``__context__`` is left out: it can be an error that yt-dlp met and overcame before.
    """
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        exc_info = getattr(link, "exc_info", None)
        waiting += [exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) > 1 else None]
        waiting += [getattr(link, "cause", None), getattr(link, "reason", None), link.__cause__]


def _words(error: BaseException) -> str:
    return str(getattr(error, "orig_msg", None) or getattr(error, "msg", None) or error)


def _statement(chain: list[BaseException]) -> str:
    """What all links say, ``|`` between them, as the patterns of the tables expect it."""
    text = " | ".join(dict.fromkeys(_without_id(link) for link in chain))
    plain = re.sub(_ADDRESS, "", _uncoloured(text).translate(_QUOTES))
    return " ".join(plain.lower().split())


def _without_id(error: BaseException) -> str:
    """The words without ``[extractor] id:``, as the id can be any word of the address."""
    words, told = _words(error), error.__context__
    if isinstance(told, ExtractorError):  # what a ``DownloadError`` repeats
        words = words.replace(f"[{told.ie}] {told.video_id}: ", "", 1)
    return re.sub(r"\[[\w:.+-]+\] [^\s:]+: ", "", words)


def _uncoloured(message: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", message)


def _status_in(text: str) -> int | None:
    found = re.search(r"http error (\d{3})", text)
    return int(found[1]) if found else None


def _retry_after_s(http: HTTPError | None) -> float | None:
    """Seconds of a ``Retry-After`` header: a number or an HTTP date (RFC 9110, 10.2.3)."""
    value = http.response.headers.get("Retry-After") if http is not None else None
    if not value:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None  # not a form that the standard knows: as if the server had not said
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
