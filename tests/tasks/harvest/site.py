"""A music site on the loopback interface with one address per kind of fault.

``/<fault>/<name>``: the fault says how the file ``<name>`` is served, see ``Site._answer``.
Faults with a number, ``429-2``, stop after that many requests for the address.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

from tasks.demo.encode import MEDIA_TYPES

PAGES = {
    "audio-tag": '<html><head><title>Song page</title></head><body><audio src="/ok/{name}"></audio></body></html>',
    "audio-tag-html": '<html><head><title>t</title></head><body><audio src="/bytes/{name}"></audio></body></html>',
    "several": '<html><body><audio src="/ok/{name}"></audio><audio src="/bytes/{name}"></audio></body></html>',
    "no-media": "<html><head><title>About us</title></head><body>We like songs.</body></html>",
    "bare-html": "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Hotel network</body></html>",
    "json-ld": (
        '<html><head><title>x</title><script type="application/ld+json">{{"@context": "https://schema.org", '
        '"@type": "AudioObject", "name": "Stated song", "duration": "PT{seconds}S", "uploadDate": "2024-02-03", '
        '"contentUrl": "{base}/ok/{name}"}}</script></head><body></body></html>'
    ),
}
MEDIA_TYPE = {f".{container}": kind for container, kind in MEDIA_TYPES.items()} | {
    ".ts": "video/mp2t",
    ".m3u8": "application/vnd.apple.mpegurl",
}


class Site:
    """Serves ``files`` (name to content) until the ``with`` block ends; ``requests`` counts per path."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: Counter[str] = Counter()
        self.retry_after = "0"
        self._stop = threading.Event()
        handler = type("Handler", (_Handler,), {"site": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Site:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: _Handler) -> None:
        path = urlsplit(request.path).path
        self.requests[path] += 1
        fault, _, name = path.strip("/").partition("/")
        kind, _, count = fault.partition("-") if fault.split("-")[-1].isdigit() else (fault, "", "")
        if count and self.requests[path] > int(count):
            kind = "ok"
        if kind in PAGES:
            seconds = name.partition(".")[0].rpartition("-")[2]
            request.send_page(PAGES[kind].format(name=name, base=self.url, seconds=seconds))
        elif kind.isdigit():
            request.send_status(int(kind), self.retry_after if kind in ("429", "503") else None)
        elif kind == "redirect":
            request.send_redirect(f"/ok/{name}")
        elif name not in self.files and kind != "bytes":
            request.send_status(404, None)
        elif kind == "bytes":
            request.send_page(PAGES["bare-html"])
        else:
            self._send_file(request, kind, name)

    def _send_file(self, request: _Handler, kind: str, name: str) -> None:
        body = self.files[name]
        first = request.first_byte() if kind != "norange" else 0
        request.send_head(name, len(body), first)
        if kind == "hang":
            self._stop.wait(30)
        elif kind == "slow":
            for begin in range(first, len(body), 16_384):
                request.wfile.write(body[begin : begin + 16_384])
                time.sleep(0.05)
        elif kind == "cut":  # half of what was promised, then the line goes dead
            request.wfile.write(body[first : first + max(1, (len(body) - first) // 2)])
            request.wfile.flush()
            request.connection.shutdown(socket.SHUT_RDWR)
            request.close_connection = True
        elif kind == "endless":
            while not self._stop.is_set():
                request.wfile.write(body)
        else:
            request.wfile.write(body[first:])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal: a test asserts that."""

    def do_GET(self) -> None:
        self.site.answer(self)

    def first_byte(self) -> int:
        wanted = self.headers.get("Range", "")
        return int(wanted.removeprefix("bytes=").partition("-")[0] or 0) if wanted.startswith("bytes=") else 0

    def send_head(self, name: str, num_bytes: int, first: int) -> None:
        endless = self.path.startswith("/endless/")
        self.send_response(206 if "Range" in self.headers and not self.path.startswith("/norange/") else 200)
        self.send_header("Content-Type", MEDIA_TYPE.get("." + name.rpartition(".")[2], "application/octet-stream"))
        if endless:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(num_bytes - first))
            self.send_header("Content-Range", f"bytes {first}-{num_bytes - 1}/{num_bytes}")
        self.end_headers()

    def send_page(self, html: str) -> None:
        self.send_response(200)
        self._send_body(html.encode(), "text/html; charset=utf-8")

    def send_status(self, status: int, retry_after: str | None) -> None:
        self.send_response(status)
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self._send_body(b"no", "text/plain")

    def send_redirect(self, path: str) -> None:
        self.send_response(302)
        self.send_header("Location", path)
        self._send_body(b"", "text/plain")

    def _send_body(self, body: bytes, media_type: str) -> None:
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
