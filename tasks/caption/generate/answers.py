"""What a model has answered, in one SQLite file of the workspace: no question is asked twice.

An answer is stored before anybody uses it, so a build that is killed goes on with those it has. Processes
and threads may share the file (write-ahead log, one connection per thread).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tasks.caption.generate.request import Answer, Generator, Request
from tasks.engine.errors import BuildError, operator_error

FILE = "answers.sqlite"
LOCKED_WITHIN_S = 60.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, track_id TEXT NOT NULL, model TEXT NOT NULL, text TEXT NOT NULL, finish TEXT NOT NULL,
    audio_tokens INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, created REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS answers_by_track ON answers (track_id);
"""
_T = TypeVar("_T")


class Answers:
    """The open store; a context manager.

    Raises:
        BuildError: the file cannot be made, read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own = threading.local()
        self._guard = threading.Lock()
        self._connections: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise operator_error(error) or self._unusable(error) from error
        self._do(lambda connection: connection.executescript(_SCHEMA))

    def get(self, key: str) -> Answer | None:
        """The answer to the question of this key, if there is one."""
        row = self._do(
            lambda connection: connection.execute(
                "SELECT text, finish, audio_tokens, prompt_tokens, output_tokens FROM answers WHERE key = ?", (key,)
            ).fetchone()
        )
        if row is None:
            return None
        text, finish, audio_tokens, prompt_tokens, output_tokens = row
        return Answer(
            text=text,
            finish=finish,
            audio_tokens=audio_tokens,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
        )

    def put(self, request: Request, answer: Answer) -> None:
        """Keep an answer; the first one stays, as captions may have been made of it."""
        values = (answer.text, answer.finish, answer.audio_tokens, answer.prompt_tokens, answer.output_tokens)
        self._do(
            lambda connection: connection.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (request.key, request.track_id, request.weights, *values, time.time()),
            )
        )

    def forget(self, track_ids: Iterable[str]) -> int:
        """Remove the answers about these tracks, so that nothing of them stays in the file; how many there were."""

        def remove(connection: sqlite3.Connection) -> int:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                before = connection.total_changes
                connection.executemany("DELETE FROM answers WHERE track_id = ?", [(each,) for each in track_ids])
                num_removed = connection.total_changes - before
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return num_removed

        return self._do(remove)

    def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return work(self._connection())
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path, timeout=LOCKED_WITHIN_S, isolation_level=None, check_same_thread=False
            )
            with self._guard:
                self._connections.append(connection)
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            # Of a process that is killed nothing is lost; of a machine that loses power the last answers may be.
            connection.execute("PRAGMA synchronous = NORMAL")
            self._own.connection = connection
        return connection

    def close(self) -> None:
        """Close the connections of all threads, none of which may use them any more."""
        with self._guard:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _unusable(self, error: Exception) -> BuildError:
        return BuildError(
            f"cannot use the store of answers {self._path}: {error}. Its folder must be writable and on a disk of this "
            "machine; a damaged file can be removed, then the model is asked again"
        )


class Remembering:
    """A ``Generator`` that asks another one only what has no answer yet, and each question once at a time."""

    def __init__(self, generator: Generator, answers: Answers) -> None:
        self._generator = generator
        self._answers = answers
        self._guard = threading.Lock()
        self._asked: dict[str, Future[Answer]] = {}

    def generate(self, request: Request) -> Answer:
        """See ``Generator.generate``. Threads that ask the same share one answer, or one failure."""
        key = request.key
        with self._guard:
            future = self._asked.get(key)
            is_first = future is None
            if future is None:
                future = self._asked[key] = Future()
        if not is_first:
            return future.result()
        try:
            answer = self._answers.get(key)
            if answer is None:
                answer = self._generator.generate(request)
                self._answers.put(request, answer)
            future.set_result(answer)
            return answer
        except BaseException as error:
            future.set_exception(error)
            raise
        finally:
            with self._guard:
                del self._asked[key]
