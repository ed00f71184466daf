"""A hub of one repository on the loopback, as far as huggingface_hub's upload and download go."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "c0ffee" + "0" * 34


class Hub(ThreadingHTTPServer):
    """``files`` is what was committed, ``created`` what was asked of ``create_repo``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tokens.add(self.headers["Authorization"])
        if self.path == "/api/repos/create":
            wanted = json.loads(body)
            self.server.created.append(wanted)
            self._answer({"url": f"{self.server.url}/{wanted['organization']}/{wanted['name']}"})
        elif self.path == "/api/validate-yaml":
            assert json.loads(body)["content"].startswith("---\nlibrary_name: collap")
            self._answer({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [
                {"path": item["path"], "uploadMode": "regular", "shouldIgnore": False}
                for item in json.loads(body)["files"]
            ]
            self._answer({"files": files})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self._answer(
                {"commitUrl": f"{self.server.url}/me/songs/commit/{COMMIT}", "commitOid": COMMIT, "success": True}
            )
        else:
            self.send_error(404)

    def do_GET(self) -> None:
        if re.fullmatch(r"/api/models/me/songs(/revision/[^/?]+)?(\?.*)?", self.path) and self.server.files:
            siblings = [{"rfilename": name} for name in self.server.files]
            self._answer({"id": "me/songs", "sha": COMMIT, "siblings": siblings, "private": True, "tags": []})
        elif self.path.startswith("/api/models/me/songs/tree/"):
            self._answer(
                [{"type": "file", "path": n, "size": len(c), "oid": _sha(c)} for n, c in self.server.files.items()]
            )
        elif (name := self.path.removeprefix(f"/me/songs/resolve/{COMMIT}/")) in self.server.files:
            self._send(self.server.files[name], {"ETag": f'"{_sha(self.server.files[name])}"', "X-Repo-Commit": COMMIT})
        else:
            self._send(b"", {"X-Error-Code": "RepoNotFound"}, status=404)

    do_HEAD = do_GET

    def _answer(self, value: object) -> None:
        self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send(self, body: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _sha(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    with Hub() as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()
