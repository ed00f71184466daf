"""The way to a Music-LLM in a vLLM engine of the build's own: ``worker.py`` in vLLM's interpreter."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from pathlib import Path
from types import TracebackType
from typing import Any

from data_specs.music_llms import MusicLLM
from data_specs.reasons import Reason
from data_specs.serving import ServingSettings
from tasks.caption.generate.child import Worker, WorkerDied
from tasks.caption.generate.faults import Streak, raise_for, shown
from tasks.caption.generate.request import Answer, GenerationError, Request
from tasks.engine.errors import BuildError

WORKER = Path(__file__).with_name("worker.py")
START_WITHIN_S = 3600.0
"""Weights are downloaded and kernels compiled the first time."""
MAX_RESTARTS, RESTARTS_WITHIN_S = 3, 600.0
MAX_DEATHS = 3
"""Workers that may die while they have a question."""
ALONE_AFTER = 2
"""From then on such questions are asked one at a time, to find the one that kills."""
MAX_TIMEOUTS = 2
_STOP_POLL_S = 0.25
_TAIL_LINES, _TAIL_BYTES = 20, 4000

_START_FIXES = (
    (r"No module named '?vllm", "this interpreter has no vLLM; install it there: pip install 'vllm>=0.28'"),
    (
        r"out of memory|No available memory for the cache|Free memory on device|"
        r"larger than the maximum number of tokens|max seq len .{0,60}KV cache",
        "the model does not fit; lower gpu_memory_utilization, max_model_len or max_num_seqs, or raise "
        "tensor_parallel_size, under 'engine' in the serving file",
    ),
    (r"architectures? .{0,200}(not supported|failed to be inspected)", "{plugin}"),
    (r"unexpected keyword argument", "'engine' in the serving file has an argument that this vLLM does not know"),
)


class VllmProcess:
    """A ``Generator``; a context manager. The engine starts with the first question and ends with the build.

    Args:
        stopped: the build's; once it is set, every wait ends within half a second.
        on_event: told when the engine starts, is ready, or is started again.
        log: file that everything the worker and vLLM print is added to.
    """

    def __init__(
        self,
        settings: ServingSettings,
        model: MusicLLM,
        stopped: threading.Event,
        on_event: Callable[[str], None],
        log: Path,
    ) -> None:
        self._settings = settings
        self._model = model
        self._stopped = stopped
        self._on_event = on_event
        self._log = log
        self._streak = Streak(str(log))
        self._starting = threading.Lock()
        self._alone = threading.Lock()
        self._worker: Worker | None = None
        self._starts: deque[float] = deque(maxlen=MAX_RESTARTS + 1)
        self._is_said_ready = False
        self._verdict = ""

    def __enter__(self) -> VllmProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._worker is not None:
            self._worker.end()

    def generate(self, request: Request) -> Answer:
        """See ``Generator.generate``; the worker reads the audio."""
        with self._streak.counted():
            return self._until_answered(_question(request))

    def _until_answered(self, question: dict[str, Any]) -> Answer:
        num_deaths = num_timeouts = 0
        while True:
            try:
                with self._locked(self._alone) if num_deaths >= ALONE_AFTER else contextlib.nullcontext():
                    return self._read(self._ask(self._running(), question))
            except WorkerDied as death:
                num_deaths += death.heard
                if num_deaths == MAX_DEATHS:
                    detail = f"vLLM died {num_deaths} times while it had this question; see {self._log}"
                    raise GenerationError(Reason.WORKER_CRASHED, detail) from None
            except TimeoutError:
                num_timeouts += 1
                if num_timeouts == MAX_TIMEOUTS:
                    detail = f"vLLM gave no answer within {self._settings.timeout_s:g} s, {num_timeouts} times"
                    raise GenerationError(Reason.TIMEOUT, detail) from None

    def _ask(self, worker: Worker, question: dict[str, Any]) -> dict[str, Any]:
        number, future = worker.ask(question)
        try:
            return self._wait(future, self._settings.timeout_s)
        except (TimeoutError, CancelledError):
            worker.cancel(number)
            raise

    def _wait(self, future: Future[dict[str, Any]], within_s: float) -> dict[str, Any]:
        """The future's result.

        Raises:
            TimeoutError: there is none within that time.
            CancelledError: the build is being stopped.
        """
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            self._check()
            if wait([future], timeout=min(_STOP_POLL_S, max(until - time.monotonic(), 0.0))).done:
                return future.result()
        raise TimeoutError

    def _check(self) -> None:
        if self._stopped.is_set():
            raise CancelledError("the build is being stopped")

    @contextlib.contextmanager
    def _locked(self, lock: threading.Lock) -> Iterator[None]:
        while not lock.acquire(timeout=_STOP_POLL_S):
            self._check()
        try:
            yield
        finally:
            lock.release()

    def _read(self, message: dict[str, Any]) -> Answer:
        if "reason" in message:
            raise GenerationError(Reason(message["reason"]), message["message"])
        if "status" in message:
            raise_for(message["message"], self._model, "vLLM")
            raise GenerationError(Reason.SERVER_ERROR, f"vLLM: {shown(message['message'])}")
        return Answer(
            text=message["text"].encode(errors="replace").decode(),
            finish=message["finish"],
            audio_tokens=message["audio_tokens"],
            prompt_tokens=message["prompt_tokens"],
            output_tokens=message["output_tokens"],
        )

    def _running(self) -> Worker:
        """The worker, started by the first thread that needs it."""
        with self._locked(self._starting):
            if self._verdict:
                raise BuildError(self._verdict)
            try:
                if self._worker is None or self._worker.is_dead:
                    self._worker = self._launched()
                self._wait_ready(self._worker)
            except BuildError as error:
                self._verdict = str(error)
                raise
            return self._worker

    def _wait_ready(self, worker: Worker) -> None:
        try:
            said = self._wait(worker.ready, START_WITHIN_S)
        except WorkerDied:
            raise self._cannot_start("it ended while it started") from None
        except TimeoutError:
            raise self._cannot_start(f"it is not ready after {START_WITHIN_S:.0f} s") from None
        if "failed" in said:
            raise self._cannot_start(said["failed"])
        if not self._is_said_ready:
            self._is_said_ready = True
            took_s = time.monotonic() - self._starts[-1]
            self._on_event(f"vLLM {said['ready']} is ready after {took_s:.0f} s")

    def _launched(self) -> Worker:
        python = self._settings.python
        if len(self._starts) > MAX_RESTARTS and time.monotonic() - self._starts[0] < RESTARTS_WITHIN_S:
            raise BuildError(
                f"vLLM died {len(self._starts)} times within {RESTARTS_WITHIN_S / 60:g} minutes; {self._tail()}"
            )
        if python is None:
            raise BuildError(
                "the captioner 'vllm' needs an interpreter that has vLLM: make an environment of its own (python -m "
                "venv, pip install 'vllm>=0.28') and name its bin/python as 'python' in the serving file (--serving)"
            )
        environment = {name: value for name, value in os.environ.items() if name != self._settings.api_key_env}
        engine = {**self._model.engine_args(), "disable_log_stats": True, **self._settings.engine}
        again = " again" if self._starts else ""
        self._on_event(f"starting vLLM with {self._model.weights}{again}; its log: {self._log}")
        self._starts.append(time.monotonic())
        self._is_said_ready = False
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            # -P: the modules beside the worker must not stand in for anybody's
            return Worker([python, "-P", str(WORKER)], self._log, environment, engine)
        except OSError as error:
            raise BuildError(f"cannot start 'python: {python}' of the serving file: {error}") from error

    def _cannot_start(self, what: str) -> BuildError:
        tail = self._tail()
        plugin = self._model.plugin
        advice = (
            f"vLLM needs a plug-in for this model: install deployments/vllm/{plugin} into its environment"
            if plugin
            else "this version of vLLM does not have the model"
        )
        text = f"{what}\n{tail}"
        fixes = [fix for pattern, fix in _START_FIXES if re.search(pattern, text, re.IGNORECASE | re.DOTALL)]
        fix = fixes[0].format(plugin=advice) + "; " if fixes else ""
        return BuildError(f"vLLM cannot start: {shown(what)}; {fix}{tail}")

    def _tail(self) -> str:
        """The end of the log, for a message."""
        try:
            with self._log.open("rb") as file:
                file.seek(max(self._log.stat().st_size - _TAIL_BYTES, 0))
                lines = file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        except OSError as error:
            return f"its log {self._log} cannot be read: {error}"
        return f"the end of its log {self._log}:\n" + "\n".join(f"  {line}" for line in lines)


def _question(request: Request) -> dict[str, Any]:
    audio = request.audio
    return {
        "system": request.system,
        "text": request.text,
        "audio": audio
        and {
            "path": str(audio.path.absolute()),
            "start_s": audio.start_s,
            "end_s": audio.end_s,
            "whole": audio.whole,
        },
        "schema": request.schema,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
    }
