"""The closed vocabulary of why a track left the build, and what can be done about it."""

from __future__ import annotations

from enum import StrEnum


class ReasonClass(StrEnum):
    """Who can change the outcome."""

    PERMANENT = "permanent"
    """Nobody: the same input gives the same answer tomorrow."""
    TRANSIENT = "transient"
    """Time: another attempt can succeed (``retry=transient``)."""
    SESSION = "session"
    """The network identity: another address, cookie jar or a pause can succeed."""
    OPERATOR = "operator"
    """The person who runs the build: disk, permissions, credentials, an installation."""


class Reason(StrEnum):
    """Why a track was dropped. Each has one class, see ``reason_class``."""

    # harvest: the source says no
    REMOVED = "removed"
    PRIVATE = "private"
    ACCOUNT_TERMINATED = "account_terminated"
    COPYRIGHT = "copyright"
    GEO_BLOCKED = "geo_blocked"
    AGE_RESTRICTED = "age_restricted"
    MEMBERS_ONLY = "members_only"
    DRM = "drm"
    LIVE = "live"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    NO_AUDIO = "no_audio"
    NOT_MEDIA = "not_media"
    UNSUPPORTED_URL = "unsupported_url"
    DURATION_OUT_OF_RANGE = "duration_out_of_range"
    LICENSE_REFUSED = "license_refused"
    FORGOTTEN = "forgotten"
    # harvest: the way to the source
    NETWORK = "network"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    TRUNCATED = "truncated"
    EXTRACTION_FAILED = "extraction_failed"
    RATE_LIMITED = "rate_limited"
    BOT_CHECK = "bot_check"
    LOGIN_REQUIRED = "login_required"
    # audio
    FILE_MISSING = "file_missing"
    FILE_EMPTY = "file_empty"
    FILE_CHANGED = "file_changed"
    PERMISSION_DENIED = "permission_denied"
    UNDECODABLE = "undecodable"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    DURATION_MISMATCH = "duration_mismatch"
    SILENT = "silent"
    CLIPPED = "clipped"
    NARROW_BAND = "narrow_band"
    TOO_QUIET = "too_quiet"
    MONO = "mono"
    # over the whole dataset
    DUPLICATE = "duplicate"
    EVALUATION_LEAK = "evaluation_leak"
    # structure, caption
    ANALYSIS_FAILED = "analysis_failed"
    CAPTION_TOO_SHORT = "caption_too_short"
    CAPTION_INVALID = "caption_invalid"
    CAPTION_REFUSED = "caption_refused"
    CAPTION_MISSING = "caption_missing"
    AUDIO_NOT_HEARD = "audio_not_heard"
    PROMPT_TOO_LONG = "prompt_too_long"
    # any stage
    WORKER_CRASHED = "worker_crashed"
    INTERNAL_ERROR = "internal_error"


_TRANSIENT = {
    Reason.NETWORK,
    Reason.TIMEOUT,
    Reason.SERVER_ERROR,
    Reason.TRUNCATED,
    Reason.EXTRACTION_FAILED,
    Reason.DURATION_MISMATCH,
    Reason.WORKER_CRASHED,
    Reason.INTERNAL_ERROR,
}
_SESSION = {
    Reason.RATE_LIMITED,
    Reason.BOT_CHECK,
    Reason.LOGIN_REQUIRED,
    Reason.GEO_BLOCKED,
    Reason.AGE_RESTRICTED,
    Reason.FORBIDDEN,  # of a page: more often our address than the work
}
_OPERATOR = {
    Reason.FILE_MISSING,
    Reason.FILE_CHANGED,
    Reason.PERMISSION_DENIED,
    Reason.CAPTION_MISSING,  # of the file that captions are imported from
    Reason.AUDIO_NOT_HEARD,  # by a server that was started with too small a limit
    Reason.PROMPT_TOO_LONG,
}


def reason_class(reason: Reason) -> ReasonClass:
    """The class that decides whether and by whom a dropped track can be won back."""
    if reason in _TRANSIENT:
        return ReasonClass.TRANSIENT
    if reason in _SESSION:
        return ReasonClass.SESSION
    if reason in _OPERATOR:
        return ReasonClass.OPERATOR
    return ReasonClass.PERMANENT
