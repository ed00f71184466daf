"""What sites and yt-dlp really say, and the reason each must become."""

from __future__ import annotations

import errno
import io
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import ContentTooShortError, DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError

from data_specs.reasons import Reason
from tasks.harvest.outcomes import MAX_DETAIL_CHARS, classify, operator_fault, trimmed

YOUTUBE = [
    ("Private video. Sign in if you've been granted access to this video. Use --cookies-from-browser", "private"),
    ("Private video. Sign in if you’ve been granted access to this video", "private"),
    ("Video unavailable. This video is private", "private"),
    ("Video unavailable", "removed"),
    ("This video is unavailable", "removed"),
    ("Video unavailable. This content isn’t available.", "removed"),
    ("Video unavailable. This video has been removed by the uploader", "removed"),
    ("This video has been removed for violating YouTube's Terms of Service", "removed"),
    ("This video has been removed for violating YouTube’s policy on spam, deceptive practices, and scams", "removed"),
    (
        "Video unavailable. This video is no longer available because the YouTube account associated with this "
        "video has been terminated.",
        "account_terminated",
    ),
    (
        "This video is no longer available because the uploader has closed their YouTube account.",
        "account_terminated",
    ),
    (
        "Video unavailable. This video contains content from UMG, who has blocked it on copyright grounds",
        "copyright",
    ),
    ("This video is no longer available due to a copyright claim by Sony Music Entertainment", "copyright"),
    (
        "Video unavailable. This video contains content from WMG, who has blocked it in your country on "
        "copyright grounds",
        "geo_blocked",
    ),
    ("Video unavailable. The uploader has not made this video available in your country", "geo_blocked"),
    ("This video is not available in your country. You might want to use a VPN", "geo_blocked"),
    (
        "Sign in to confirm your age. This video may be inappropriate for some users. Use --cookies",
        "age_restricted",
    ),
    ("This video is age-restricted and only available on YouTube", "age_restricted"),
    (
        "Join this channel to get access to members-only content like this video, and other exclusive perks.",
        "members_only",
    ),
    (
        "This video is available to this channel's members on level: Supporter (or any higher level). Join this "
        "channel to get access to members-only content and other exclusive perks.",
        "members_only",
    ),
    ("This video is only available to Music Premium members", "members_only"),
    ("This video requires payment to watch.", "members_only"),
    ("Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies", "bot_check"),
    ("Sign in to confirm you're not a bot. This helps protect our community. Learn more", "bot_check"),
    ("Video unavailable. YouTube is requiring a captcha challenge before playback", "bot_check"),
    (
        "Video unavailable. This content isn’t available, try again later. Your account has been rate-limited by "
        "YouTube for up to an hour. It is recommended to use `-t sleep`",
        "rate_limited",
    ),
    (
        "Video unavailable. This content isn't available, try again later. The current session has been "
        "rate-limited by YouTube for up to an hour.",
        "rate_limited",
    ),
    ("This live event will begin in 5 hours.", "live"),
    ("Premieres in 3 hours", "live"),
    ("This live stream recording is not available.", "live"),
    ("This video is DRM protected", "drm"),
    ("Requested format is not available. Use --list-formats for a list of available formats", "extraction_failed"),
    ("Only images are available for download. use --list-formats to see them", "extraction_failed"),
    ("The page needs to be reloaded.", "extraction_failed"),
    ("Failed to extract any player response; please report this issue on https://github.com/x", "extraction_failed"),
    ("Incomplete YouTube ID abc. URL https://www.youtube.com/watch?v=abc looks truncated.", "unsupported_url"),
    ("Please sign in. Use --cookies-from-browser or --cookies for the authentication", "login_required"),
]
OTHER_SITES = [
    ("This track is private", "private"),
    ("The requested site is known to use DRM protection. It will NOT be supported.", "drm"),
    ("This video is only available for registered users. Use --cookies", "login_required"),
    ("You need to log in to access this content", "login_required"),
    ("This content is geo-restricted", "geo_blocked"),
    ("There is no video in this post", "not_media"),
    ("The media was removed by its owner", "removed"),
    ("The channel is not currently live", "live"),
    ("Unable to extract data-config; please report this issue on  https://github.com/x", "extraction_failed"),
    ("An extractor error has occurred. (caused by KeyError('url'))", "extraction_failed"),
    ("'watch me' is not a valid URL. Set --default-search", "unsupported_url"),
    ("No video formats found!", "extraction_failed"),
    ("something that nobody has ever seen", "extraction_failed"),
]
DOWNLOAD = [
    ("[download] Got error: 32600 bytes read, 32600 more expected. Giving up after 2 retries", "truncated"),
    ("content too short (expected 1000 bytes and served 500)", "truncated"),
    ("Did not get any data blocks", "truncated"),
    ("fragment 3 not found, unable to continue", "truncated"),
    ("[download] Got error: HTTP Error 404: Not Found. Giving up after 3 retries", "truncated"),
    ("[download] Got error: HTTP Error 403: Forbidden. Giving up after 3 retries", "extraction_failed"),
    ("[download] Got error: HTTP Error 503: Service Unavailable. Giving up after 3 retries", "server_error"),
    ("unable to download video data: HTTP Error 403: Forbidden", "extraction_failed"),
    ("unable to download video data: HTTP Error 404: Not Found", "not_found"),
    (
        "[download] Got error: HTTPSConnectionPool(host='r1.googlevideo.com', port=443): Read timed out. (read "
        "timeout=20.0). Giving up after 2 retries",
        "timeout",
    ),
    (
        "[generic] Unable to download webpage: <urllib3.connection.HTTPConnection object at 0x7f>: Failed to "
        "establish a new connection: [Errno 111] Connection refused",
        "network",
    ),
    ("Unable to download webpage: [Errno -3] Temporary failure in name resolution", "network"),
    ("Unable to download API page: ('Connection aborted.', RemoteDisconnected('Remote end closed'))", "network"),
    ("Unable to download webpage: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "network"),
    ("[Errno 101] Network is unreachable", "network"),
    ("Unable to connect to proxy", "network"),
]


@pytest.mark.parametrize(("message", "reason"), YOUTUBE + OTHER_SITES)
def test_a_statement_of_a_site_has_its_reason(message: str, reason: str) -> None:
    inner = ExtractorError(message, expected=True, video_id="-aB_c0000_1", ie="youtube")
    fault = classify(_wrapped(inner))
    assert fault.reason == Reason(reason)
    assert message.split(".")[0][:40] in fault.detail


@pytest.mark.parametrize(("message", "reason"), DOWNLOAD)
def test_a_fault_of_the_download_without_an_inner_exception_has_its_reason(message: str, reason: str) -> None:
    error = DownloadError(f"\x1b[0;31mERROR:\x1b[0m {message}", (None, None, None))
    fault = classify(error)
    assert fault.reason == Reason(reason)
    assert fault.detail == " ".join(message.split())


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "extraction_failed"),
        (401, "login_required"),
        (402, "forbidden"),
        (403, "forbidden"),
        (404, "not_found"),
        (407, "network"),
        (408, "timeout"),
        (410, "removed"),
        (416, "truncated"),
        (429, "rate_limited"),
        (451, "geo_blocked"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "server_error"),
        (599, "server_error"),
    ],
)
def test_a_status_on_the_page_has_its_reason(status: int, reason: str) -> None:
    http = _http_error(status)
    fault = classify(_wrapped(ExtractorError("Unable to download webpage", cause=http, expected=True)))
    assert (fault.reason, fault.http_status) == (Reason(reason), status)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (GeoRestrictedError("Sorry", countries=["FR"]), "geo_blocked"),
        (UnsupportedError("https://example.org/private-video-login"), "not_media"),
        (ContentTooShortError(500, 1000), "truncated"),
        (IncompleteRead(partial=500, expected=500), "truncated"),
        (TransportError(cause=TimeoutError()), "timeout"),
        (TransportError(cause=ssl.SSLError("handshake")), "network"),
        (TransportError("weird"), "network"),
        (ConnectionResetError(104, "reset"), "network"),
        (KeyError("formats"), "extraction_failed"),
    ],
)
def test_the_type_of_the_innermost_exception_decides_where_words_do_not(error: Exception, reason: str) -> None:
    assert classify(error).reason == Reason(reason)
    assert classify(_wrapped(error)).reason == Reason(reason)


