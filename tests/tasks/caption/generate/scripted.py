"""A server of chat completions on a real socket that does what a script says, faults included."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile

from data_specs.music_llms import MusicLLM
from tasks.caption.generate.request import AudioSpan, Request

MODEL = MusicLLM(
    name="music-llm",
    weights="somebody/music-llm",
    license="Apache-2.0",
    commercial_use=True,
    audio_tokens_per_s=25,
    hears_s=600,
    context_tokens=16384,
)
SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, kw_only=True)
class Say:
    """One answer of the server."""

    status: int = 200
    body: bytes | dict[str, Any] | None = None
    """None: a completion that repeats the question."""
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    breaks_off: bool = False
    """Half the body, then a reset."""
    dies: bool = False
    """The engine dies: all in flight get a 500, /health says 503 for a moment, then nobody listens."""


OK = Say()


def error(status: int, message: str, **headers: str) -> Say:
    """An error as vLLM words it."""
    return Say(status=status, body={"error": {"message": message, "type": "x", "code": status}}, headers=headers)


def completion(text: str, finish: str = "stop", details: Any = ...) -> dict[str, Any]:
    details = {"multimodal_tokens": {"audio": 1500}, "cached_tokens": None} if details is ... else details
    usage = {"prompt_tokens": 1540, "completion_tokens": 7, "prompt_tokens_details": details}
    return {"choices": [{"message": {"content": text}, "finish_reason": finish}], "usage": usage}


class ScriptedServer:
    """A context manager; ``script`` chooses the answer by the text of the question."""

    def __init__(self, script: Callable[[str], Say] = lambda text: OK, *, port: int = 0, up: bool = True) -> None:
        self.script = script
        self.model = MODEL.name
        self.key = ""
        self.restarts_after_s: float | None = None
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.most_at_once = 0
        self.num_hung_up = 0
        self._num_at_once = 0
        self._guard = threading.Lock()
        self._dead = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._connections: set[socket.socket] = set()
        self.port = port
        if up:
            self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def texts(self) -> list[str]:
        return [text_of(body) for body in self.bodies]

    def say(self, body: dict[str, Any]) -> Say:
        """The answer to a request."""
        return self.script(text_of(body))

    def start(self) -> None:
        owner = self

        class Handler(_Handler):
            scripted = owner

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the client hung up, or we did

        self._dead = threading.Event()
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """As if killed: nobody listens, and every connection is reset."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        with self._guard:
            for connection in self._connections:
                reset(connection)
            self._connections.clear()

    def die(self) -> None:
        """As vLLM does when its engine dies."""
        self._dead.set()

        def leave() -> None:
            time.sleep(0.15)
            self.stop()
            if self.restarts_after_s is not None:
                time.sleep(self.restarts_after_s)
                self.start()

        threading.Thread(target=leave, daemon=True).start()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.restarts_after_s = None
        self.stop()

    def enter(self) -> None:
        with self._guard:
            self._num_at_once += 1
            self.most_at_once = max(self.most_at_once, self._num_at_once)

    def leave(self) -> None:
        with self._guard:
            self._num_at_once -= 1


class _Handler(BaseHTTPRequestHandler):
    scripted: ScriptedServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.dead = self.scripted._dead
        with self.scripted._guard:
            self.scripted._connections.add(self.connection)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.scripted.paths.append(self.path)
        if self.path == "/health":
            self._send(Say(status=503 if self.dead.is_set() else 200, body=b""))
        elif self._has_key():
            self._send(Say(body={"data": [{"id": self.scripted.model}]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._has_key():
            return
        self.scripted.bodies.append(body)
        self.scripted.enter()
        try:
            say = self.scripted.say(body)
            if say.dies:
                self.scripted.die()
            if self._think(say.after_s):
                say = error(500, "EngineCore encountered an issue. See stack trace (above) for the root cause.")
            self._send(say, completion(f"about {text_of(body)}"))
        finally:
            self.scripted.leave()

    def _think(self, for_s: float) -> bool:
        """Whether the engine died meanwhile."""
        until = time.monotonic() + for_s
        while time.monotonic() < until and not self.dead.wait(0.05):
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(1, socket.MSG_PEEK):
                self.scripted.num_hung_up += 1
                raise ConnectionResetError
        return self.dead.is_set()

    def _has_key(self) -> bool:
        if not self.scripted.key or self.headers["Authorization"] == f"Bearer {self.scripted.key}":
            return True
        self._send(Say(status=401, body={"error": f"Unauthorized: {self.headers['Authorization']}"}))
        return False

    def _send(self, say: Say, default: dict[str, Any] | None = None) -> None:
        body = default if say.body is None else say.body
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(say.status)
        for name, value in say.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data[: len(data) // 2] if say.breaks_off else data)
            self.wfile.flush()
        if say.breaks_off:
            reset(self.connection)
            self.close_connection = True


def reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()


def text_of(body: dict[str, Any]) -> str:
    content = body["messages"][1]["content"]
    return str(next(part["text"] for part in content if part["type"] == "text"))


def noise(path: Path, duration_s: float = 4.0, seed: int = 0) -> np.ndarray:
    """Write 16 kHz mono FLAC of 16 bits; returns its samples."""
    pcm_n = np.random.default_rng(seed).integers(-8000, 8000, round(duration_s * SAMPLE_RATE_HZ)).astype(np.int16)
    soundfile.write(path, pcm_n, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return pcm_n


def question(text: str = "Describe.", audio: AudioSpan | None = None, **changes: Any) -> Request:
    fields: dict[str, Any] = {
        "track_id": text,
        "model": MODEL.name,
        "weights": MODEL.weights,
        "system": "You describe music.",
        "text": text,
        "audio": audio,
        "schema": {"type": "object"},
        "max_tokens": 100,
        "temperature": 0.7,
        "top_p": 0.95,
        "seed": 1,
    }
    return Request(**fields | changes)


def span(path: Path, start_s: float = 0.0, end_s: float = 4.0, *, whole: bool = True) -> AudioSpan:
    return AudioSpan(path=path, pcm_sha256="0" * 64, start_s=start_s, end_s=end_s, whole=whole)
