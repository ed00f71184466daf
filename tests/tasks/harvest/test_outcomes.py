"""What sites and yt-dlp really say, and the reason each must become.

``messages.yaml`` holds the words. They are driven through the exceptions that really arrive: most of them
are raised by an extractor inside a ``YoutubeDL``, which wraps, prefixes and colours them as it does in a build.
"""

from __future__ import annotations

import ast
import errno
import io
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
import yt_dlp
from hypothesis import given
from hypothesis import strategies as st
from yt_dlp.extractor.common import InfoExtractor
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
from yt_dlp.utils import ContentTooShortError, DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError

from data_specs.reasons import Reason, ReasonClass, reason_class
from tasks.harvest import outcomes
from tasks.harvest.outcomes import MAX_DETAIL_CHARS, classify, operator_fault, trimmed

VIDEO_ID = "-aB_c0000_1"


class Message(NamedTuple):
    """One entry of ``messages.yaml``."""

    text: str
    origin: str
    reason: Reason
    errno: int | None

    @property
    def words(self) -> str:
        """The text without what yt-dlp writes before the words of an extractor."""
        return re.sub(r"^(?:(?:ERROR|WARNING): *)?(?:\[(?!download)[\w:.]+\] (?:[^\s:]+: )?)?", "", self.text)


MESSAGES = [
    Message(entry["text"], entry["from"], Reason(entry["reason"]), getattr(errno, entry.get("errno", ""), None))
    for entry in yaml.safe_load((Path(__file__).parent / "messages.yaml").read_text(encoding="utf-8"))
]
SESSION = {Reason.RATE_LIMITED, Reason.BOT_CHECK, Reason.GEO_BLOCKED, Reason.AGE_RESTRICTED}


class _SayIE(InfoExtractor):
    """Raises what it is told to, as an extractor would."""

    _VALID_URL = r"say:(?P<id>.*)"
    IE_NAME = "generic"

    def __init__(self, words: str, expected: bool) -> None:
        super().__init__()
        self._words, self._expected = words, expected

    def _real_extract(self, url: str) -> dict[str, Any]:
        fail = partial(ExtractorError, self._words, expected=self._expected, video_id=self._match_id(url))
        status = re.search(r"HTTP Error (\d{3})", self._words)
        if status is None:
            raise fail()
        try:  # as in InfoExtractor._request_webpage
            raise _http_error(int(status[1]))
        except HTTPError as error:
            raise fail(cause=error) from error


def extracted(words: str, *, expected: bool, video_id: str = VIDEO_ID) -> BaseException:
    """What ``YoutubeDL`` raises where an extractor says ``words``."""
    with _ydl() as ydl:
        ydl.add_info_extractor(_SayIE(words, expected))
        with pytest.raises(DownloadError) as caught:
            ydl.extract_info(f"say:{video_id}")
    return caught.value


def reported(text: str) -> BaseException:
    """What ``YoutubeDL`` raises where a downloader gives up, outside of any other exception."""
    with _ydl() as ydl, pytest.raises(DownloadError) as caught:
        ydl.report_error(text)
    assert caught.value.exc_info is not None
    assert caught.value.exc_info[1] is None
    return caught.value


def _ydl() -> yt_dlp.YoutubeDL:
    return yt_dlp.YoutubeDL({"logger": _Silence(), "color": "always"}, auto_init=False)


