"""What an error of yt-dlp means for a track: one ``Reason``, the raw words, when to come back.

yt-dlp raises ``ExtractorError`` for nearly everything a site can say, so the text decides. It is
matched in a fixed order, the most specific statement first: YouTube begins both "deleted" and
"you are rate-limited" with "Video unavailable", and writes "you’re" with a typographic apostrophe.
Faults of the download itself arrive as ``DownloadError`` whose inner exception may be missing.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import ContentTooShortError, GeoRestrictedError, UnsupportedError

from data_specs.reasons import Reason

MAX_DETAIL_CHARS = 600

# What only a person can mend on this machine; such an error stops the build instead of dropping tracks.
_OPERATOR_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an attempt failed."""

    reason: Reason
    detail: str
    """The site's or the library's own words, without colour codes, at most ``MAX_DETAIL_CHARS``."""
    http_status: int | None = None
    retry_after_s: float | None = None
    """What the server asked for, where it did."""


# Order matters. Patterns see lower case text with plain quotes and single spaces.
_STATEMENTS: tuple[tuple[str, Reason], ...] = (
    # our session, whatever the message begins with
    (r"rate-limited|rate limit|too many requests|content isn't available, try again later", Reason.RATE_LIMITED),
    (r"not a bot|captcha|confirm you are human|unusual traffic", Reason.BOT_CHECK),
    # who may see it
    (r"members[- ]only|channel's members|join this channel|music premium|requires payment", Reason.MEMBERS_ONLY),
    (r"only available (to|for) (premium|paying|subscribed|subscribers)|subscribers? only", Reason.MEMBERS_ONLY),
    (r"confirm your age|age[- ]restricted|inappropriate for some users|age verification", Reason.AGE_RESTRICTED),
    (r"private video|(video|track|playlist|content|recording) is private|privacy settings", Reason.PRIVATE),
    # who took it away; a block that names a country is about our address, not about the work
    (r"(in|from) your (country|location|region)|geo[- ]?restrict|geo[- ]?block", Reason.GEO_BLOCKED),
    (r"(not available|blocked) in \w+ countr|available only in", Reason.GEO_BLOCKED),
    (r"drm[- ]protect|drm protection|is protected by drm", Reason.DRM),
    (r"copyright|content from .* who has blocked it|trademark", Reason.COPYRIGHT),
    (
        r"account .*terminated|channel .*terminated|closed their .*account|account .*suspended",
        Reason.ACCOUNT_TERMINATED,
    ),
    # not a recording yet
    (r"live event will begin|premieres? (in|will begin)|live stream (recording|will)|livestream", Reason.LIVE),
    (r"currently (offline|not live)|is (offline|upcoming)|not currently live", Reason.LIVE),
    # our own installation or address
    (r"is not a valid url|url looks truncated|incomplete youtube id|no suitable extractor", Reason.UNSUPPORTED_URL),
    (r"no (audio|sound) (stream|track|format)", Reason.NO_AUDIO),
    (r"there('s| is) no video|no media (found|in)|no video could be found", Reason.NOT_MEDIA),
    (r"requested format is not available|no video formats found|only images are available", Reason.EXTRACTION_FAILED),
    (r"page needs to be reloaded|unable to extract|failed to (extract|parse)", Reason.EXTRACTION_FAILED),
    (r"please report this issue|an extractor error has occurred", Reason.EXTRACTION_FAILED),
    # gone; after everything that also begins with "video unavailable"
    (r"has been (removed|deleted)|was (removed|deleted)|no longer available|been taken down", Reason.REMOVED),
    (r"(video|content|track|recording|media) (is |isn't |is not )?(un)?available|does not exist", Reason.REMOVED),
    (r"sign in|log ?in|registered users|authentication|credentials|account cookies", Reason.LOGIN_REQUIRED),
)

