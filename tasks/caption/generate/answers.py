"""What a model has answered, in one SQLite file of the workspace: no question is asked twice.

An answer is stored before anybody uses it, so a build that is killed goes on with those it has.
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
_DAMAGED = (
    "it is damaged, or no store of this version: move it and the files of its name with -wal and -shm away; what "
    "has no caption yet is then asked again"
)
_FIXES = {
    "SQLITE_FULL": "the disk is full: free some space, then run the same command again",
    "SQLITE_BUSY": "another process holds it: end that one",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_ERROR": _DAMAGED,
    "SQLITE_CANTOPEN": "it and its folder must be writable, and on a disk of this machine",
}
_T = TypeVar("_T")


class Answers:
    """The open store; a context manager. Threads share it.

    Raises:
        BuildError: the file cannot be made, read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise operator_error(error) or self._unusable(error) from error
        try:
            self._connection = sqlite3.connect(
                path, timeout=LOCKED_WITHIN_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            self._do(self._prepare)
        except BaseException:
            self._connection.close()
            raise

    @staticmethod
    def _prepare(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        # Of a process that is killed nothing is lost; of a machine that loses power the last answers may be.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)

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

    def remove(self, keys: Iterable[str]) -> None:
        """These questions may be asked again."""
        self._do(lambda connection: connection.executemany("DELETE FROM answers WHERE key = ?", [(k,) for k in keys]))

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
            with self._guard:
                return work(self._connection)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Nobody may use it any more."""
        with self._guard:
            self._connection.close()

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _unusable(self, error: Exception) -> BuildError:
        name = getattr(error, "sqlite_errorname", "")
        fix = next((fix for start, fix in _FIXES.items() if name.startswith(start)), _FIXES["SQLITE_CANTOPEN"])
        return BuildError(f"cannot use the store of answers {self._path}: {error}; {fix}")


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
