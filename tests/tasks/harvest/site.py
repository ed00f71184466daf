"""A music site on the loopback interface with one address per kind of fault.

``/<fault>/<name>``: the fault says how the file ``<name>`` is served; ``ANSWERS`` lists them all, and an HTTP
status is one too. With a number, ``503-2``, it stops after that many requests for the address.
"""

from __future__ import annotations

import gzip
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

from tasks.demo.encode import MEDIA_TYPES

MEDIA_TYPE = {f".{container}": kind for container, kind in MEDIA_TYPES.items()} | {
    ".mp4": "video/mp4",
    ".ts": "video/mp2t",
    ".m3u8": "application/vnd.apple.mpegurl",
}
LONGEST_HANG_S = 30.0


class Site:
    """Serves ``files`` (name to content) until the ``with`` block ends; ``requests`` counts per path."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: Counter[str] = Counter()
        self.retry_after = "0"
        self.stopped = threading.Event()
        handler = type("Handler", (Request,), {"site": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Site:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request) -> None:
        path = urlsplit(request.path).path
        self.requests[path] += 1
        fault, _, name = path.strip("/").partition("/")
        kind, _, count = fault.rpartition("-")
        if not kind or not count.isdigit():
            kind = fault
        elif self.requests[path] > int(count):
            kind = "ok"
        if kind.isdigit():
            _status(int(kind), request)
        elif kind in ANSWERS:
            ANSWERS[kind](request, name)
        else:
            _status(404, request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is part of the tests."""


class Request(BaseHTTPRequestHandler):
    """One request and the means to answer it."""

    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal: a test asserts that."""

    def do_GET(self) -> None:
        self.site.answer(self)

    def send(self, status: int, body: bytes = b"", media_type: str = "text/plain", **headers: str) -> None:
        self._send_head(status, {"Content-Type": media_type, "Content-Length": str(len(body)), **headers})
        self.wfile.write(body)

    def begin(self, name: str, *, ranges: bool = True, num_bytes: int | None = None, **headers: str) -> bytes:
        """Send the head for the file ``name`` and return the body that belongs to it.

        Args:
            num_bytes: the length to state, where that is not the real one; 0 states none.
        """
        body = self.site.files[name]
        wanted = self.headers.get("Range", "") if ranges else ""
        first = int(wanted.removeprefix("bytes=").partition("-")[0] or 0) if wanted.startswith("bytes=") else 0
        stated = len(body) if num_bytes is None else num_bytes
        lengths = {"Content-Length": str(stated - first), "Content-Range": f"bytes {first}-{stated - 1}/{stated}"}
        media_type = MEDIA_TYPE.get("." + name.rpartition(".")[2], "application/octet-stream")
        self._send_head(206 if wanted else 200, {"Content-Type": media_type, **(lengths if stated else {}), **headers})
        return body[first:]

    def hang_up(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _send_head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()


Answer = Callable[[Request, str], None]


def _ok(request: Request, name: str) -> None:
    if name in request.site.files:
        request.wfile.write(request.begin(name))
    else:
        _status(404, request)


def _without_ranges(request: Request, name: str) -> None:
    request.wfile.write(request.begin(name, ranges=False))


def _status(status: int, request: Request) -> None:
    asks = {"Retry_After": request.site.retry_after} if status in (429, 503) else {}
    request.send(status, b"no", **asks)


def _too_many_until(request: Request, name: str) -> None:
    request.send(429, b"no", Retry_After=formatdate(time.time() + 60, usegmt=True))


def _elsewhere(status: int, address: str, request: Request, name: str) -> None:
    request.send(status, Location=address.format(name=name))


def _challenge(request: Request, name: str) -> None:
    page = b"<html><head><title>Just a moment...</title></head><body></body></html>"
    request.send(403, page, "text/html", cf_mitigated="challenge")


def _hang_before(request: Request, name: str) -> None:
    request.site.stopped.wait(LONGEST_HANG_S)
    request.close_connection = True


def _hang_inside(request: Request, name: str) -> None:
    request.begin(name)
    request.site.stopped.wait(LONGEST_HANG_S)
    request.close_connection = True


def _slow(request: Request, name: str) -> None:
    body = request.begin(name)
    for begin in range(0, len(body), 16_384):
        request.wfile.write(body[begin : begin + 16_384])
        time.sleep(0.05)


def _cut(request: Request, name: str) -> None:
    """Half of what was promised, then the line goes dead."""
    body = request.begin(name)
    request.wfile.write(body[: max(1, len(body) // 2)])
    request.hang_up()


def _stating(share: float, request: Request, name: str) -> None:
    """The whole file under a wrong length."""
    request.wfile.write(request.begin(name, num_bytes=int(len(request.site.files[name]) * share)))
    request.hang_up()


def _chunked(whole: bool, request: Request, name: str) -> None:
    """Of no stated length (RFC 9112, 7.1); ends properly or in the middle of a chunk."""
    body = request.begin(name, ranges=False, num_bytes=0, Transfer_Encoding="chunked")
    half = len(body) // 2
    request.wfile.write(b"%x\r\n%s\r\n" % (half, body[:half]))
    rest = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body) - half, body[half:])
    request.wfile.write(rest if whole else rest[: half // 2])
    request.hang_up()


def _compressed(request: Request, name: str) -> None:
    request.send(200, gzip.compress(request.site.files[name]), "audio/mpeg", Content_Encoding="gzip")


def _endless(request: Request, name: str) -> None:
    body = request.begin(name, ranges=False, num_bytes=0, Connection="close")
    while not request.site.stopped.is_set():
        request.wfile.write(body)


def _without_end(piece: bytes, every_s: float, request: Request, name: str) -> None:
    """The same piece for ever; as a page unless the name is that of a medium."""
    kind = MEDIA_TYPE.get("." + name.rpartition(".")[2], "text/html; charset=utf-8")
    request._send_head(200, {"Content-Type": kind, "Connection": "close"})
    while not request.site.stopped.wait(every_s):
        request.wfile.write(piece)


def _reset(request: Request, name: str) -> None:
    """RST instead of an answer."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(request.connection.detach())
    request.close_connection = True


