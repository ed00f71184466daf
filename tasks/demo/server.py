"""How the demo's site answers: pages, media with ranges, and the faults of broken pages."""

from __future__ import annotations

import logging
import re
import sys
from concurrent.futures import CancelledError, Future
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from data_specs.spec import RenderedSource
from tasks.demo.catalogue import HOST, Entry, Fault, find_entry
from tasks.demo.encode import MEDIA_TYPES
from tasks.demo.pages import list_page, song_page
from tasks.demo.store import SongStore

logger = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""A client hears from us at least this often."""

_CHUNK_BYTES = 1 << 18
_HUNG_UP = (ConnectionError, CancelledError)
"""The client left, or the site closed before a song's turn to be rendered."""

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class SiteServer(ThreadingHTTPServer):
    """Listens from the moment it is made; one thread a connection."""

    allow_reuse_address = True
    daemon_threads = True
    # The default of 5 refuses connections when a harvest starts with more workers than that.
    request_queue_size = 128

    def __init__(self, source: RenderedSource, cache: Path) -> None:
        self.source = source
        self.store = SongStore(source, cache)
        super().__init__((HOST, source.port), _Handler)

    def server_close(self) -> None:
        """Stop listening, then let the song in hand be finished."""
        super().server_close()
        self.store.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is its own business; anything else is ours and goes to the log."""
        error = sys.exception()
        if isinstance(error, _HUNG_UP):
            logger.debug("%s or this site hung up", client_address)
        elif isinstance(error, OSError):
            logger.error("failed to answer %s: %s", client_address, error)  # a full disk, say: no fault of this code
        else:
            logger.exception("failed to answer %s", client_address)


class _Handler(BaseHTTPRequestHandler):
    server: SiteServer
    protocol_version = "HTTP/1.1"
    server_version = "collap-demo"
    sys_version = ""
    timeout = 60.0
    _head_sent = False

    def do_GET(self) -> None:
        """Answer one request, at worst with an apology."""
        try:
            self._answer()
        except (*_HUNG_UP, TimeoutError):
            raise
        except Exception:
            if not self._head_sent:
                self._send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Requests are logged at debug level, not printed."""
        logger.debug(format, *args)

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        if path == "/":
            self._send_html(list_page(self.server.source))
            return
        folder, _, name = path.removeprefix("/").partition("/")
        stem, _, suffix = name.partition(".")
        entry = find_entry(self.server.source, stem)
        if entry is not None and folder == "songs" and not suffix:
            self._send_html(song_page(self.server.source, entry))
        elif entry is not None and folder == "media" and suffix == entry.container:
            self._send_media(entry)
        else:
            self._send_error(HTTPStatus.NOT_FOUND)

    def _send_media(self, entry: Entry) -> None:
        match entry.fault:
            case Fault.NO_MEDIA:
                self._send_error(HTTPStatus.NOT_FOUND)
            case Fault.FORBIDDEN:
                self._send_error(HTTPStatus.FORBIDDEN)
            case Fault.NOT_AUDIO:
                self._send_html("<!doctype html><title>Sign in</title><p>Sign in to go on.</p>")
            case _:
                path = self._await(self.server.store.media(entry))
                self._send_file(path, MEDIA_TYPES[entry.container], entry.fault)

    def _await(self, rendering: Future[Path]) -> Path:
        """Wait for a file without letting the client time out, however many songs are before it in the queue."""
        while not rendering.done():
            try:
                # Unlike wait(), this also wakes up for a rendering that is cancelled.
                rendering.exception(timeout=PATIENCE_S)
            except TimeoutError:
                # Clients skip any number of these interim answers, and each restarts their clock.
                self.send_response_only(HTTPStatus.CONTINUE)
                self.end_headers()
        return rendering.result()

    def _send_file(self, path: Path, media_type: str, fault: Fault | None) -> None:
        size = path.stat().st_size
        span = _parse_range(self.headers.get("Range"), size)
        if span is None:
            self._send_head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, {"Content-Range": f"bytes */{size}"})
            return
        first, last = span
        headers = {"Content-Type": media_type, "Accept-Ranges": "bytes"}
        status = HTTPStatus.OK
        if (first, last) != (0, size - 1):
            status = HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._send_head(status, last - first + 1, headers)
        # A truncated file never yields its second half, or resumed downloads would complete it piece by piece.
        end = min(last + 1, size // 2) if fault is Fault.TRUNCATED else last + 1
        if self.command == "GET":
            with path.open("rb") as file:
                file.seek(first)
                for start in range(first, end, _CHUNK_BYTES):
                    self.wfile.write(file.read(min(_CHUNK_BYTES, end - start)))

    def _send_html(self, html: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        content = html.encode()
        self._send_head(status, len(content), {"Content-Type": "text/html; charset=utf-8"})
        if self.command == "GET":
            self.wfile.write(content)

    def _send_error(self, status: HTTPStatus) -> None:
        self._send_html(f"<!doctype html><title>{status} {status.phrase}</title>", status)

    def _send_head(self, status: HTTPStatus, num_bytes: int, headers: dict[str, str]) -> None:
        self._head_sent = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(num_bytes))
        # One request a connection: none is left idle when the site closes, and truncation shows at once.
        self.send_header("Connection", "close")
        self.end_headers()


def _parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header; the whole file without one, None beyond its end.

    As RFC 9110 wants, a header that is not understood (several ranges, other units) is ignored.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return 0, size - 1
    first, last = match.groups()
    if not first:  # the last so many bytes
        return (max(0, size - int(last)), size - 1) if int(last) else None
    span = int(first), min(int(last), size - 1) if last else size - 1
    return span if span[0] <= span[1] else None