_FAULTS: tuple[tuple[str, Reason], ...] = (
    (r"timed out|timeout", Reason.TIMEOUT),
    (r"bytes read, \d+ more expected|content too short|did not get any data blocks", Reason.TRUNCATED),
    (r"conflicting range|downloaded file is empty", Reason.TRUNCATED),
    (r"fragment \d+ not found|unable to continue", Reason.TRUNCATED),
    (r"name resolution|name or service not known|getaddrinfo|nodename nor servname", Reason.NETWORK),
    (r"connection (refused|reset|aborted|broken)|remote end closed|without response", Reason.NETWORK),
    (r"network is unreachable|no route to host|\bssl|\bcertificate|\bproxy|broken pipe", Reason.NETWORK),
    (r"unsupported url", Reason.NOT_MEDIA),
)

_STATUSES: dict[int, Reason] = {
    HTTPStatus.BAD_REQUEST: Reason.EXTRACTION_FAILED,
    HTTPStatus.UNAUTHORIZED: Reason.LOGIN_REQUIRED,
    HTTPStatus.NOT_FOUND: Reason.NOT_FOUND,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: Reason.NETWORK,
    HTTPStatus.REQUEST_TIMEOUT: Reason.TIMEOUT,
    HTTPStatus.GONE: Reason.REMOVED,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: Reason.TRUNCATED,
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: Reason.GEO_BLOCKED,
}


def classify(error: BaseException) -> Fault:
    """The ``Fault`` that an exception out of yt-dlp stands for. Never raises."""
    chain = list(_chain(error))
    text = _normalised(" | ".join(dict.fromkeys(_words(link) for link in chain)))
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
    return None


def trimmed(message: str) -> str:
    """A message for people: no colour codes, no ``ERROR:``, one line, at most ``MAX_DETAIL_CHARS``."""
    plain = re.sub(r"\x1b\[[0-9;?]*[ -/]*[@-~]", "", message)
    plain = " ".join(plain.split()).removeprefix("ERROR:").strip()
    return plain if len(plain) <= MAX_DETAIL_CHARS else plain[: MAX_DETAIL_CHARS - 3] + "..."


def _reason(chain: list[BaseException], text: str, status: int | None) -> Reason:
    by_type: tuple[tuple[type | tuple[type, ...], Reason], ...] = (
        (GeoRestrictedError, Reason.GEO_BLOCKED),
        ((ContentTooShortError, IncompleteRead), Reason.TRUNCATED),
    )
    for kinds, reason in by_type:
        if any(isinstance(link, kinds) for link in chain):
            return reason
    # The page of an unsupported site is quoted in the message; its words are not a statement about us.
    if any(isinstance(link, UnsupportedError) for link in chain):
        return Reason.NOT_MEDIA
    if status is not None:
        return _reason_of_status(status, text)
    for pattern, reason in (*_STATEMENTS, *_FAULTS):
        if re.search(pattern, text):
            return reason
    if any(isinstance(link, TimeoutError) for link in chain):
        return Reason.TIMEOUT
    if any(isinstance(link, (TransportError, ConnectionError)) for link in chain):
        return Reason.NETWORK
    return Reason.EXTRACTION_FAILED


def _reason_of_status(status: int, text: str) -> Reason:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Reason.RATE_LIMITED
    if status in (HTTPStatus.FORBIDDEN, HTTPStatus.GONE) and re.search(r"video data|api page|\[download\]", text):
        # The page was there and listed this address: a signed link that expired or was refused. A new
        # extraction gives a new one (yt-dlp issues 14606, 17586), so this is not the site's last word.
        return Reason.EXTRACTION_FAILED
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE) and "[download]" in text:
        return Reason.TRUNCATED  # a fragment of a stream that is there
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Reason.SERVER_ERROR
    return _STATUSES.get(status, Reason.FORBIDDEN)


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


def _normalised(text: str) -> str:
    quotes = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u2010": "-"})
    words = re.sub(r"https?://\S+", "", text.translate(quotes).lower())  # an address says nothing about what happened
    return " ".join(words.split())


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
    except ValueError:
        return None  # not a form that the standard knows: as if the server had not said
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
