"""What YouTube's servers answer to yt-dlp's own YouTube extractor, on the loopback interface.

Only the addresses are ours: the extractor argument ``innertube_host`` leads its calls here, over TLS with a
certificate that is made when the site starts. ``/youtubei/v1/player`` says what may be played and where,
``/youtubei/v1/next`` is the page around it, ``/videoplayback`` the media.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import select
import socket
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MEDIA_TYPES = {
    18: 'video/mp4; codecs="avc1.42001E, mp4a.40.2"',
    140: 'audio/mp4; codecs="mp4a.40.2"',
    249: 'audio/webm; codecs="opus"',
    251: 'audio/webm; codecs="opus"',
}


@dataclass(frozen=True, kw_only=True)
class Video:
    """One video and how the site treats whoever asks for it."""

    formats: dict[int, bytes] = field(default_factory=dict)
    """Media by itag."""
    duration_s: int = 4
    title: str = "A title"
    description: str = ""
    channel: str = "A channel"
    license: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    """Further ``videoDetails``."""
    player: dict[str, Any] = field(default_factory=dict)
    """Further fields of the player's answer."""
    status: str = "OK"
    reason: str | None = None
    subreason: str | None = None
    player_http_status: int = 200
    page_http_status: int = 200
    media: str = "whole"
    """``whole``, ``cut`` (half, then the line goes dead) or an HTTP status."""


class YouTubeSite:
    """Serves ``videos`` by id until the ``with`` block ends; ``requests`` counts per path.

    ``folder`` takes the certificate.
    """

    def __init__(self, folder: Path) -> None:
        self.videos: dict[str, Video] = {}
        self.requests: Counter[str] = Counter()
        self.cookies: dict[str, str] = {}
        """The latest ``Cookie`` header per path."""
        self.times_s: dict[str, float] = {}
        """When each path was last asked for, by a clock that only runs forward."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_self_signed(folder))
        handler = type("Handler", (_Handler,), {"site": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> YouTubeSite:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def player(self, video_id: str) -> dict[str, Any]:
        """The answer of ``/youtubei/v1/player``."""
        video = self.videos.get(video_id, Video(status="ERROR", reason="Video unavailable"))
        error = {"reason": {"simpleText": video.reason}, "subreason": {"simpleText": video.subreason}}
        return {
            "playabilityStatus": {
                "status": video.status,
                "reason": video.reason,
                "errorScreen": {"playerErrorMessageRenderer": error} if video.subreason else {},
            },
            "streamingData": {
                "adaptiveFormats": [self._format(video_id, video, itag) for itag in video.formats if itag != 18],
                "formats": [self._format(video_id, video, itag) for itag in video.formats if itag == 18],
            },
            "videoDetails": {
                "videoId": video_id,
                "title": video.title,
                "lengthSeconds": str(video.duration_s),
                "channelId": "UC" + "x" * 22,
                "shortDescription": video.description,
                "author": video.channel,
                "keywords": ["one", "two"],
                "isLiveContent": False,
                **video.details,
            },
            "microformat": {
                "playerMicroformatRenderer": {"category": "Music", "uploadDate": "2024-02-03T00:00:00-08:00"}
            },
            **video.player,
        }

    def page(self, video_id: str) -> dict[str, Any]:
        """The answer of ``/youtubei/v1/next``: what stands around the player."""
        video = self.videos.get(video_id, Video())
        row = {"metadataRowRenderer": {"title": {"simpleText": "License"}, "contents": [{"simpleText": video.license}]}}
        about = {
            "owner": {"videoOwnerRenderer": {"title": {"runs": [{"text": video.channel}]}}},
            "metadataRowContainer": {"metadataRowContainerRenderer": {"rows": [row] if video.license else []}},
        }
        contents = [{"videoPrimaryInfoRenderer": {}}, {"videoSecondaryInfoRenderer": about}]
        return {"contents": {"twoColumnWatchNextResults": {"results": {"results": {"contents": contents}}}}}

    def _format(self, video_id: str, video: Video, itag: int) -> dict[str, Any]:
        return {
            "itag": itag,
            "url": f"https://{self.host}/videoplayback?id={video_id}&itag={itag}&expire=9999999999&ip=192.0.2.7",
            "mimeType": MEDIA_TYPES[itag],
            "bitrate": {18: 600_000, 140: 129_000, 249: 50_000, 251: 137_000}[itag],
            "contentLength": str(len(video.formats[itag])),
            "audioQuality": "AUDIO_QUALITY_LOW" if itag == 249 else "AUDIO_QUALITY_MEDIUM",
            "quality": "medium" if itag == 18 else "tiny",
            "approxDurationMs": str(video.duration_s * 1000),
            "audioSampleRate": "44100" if itag in (18, 140) else "48000",
            "audioChannels": 2,
            **({"width": 640, "height": 360, "fps": 25} if itag == 18 else {}),
        }


class Tunnel:
    """An HTTP proxy (RFC 9110, 9.3.6, CONNECT) that leads every tunnel to one host; ``targets`` are those asked for."""

    def __init__(self, host: str) -> None:
        self.targets: list[str] = []
        self.leads_to = (host.partition(":")[0], int(host.partition(":")[2]))
        self._server = _Server(("127.0.0.1", 0), type("TunnelHandler", (_TunnelHandler,), {"tunnel": self}))
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Tunnel:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: YouTubeSite

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal: a test asserts that."""

    def do_POST(self) -> None:
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["videoId"]
        path = self._count()
        video = self.site.videos.get(wanted, Video())
        if path == "/youtubei/v1/player":
            status, answer = video.player_http_status, self.site.player(wanted)
        else:
            status, answer = video.page_http_status, self.site.page(wanted)
        self._send(status, json.dumps(answer if status == 200 else {}).encode(), "application/json")

    def do_GET(self) -> None:
        path, query = self._count(), parse_qs(urlsplit(self.path).query)
        if path != "/videoplayback":
            self._send(404, b"no", "text/plain")
            return
        video, itag = self.site.videos[query["id"][0]], int(query["itag"][0])
        if video.media.isdigit():
            self._send(int(video.media), b"no", "text/plain")
            return
        body, first = video.formats[itag], 0
        if self.headers.get("Range"):
            first = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
        half = max(1, (len(body) - first) // 2)
        headers = {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"} if first else {}
        self._send(
            206 if first else 200, body[first:], MEDIA_TYPES[itag], headers, half if video.media == "cut" else None
        )

    def _count(self) -> str:
        path = urlsplit(self.path).path
        self.site.requests[path] += 1
        self.site.times_s[path] = time.monotonic()
        self.site.cookies[path] = self.headers.get("Cookie", "")
        return path

    def _send(
        self, status: int, body: bytes, media_type: str, headers: dict[str, str] | None = None, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": media_type, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True


class _TunnelHandler(BaseHTTPRequestHandler):
    tunnel: Tunnel

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal: a test asserts that."""

    def do_CONNECT(self) -> None:
        self.tunnel.targets.append(self.path)
        with socket.create_connection(self.tunnel.leads_to) as site:
            self.send_response(200)
            self.end_headers()
            both = {self.connection: site, site: self.connection}
            while True:
                for ready in select.select(list(both), [], [], 10)[0]:
                    piece = ready.recv(65_536)
                    if not piece:
                        return
                    both[ready].sendall(piece)


def _self_signed(folder: Path) -> Path:
    """One PEM file with a new key and a certificate for the loopback address, valid for a day."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")]),
    )
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    certificate = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    path = folder / "loopback.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