class _Silence:
    def debug(self, message: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def error(self, message: str) -> None: ...


def shapes(message: Message) -> Iterator[tuple[str, BaseException]]:
    """The exceptions with which a message can arrive, by name."""
    for name, apostrophe in (("straight", "'"), ("typographic", "\u2019"), ("lost", "\ufffd")):
        words = re.sub("['\u2019\ufffd]", apostrophe, message.words)
        yield f"{name} from an extractor", extracted(words, expected=True)
        yield f"{name} from a downloader", reported(words)
    yield "unexpected, from an extractor", extracted(message.words, expected=False)
    yield "as it was reported", reported(message.text)
    yield "coloured", reported(f"\x1b[0;31mERROR:\x1b[0m \x1b[0;94m{message.words}\x1b[0m")
    yield "bare", RuntimeError(message.text)
    if message.reason in (Reason.NETWORK, Reason.TIMEOUT):
        yield "of the connection", _wrapped(TransportError(message.words))


@pytest.mark.parametrize("message", MESSAGES, ids=[f"{m.origin}:{m.text[:40]}" for m in MESSAGES])
def test_a_message_has_its_reason_in_every_shape(message: Message) -> None:
    for name, error in shapes(message):
        fault = classify(error)
        assert fault.reason is message.reason, name
        assert _skeleton(message.words)[:300] in _skeleton(fault.detail), name
        at_home = operator_fault(error)
        assert (at_home.errno if at_home else None) == message.errno, name


def test_the_corpus_is_wide() -> None:
    assert len(MESSAGES) >= 80
    assert len({message.text for message in MESSAGES}) == len(MESSAGES)
    ours = {Reason.DURATION_OUT_OF_RANGE, Reason.LICENSE_REFUSED, Reason.FORGOTTEN}  # no site says these
    of_harvest = set(list(Reason)[: list(Reason).index(Reason.FILE_MISSING)])
    assert {message.reason for message in MESSAGES} >= of_harvest - ours


@pytest.mark.slow
def test_yt_dlp_still_says_what_the_corpus_quotes() -> None:
    package = Path(yt_dlp.__file__).parents[1]
    for message in MESSAGES:
        if message.origin.startswith("yt_dlp/"):
            templates = set(_templates((package / message.origin).read_text(encoding="utf-8")))
            assert any(re.search(template, message.text) for template in templates), message


def _templates(source: str) -> Iterator[str]:
    """Each text in a module as a pattern, with anything where it puts a value; short ones would match everything."""
    for node in ast.walk(ast.parse(source)):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        texts = [part.value if isinstance(part, ast.Constant) else None for part in parts]
        if sum(len(text) for text in texts if isinstance(text, str)) >= 12:
            literal = ("%s" if text is None else str(text) for text in texts)
            yield re.sub(r"%[sdr]|\\\{\\\}", ".*", re.escape("".join(literal)))


@pytest.mark.parametrize("table", ["STATEMENTS", "FAULTS", "HINTS"])
def test_no_row_is_idle(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    rows = getattr(outcomes, table)
    for row in rows:
        monkeypatch.setattr(outcomes, table, tuple(other for other in rows if other is not row))
        assert any(classify(DownloadError(m.text)).reason is not m.reason for m in MESSAGES), row


def test_a_session_statement_outweighs_everything_beside_it() -> None:
    ours = [message for message in MESSAGES if message.reason in SESSION]
    for session in ours:
        for other in MESSAGES:
            for text in (f"{other.words}. {session.words}", f"{session.words}. {other.words}"):
                fault = classify(DownloadError(text))
                assert reason_class(fault.reason) is not ReasonClass.PERMANENT, (fault, text)


WORDS = st.one_of(st.text(), st.sampled_from([message.text for message in MESSAGES]))
HEADER = st.one_of(st.text(), st.integers().map(str), st.dates().map(lambda day: f"Wed, {day:%d %b %Y} 07:28:00 +9999"))


@given(words=st.lists(WORDS, min_size=1, max_size=4), header=HEADER, status=st.integers(100, 999), data=st.data())
def test_nothing_that_arrives_makes_it_fail(words: list[str], header: str, status: int, data: st.DataObject) -> None:
    error: BaseException = _http_error(status, header) if data.draw(st.booleans()) else KeyError(words[0])
    for text in words:
        wrap = data.draw(st.sampled_from(["extractor", "download", "transport", "oddly", "from"]))
        if wrap == "extractor":
            error = ExtractorError(text, cause=error, video_id=text[:11], ie=data.draw(st.sampled_from(["a", None])))
        elif wrap == "download":
            error = DownloadError(text, (type(error), error, None))
        elif wrap == "transport":
            error = TransportError(text, cause=data.draw(st.sampled_from([error, text, None])))
        elif wrap == "oddly":
            error = DownloadError(text, data.draw(st.sampled_from([None, (), (None,), text, (None, error)])))
        else:
            error.__cause__, error = error, OSError(text)
    fault = classify(error)
    assert fault.reason in Reason
    assert len(fault.detail) <= MAX_DETAIL_CHARS
    assert fault.retry_after_s is None or fault.retry_after_s >= 0
    operator_fault(error)


@pytest.mark.parametrize(
    "after", ["9" * 9, "Wed, 21 Oct 99999999999 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 +99999999"]
)
def test_a_server_may_ask_for_anything(after: str) -> None:
    assert classify(_http_error(429, after)).reason is Reason.RATE_LIMITED


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (302, "extraction_failed"),  # a redirect that leads to itself
        (400, "extraction_failed"),
        (401, "login_required"),
        (402, "rate_limited"),
        (403, "forbidden"),
        (404, "not_found"),
        (407, "network"),
        (408, "timeout"),
        (410, "removed"),
        (416, "truncated"),
        (418, "extraction_failed"),
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


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_link_that_the_page_listed_is_asked_for_again(status: int) -> None:
    http = _http_error(status)
    error = DownloadError(f"ERROR: unable to download video data: {http}", (HTTPError, http, None))
    assert classify(error).reason is Reason.EXTRACTION_FAILED


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
        (TransportError("Failed to resolve 'captcha.example'"), "network"),
        (ConnectionResetError(104, "reset"), "network"),
        (KeyError("formats"), "extraction_failed"),
        (ExtractorError("something that nobody has ever seen", expected=True), "extraction_failed"),
        (ExtractorError("Video unavailable. A sentence that nobody knows", expected=True), "extraction_failed"),
        (ExtractorError("Video unavailable", expected=True), "removed"),
    ],
)
def test_the_type_of_an_exception_decides_where_words_do_not(error: Exception, reason: str) -> None:
    assert classify(error).reason == Reason(reason)
    assert classify(_wrapped(error)).reason == Reason(reason)