def _instead(body: bytes, media_type: str | None, request: Request, name: str) -> None:
    """Something else under the name of a song, and by default under its media type."""
    request.send(200, body, media_type or MEDIA_TYPE["." + name.rpartition(".")[2]])


def _page(html: str, request: Request, name: str) -> None:
    seconds = name.partition(".")[0].rpartition("-")[2]  # stated-300.mp3
    html = html.format(name=name, base=request.site.url, seconds=seconds)
    request.send(200, html.encode(), "text/html; charset=utf-8")


def _playlist(pieces: dict[int, str], live: bool, request: Request, name: str) -> None:
    """An HLS playlist among the files with some of its pieces behind a fault; ``live`` leaves its end open."""
    lines, number = [], 0
    for line in request.site.files[name].decode().splitlines():
        if line and not line.startswith("#"):
            line = f"/{pieces.get(number, 'ok')}/{line}"
            number += 1
        if not live or line not in ("#EXT-X-ENDLIST", "#EXT-X-PLAYLIST-TYPE:VOD"):
            lines.append(line)
    request.send(200, "\n".join([*lines, ""]).encode(), MEDIA_TYPE[".m3u8"])


_LOGIN = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Hotel network</body></html>"
_LISTING = '<html><head><title>Song page</title></head><body><audio src="/{fault}/{{name}}"></audio></body></html>'
_STATING = (
    '<html><head><title>x</title><script type="application/ld+json">{{"@context": "https://schema.org", '
    '"@type": "AudioObject", "name": "Stated song", "duration": "PT{seconds}S", "uploadDate": "2024-02-03", '
    '"contentUrl": "{base}/ok/{name}"}}</script></head><body></body></html>'
)

ANSWERS: dict[str, Answer] = {
    "ok": _ok,
    "norange": _without_ranges,
    "slow": _slow,
    "chunked": partial(_chunked, True),
    "gzip": _compressed,
    # sent elsewhere
    "redirect": partial(_elsewhere, 302, "/ok/{name}"),
    "redirect-loop": partial(_elsewhere, 302, "/redirect-loop/{name}"),
    "redirect-page": partial(_elsewhere, 301, "/no-media/page"),
    # refused
    "429-date": _too_many_until,
    "challenge": _challenge,
    "reset": _reset,
    # broken off
    "hang-before": _hang_before,
    "hang": _hang_inside,
    "cut": _cut,
    "chunked-cut": partial(_chunked, False),
    "states-more": partial(_stating, 1.5),
    "states-less": partial(_stating, 0.5),
    "empty": partial(_instead, b"", None),
    "endless": _endless,
    "endless-page": partial(_without_end, b"<p>" * 30_000, 0.0),
    "trickle": partial(_without_end, b"<", 0.05),
    # something else
    "bytes": partial(_instead, _LOGIN.encode(), "text/html; charset=utf-8"),
    "html-as-audio": partial(_instead, _LOGIN.encode(), None),
    "json": partial(_instead, b'{"error": "no such song"}', "application/json"),
    "json-as-audio": partial(_instead, b'{"error": "no such song"}', None),
    # pages
    "audio-tag": partial(_page, _LISTING.format(fault="ok")),
    "audio-tag-html": partial(_page, _LISTING.format(fault="bytes")),
    "audio-tag-refused": partial(_page, _LISTING.format(fault="403")),
    "audio-tag-gone": partial(_page, _LISTING.format(fault="404")),
    "json-ld": partial(_page, _STATING),
    "several": partial(_page, '<html><audio src="/ok/{name}"></audio><audio src="/bytes/{name}"></audio></html>'),
    "no-media": partial(_page, "<html><head><title>About us</title></head><body>We like songs.</body></html>"),
    "bot-page": partial(_page, "<html><body>Sign in to confirm you’re not a bot</body></html>"),
    # streams in pieces
    "hls": partial(_playlist, {}, False),
    "hls-hole": partial(_playlist, {3: "404"}, False),
    "hls-late": partial(_playlist, {3: "503-1"}, False),
    "hls-down": partial(_playlist, {3: "503"}, False),
    "hls-empty": partial(_playlist, {3: "empty"}, False),
    "hls-cut": partial(_playlist, {3: "states-less"}, False),
    "hls-live": partial(_playlist, {}, True),
}
