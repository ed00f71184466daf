"""The process in which ``worker.py`` runs, and the lines that go to and fro."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

END_WITHIN_S = 15.0


class WorkerDied(Exception):
    """The process ended before it answered.

    Args:
        heard: whether it had the question.
    """

    def __init__(self, *, heard: bool) -> None:
        super().__init__(heard)
        self.heard = heard


class Worker:
    """One process of vLLM's interpreter. Threads may share it.

    Args:
        command: it runs ``worker.py``.
        log: what it prints is added there.
        engine: arguments of vLLM's engine.

    Raises:
        OSError: the command cannot be run.
    """

    def __init__(self, command: list[str], log: Path, environment: dict[str, str], engine: dict[str, Any]) -> None:
        with log.open("ab") as log_file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                env=environment,
                start_new_session=True,  # a Ctrl-C is not for it, and its engine can be ended with it
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._writing = threading.Lock()
        self._guard = threading.Lock()
        self._numbers = itertools.count()
        self._asked: dict[int, Future[dict[str, Any]]] = {}
        self.is_dead = False
        self.ready: Future[dict[str, Any]] = Future()
        """The first line that it says."""
        self._listener = threading.Thread(target=self._listen, name="vllm-answers", daemon=True)
        self._mourner = threading.Thread(target=self._mourn, name="vllm-end", daemon=True)
        self._listener.start()
        self._mourner.start()
        self._send({"engine": engine})  # if it has ended already, ``ready`` says so

    def ask(self, question: dict[str, Any]) -> tuple[int, Future[dict[str, Any]]]:
        """A number and the answer to come, which is ``WorkerDied`` if the process ends before.

        Raises:
            WorkerDied: it has ended already.
        """
        future: Future[dict[str, Any]] = Future()
        with self._guard:
            if self.is_dead:
                raise WorkerDied(heard=False)
            number = next(self._numbers)
            self._asked[number] = future
        if not self._send({"id": number, **question}):
            self._mourner.join()  # so that the next to look finds it dead
            raise WorkerDied(heard=False)
        return number, future

    def cancel(self, number: int) -> None:
        """Nobody waits for that answer any more."""
        with self._guard:
            self._asked.pop(number, None)
        self._send({"cancel": number})

    def _send(self, message: dict[str, Any]) -> bool:
        line = json.dumps(message).encode("ascii") + b"\n"
        try:
            with self._writing:
                self._to.write(line)
                self._to.flush()
        except BrokenPipeError:
            return False
        return True

    def _listen(self) -> None:
        for line in self._from:
            if not line.endswith(b"\n"):
                return  # it was killed while it wrote
            message = json.loads(line)
            if "id" not in message:
                self.ready.set_result(message)
                continue
            with self._guard:
                future = self._asked.pop(message["id"], None)
            if future is not None:
                future.set_result(message)

    def _mourn(self) -> None:
        # Not reaped yet, so that its number, the group's, is not somebody else's.
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        # Its engine may live on with the memory of the GPU, and holds the pipe open.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._listener.join()
        with self._guard:
            self.is_dead = True
            lost = list(self._asked.values())
            self._asked.clear()
        if not self.ready.done():
            self.ready.set_exception(WorkerDied(heard=True))
        for future in lost:
            future.set_exception(WorkerDied(heard=True))
        self._from.close()

    def end(self) -> None:
        """Let the process end, which it does when its questions do; by force if it takes too long."""
        with contextlib.suppress(OSError), self._writing:
            self._to.close()
        self._mourner.join(END_WITHIN_S)
        if self._mourner.is_alive():
            os.killpg(self._process.pid, signal.SIGKILL)
            self._mourner.join()