def test_an_address_in_a_message_is_not_read_as_a_statement() -> None:
    error = ExtractorError("Unable to extract id; see https://site.example/private-video/members-only", expected=True)
    assert classify(error).reason is Reason.EXTRACTION_FAILED


def test_an_error_that_was_overcome_before_is_not_the_reason() -> None:
    error = ExtractorError("Video unavailable", expected=True)
    error.__context__ = TimeoutError("timed out")
    assert classify(error).reason is Reason.REMOVED


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), (" 120 ", 120.0), ("soon", None), ("", None), (None, None)])
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    assert classify(_wrapped(_http_error(429, value))).retry_after_s == seconds


def test_retry_after_as_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert classify(_http_error(503, date)).retry_after_s == pytest.approx(60, abs=3)


def test_detail_is_one_plain_line_of_bounded_length() -> None:
    assert trimmed("\x1b[0;31mERROR:\x1b[0m  a\n b\t c") == "a b c"
    assert len(trimmed("x" * 10_000)) == MAX_DETAIL_CHARS


def test_an_error_of_this_machine_is_told_apart() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert operator_fault(_wrapped(full)) is full
    assert operator_fault(_wrapped(ConnectionResetError(104, "reset"))) is None
    # a firewall may answer a connection with "permission denied"
    assert operator_fault(TransportError(cause=PermissionError(errno.EACCES, "Permission denied"))) is None


def _wrapped(error: BaseException) -> DownloadError:
    return DownloadError(f"\x1b[0;31mERROR:\x1b[0m {error}", (type(error), error, None))


def _http_error(status: int, retry_after: str | None = None) -> HTTPError:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return HTTPError(Response(io.BytesIO(b""), "http://site.example/x", headers, status))
