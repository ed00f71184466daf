"""The words and the statuses of sites, of yt-dlp and of connections, and the reason that each stands for.

Order matters: the first row that is found decides. Patterns see lower case text with plain quotes, single spaces
and without addresses (``outcomes``). What is not known to be so for ever is not given a permanent reason: an
unknown sentence after "Video unavailable" is tried again. tests/tasks/harvest/messages.yaml holds the words as
people met them; a new wording goes there first.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from data_specs.reasons import Reason

Table = tuple[tuple[str, Reason], ...]

# What a site says of us or of the work; stronger than the status that it came with.
STATEMENTS: Table = (
    # our session, whatever the message begins with
    (r"not a bot|captcha|anti-bot|client challenge|confirm you are human|unusual traffic", Reason.BOT_CHECK),
    (r"your ip (is likely being|may be) blocked|tls fingerprint|rejected by server", Reason.BOT_CHECK),
    (r"rate[- ]limit|too many requests|available, try again later|blocked by server \(4\d\d\)", Reason.RATE_LIMITED),
    # where and who we are; a block that names a country is about our address, not about the work
    (r"(in|from) (your|this) (country|location|region)|geo[- ]?(restrict|block)|use a vpn", Reason.GEO_BLOCKED),
    (r"(not available|blocked) in \w+ countr|available only in|your ip address is blocked", Reason.GEO_BLOCKED),
    (r"access to this webpage has been blocked", Reason.GEO_BLOCKED),
    (r"suicide or self-harm topics", Reason.LOGIN_REQUIRED),  # to be confirmed by a person
    (r"confirm your age|age[- ](restricted|verifi)|inappropriate for some users|adult verifi", Reason.AGE_RESTRICTED),
    # the client that yt-dlp played; with another one the same work can come
    (r"restricted from playback on certain|from display on this website", Reason.EXTRACTION_FAILED),
    (r"error code:? 1(01|5\d)\b", Reason.EXTRACTION_FAILED),  # of the player that is embedded elsewhere
    (r"formats (have|will) be(en)? skipped|po token|nsig extraction|challenge solving", Reason.EXTRACTION_FAILED),
    # who may see it
    (r"members[- ]only|channel's members|join this channel|music premium|premium members", Reason.MEMBERS_ONLY),
    (r"requires (payment|a .*subscription)|subscribe to|rental", Reason.MEMBERS_ONLY),
    (r"(need to|with) purchase|purchase is required|vip account|supporter-only", Reason.MEMBERS_ONLY),
    (r"only available (to|for) (premium|paying|subscribed|subscribers)|subscribers?[- ]only", Reason.MEMBERS_ONLY),
    (r"private (video|playlist)|\w+ is private|privacy settings|protected tweet", Reason.PRIVATE),
    (
        r"protected by a pass(word|code)|password[- ]protected|(wrong|wrong video|invalid video) password",
        Reason.PRIVATE,
    ),
    # who took it away
    (r"drm[- ]protect|drm protection|is protected by drm", Reason.DRM),
    (r"(account|channel) .*(terminated|suspended)|closed their .*account", Reason.ACCOUNT_TERMINATED),
    (
        r"(copyright|trademark) (claim|complaint|grounds|infring|issue|reason|violation)|"
        r"content from .* who has blocked it",
        Reason.COPYRIGHT,
    ),
    # not a recording yet
    (r"event (will (begin|start)|has ended)|is scheduled (to|for)|premieres? (in|will begin)", Reason.LIVE),
    (r"live ?stream (recording|will|has)", Reason.LIVE),
    (
        r"currently (offline|not live)|is (offline|upcoming|not live)|(^|: )offline\W*(\||$)|not (currently|yet) live",
        Reason.LIVE,
    ),
    (r"has not yet started|not started yet|ended but not downloadable", Reason.LIVE),
    # nothing to hear, or an address that does not lead to it
    (r"is not a valid url|url looks truncated|incomplete youtube id|no suitable extractor", Reason.UNSUPPORTED_URL),
    (r"without (video id|embedding url)|does not have an? \w+ tab", Reason.UNSUPPORTED_URL),
    (r"does not contain (a video or )?audio", Reason.NO_AUDIO),
    (r"there('s| is) no video|no (supported )?media (found|in)|no video could be found", Reason.NOT_MEDIA),
    (r"doesn't contain any tracks", Reason.NOT_MEDIA),
    # gone; after everything that also begins with "video unavailable", and only where nothing follows it
    (r"has been (removed|deleted)|was (removed|deleted)|been taken down|does not exist", Reason.REMOVED),
    (r"no longer available|n't available anymore", Reason.REMOVED),
    (r"(video|content|track|recording|media) (is )?unavailable\W*(\||$)", Reason.REMOVED),
    (r"(video|content|track|recording|media) (is not|isn't) available\W*(\||$)", Reason.REMOVED),
    (r"not archived or indexed|track not found", Reason.NOT_FOUND),
)

# How a connection, a download or this machine fails.
FAULTS: Table = (
    (r"no space left on device|disk quota exceeded", Reason.INTERNAL_ERROR),
    (r"(ffmpeg|avconv) (could )?not (be )?found|netscape format cookies|cookie database", Reason.INTERNAL_ERROR),
    (r"timed out|timeout", Reason.TIMEOUT),
    (r"\d bytes read|content too short|did not get any data blocks", Reason.TRUNCATED),
    (r"conflicting range|downloaded file is empty", Reason.TRUNCATED),
    (r"fragment \d+ not found|unable to continue", Reason.TRUNCATED),
    (r"name resolution|name or service not known|getaddrinfo|nodename nor servname", Reason.NETWORK),
    (r"connection (refused|reset|aborted|broken)|remote end closed|without response", Reason.NETWORK),
    (r"network is unreachable|no route to host|broken pipe|\d+ bytes missing", Reason.NETWORK),
    (r"\bssl\b|\b_ssl|\bcertificate|\bproxy|tunnel connection failed", Reason.NETWORK),
    (r"unsupported url", Reason.NOT_MEDIA),
)

# Words that are only believed where nothing else was said: yt-dlp adds advice to log in to many messages.
HINTS: Table = (
    (r"sign in|log ?in|registered users|authentication|credentials|cookies", Reason.LOGIN_REQUIRED),
    (r"log into an account|account is needed|do not have access to this|play limit", Reason.LOGIN_REQUIRED),
)

# Where a status is said of what the page listed, not of the page: such links are signed and expire, and a new
# extraction gives new ones (yt-dlp issues 14606, 17586), so this is not the site's last word.
LISTED: dict[int, str] = {
    HTTPStatus.FORBIDDEN: r"video data|api page|json|m3u8|mpd|manifest|\[download\]|fragment",
    HTTPStatus.NOT_FOUND: r"video data",
    HTTPStatus.GONE: r"video data",
}

STATUSES: dict[int, Reason] = {
    HTTPStatus.BAD_REQUEST: Reason.EXTRACTION_FAILED,
    HTTPStatus.UNAUTHORIZED: Reason.LOGIN_REQUIRED,
    HTTPStatus.PAYMENT_REQUIRED: Reason.RATE_LIMITED,  # so YouTube, to those who ask too much (youtube-dl's FAQ)
    HTTPStatus.FORBIDDEN: Reason.FORBIDDEN,
    HTTPStatus.NOT_FOUND: Reason.NOT_FOUND,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: Reason.NETWORK,
    HTTPStatus.REQUEST_TIMEOUT: Reason.TIMEOUT,
    HTTPStatus.GONE: Reason.REMOVED,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: Reason.TRUNCATED,
    HTTPStatus.TOO_MANY_REQUESTS: Reason.RATE_LIMITED,
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: Reason.GEO_BLOCKED,
}


def first(table: Table, text: str) -> Reason | None:
    """The reason of the first row whose pattern is in ``text``."""
    return next((reason for pattern, reason in table if re.search(pattern, text)), None)