@pytest.mark.parametrize("video_id", ["captcha", "private video: rate-limited", "this channel's members", "timeout"])
def test_an_id_is_not_read_as_a_statement(video_id: str) -> None:
    error = extracted("Unable to extract title", expected=False, video_id=video_id)
    assert video_id in str(error)
    assert classify(error).reason is Reason.EXTRACTION_FAILED


@pytest.mark.parametrize(
    "text",
    [
        "Unable to extract id; see https://site.example/private-video/members-only",
        "Unable to extract id of /srv/captcha/private-video/media.mp3",
        "[download] Got error: HTTPSConnectionPool(host='captcha.example', port=443): weird",
    ],
)
def test_an_address_in_a_message_is_not_read_as_a_statement(text: str) -> None:
    assert classify(ExtractorError(text, expected=True)).reason is Reason.EXTRACTION_FAILED


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Song about copyright: unable to extract data", "extraction_failed"),
        ("The history of trademarks - unable to extract data", "extraction_failed"),
        ("This video is no longer available due to a trademark claim by A", "copyright"),
        ("Error code: 152 - 4 This video is unavailable", "extraction_failed"),
        ("This video is unavailable\nError code: 152 - 4", "extraction_failed"),
        ("Offline.", "live"),
        ("Unable to extract the data of Offline", "extraction_failed"),
    ],
)
def test_a_word_is_not_a_statement(text: str, reason: str) -> None:
    for error in (ExtractorError(text, expected=True), extracted(text, expected=True), reported(text)):
        assert classify(error).reason == Reason(reason), error


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
    assert (
        trimmed("see https://me:hunter#2@host/x and https://site/@artist")
        == "see https://host/x and https://site/@artist"
    )
    assert len(trimmed("x" * 10_000)) == MAX_DETAIL_CHARS


def test_an_error_of_this_machine_is_told_apart() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert operator_fault(_wrapped(full)) is full
    assert operator_fault(_wrapped(ConnectionResetError(104, "reset"))) is None
    # a firewall may answer a connection with "permission denied"
    assert operator_fault(TransportError(cause=PermissionError(errno.EACCES, "Permission denied"))) is None
    # a full disk at the server is not ours
    assert operator_fault(_wrapped(_http_error(507, reason="No space left on device"))) is None


def _skeleton(text: str) -> str:
    """Words only: without marks, blanks and colours."""
    return re.sub(r"\W", "", re.sub(r"\x1b\[[\d;]*m", "", text))


def _wrapped(error: BaseException) -> DownloadError:
    return DownloadError(f"\x1b[0;31mERROR:\x1b[0m {error}", (type(error), error, None))


def _http_error(status: int, retry_after: str | None = None, reason: str | None = None) -> HTTPError:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return HTTPError(Response(io.BytesIO(b""), "http://site.example/x", headers, status, reason))
