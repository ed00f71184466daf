"""The way to a Music-LLM over OpenAI-compatible servers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import email.utils
import threading
import time
from collections import Counter
from collections.abc import Callable
from enum import Enum, auto
from types import TracebackType

import httpx

from data_specs.music_llms import MusicLLM
from data_specs.reasons import Reason
from data_specs.serving import ServingSettings
from tasks.caption.generate.chat import BadAnswer, chat_body, error_message, read_answer
from tasks.caption.generate.faults import Streak, raise_for, shown
from tasks.caption.generate.replicas import Replica, Replicas, growing_pause_s
from tasks.caption.generate.request import Answer, GenerationError, Request
from tasks.engine.errors import BuildError

ALONE_AFTER = 2
"""Deaths of a server while it had a question; from then on such questions go out one at a time, to find the one."""
_STOP_POLL_S = 0.25


class _Trouble(Enum):
    """What became of an attempt that another one may make good."""

    BUSY = auto()
    NOT_HEARD = auto()
    TIMEOUT = auto()
    ERROR = auto()
    DEATH = auto()
    """The server went down while it had the question; the question may be why."""


_ATTEMPTS = {_Trouble.TIMEOUT: 2, _Trouble.ERROR: 3, _Trouble.DEATH: 3}
"""The others end with the server's own patience."""


class _Failed(Exception):
    def __init__(self, trouble: _Trouble, why: str, replica: Replica | None = None) -> None:
        super().__init__(why)
        self.trouble = trouble
        self.why = why
        self.replica = replica


class ServerGenerator:
    """A ``Generator``; a context manager. Threads call ``generate``, one event loop talks to the servers.

    Nothing is asked before the first question: a build that needs no caption needs no server.

    Args:
        stopped: the build's; once it is set, every wait ends within half a second.
        on_event: told when a server goes and returns; called from a thread of its own.
    """

    def __init__(
        self,
        settings: ServingSettings,
        model: MusicLLM,
        stopped: threading.Event,
        on_event: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._model = model
        self._stopped = stopped
        self._on_event = on_event
        self._streak = Streak("the log of the server")
        self._replicas: Replicas
        self._alone: asyncio.Lock
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="captions", daemon=True)

    def __enter__(self) -> ServerGenerator:
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        except BaseException:
            self._end_loop()
            raise
        return self

    async def _open(self) -> None:
        self._replicas = Replicas(self._settings, self._model, self._on_event)
        self._alone = asyncio.Lock()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._end_loop()

    async def _close(self) -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._replicas.close()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def generate(self, request: Request) -> Answer:
        """See ``Generator.generate``; the audio is read and encoded in the caller's thread."""
        body = chat_body(request, self._settings.media)
        future = asyncio.run_coroutine_threadsafe(self._answer(request, body), self._loop)
        while not self._stopped.is_set():
            done, _ = concurrent.futures.wait([future], timeout=_STOP_POLL_S)
            if done:
                return future.result()
        future.cancel()  # hangs up, and vLLM stops working on it
        raise concurrent.futures.CancelledError("the build is being stopped")

    async def _answer(self, request: Request, body: bytes) -> Answer:
        with self._streak.counted():
            return await self._until_answered(request, body)

    async def _until_answered(self, request: Request, body: bytes) -> Answer:
        counts: Counter[_Trouble] = Counter()
        avoid: Replica | None = None
        while True:
            try:
                async with self._alone if counts[_Trouble.DEATH] >= ALONE_AFTER else contextlib.nullcontext():
                    return await self._attempt(request, body, avoid)
            except _Failed as failure:
                counts[failure.trouble] += 1
                if counts[failure.trouble] == _ATTEMPTS.get(failure.trouble):
                    reason = Reason.TIMEOUT if failure.trouble is _Trouble.TIMEOUT else Reason.SERVER_ERROR
                    raise GenerationError(reason, f"{failure.why}, {counts[failure.trouble]} times") from failure
                avoid = failure.replica
                if failure.trouble is _Trouble.ERROR:
                    await asyncio.sleep(growing_pause_s(counts[_Trouble.ERROR] - 1))

    async def _attempt(self, request: Request, body: bytes, avoid: Replica | None) -> Answer:
        """Ask one server once.

        Raises:
            _Failed: another attempt may succeed.
        """
        replica = await self._replicas.take(avoid)
        replica.num_in_flight += 1
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                response, said = await replica.ask("POST", f"{replica.address}/chat/completions", body)
            if response.status_code == 200:
                answer = read_answer(said, request, replica.address)
                replica.has_answered()
                return answer
        except BadAnswer as error:
            why = f"{replica.address}: {shown(self._replicas.without_key(str(error)))}"
            raise _Failed(_Trouble.ERROR, why, replica) from error
        except (TimeoutError, httpx.TransportError) as error:
            raise await self._broken(replica, error) from error
        finally:
            replica.num_in_flight -= 1
        raise await self._refusal(replica, response, self._replicas.without_key(error_message(said)))

    async def _broken(self, replica: Replica, error: Exception) -> _Failed:
        """What a connection that broke, or never came, means."""
        said = str(error) or type(error).__name__
        why = f"no answer within {self._settings.timeout_s:g} s" if isinstance(error, TimeoutError) else said
        alive = await self._replicas.is_alive(replica, why)
        text = f"{replica.address}: {why}"
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return _Failed(_Trouble.ERROR if alive else _Trouble.NOT_HEARD, text, replica)
        if isinstance(error, TimeoutError) and alive:
            return _Failed(_Trouble.TIMEOUT, text, replica)
        return _Failed(_Trouble.ERROR if alive else _Trouble.DEATH, text, replica)

    async def _refusal(self, replica: Replica, response: httpx.Response, message: str) -> Exception:
        """What an answer other than 200 means."""
        status, address = response.status_code, replica.address
        why = f"{address} answers {status}: {shown(message)}"
        if status in (401, 403):
            return self._replicas.wrong_key(address, status)
        if status == 404:
            return BuildError(f"{why}. Is the model still served? Start it with:\n  {self._model.serve_line()}")
        if status == 413:
            return BuildError(
                f"{why}. Something before the server bounds the size of a request: raise it (nginx: "
                "client_max_body_size), or use 'media: file' if the server is on this machine"
            )
        if status == 429:
            self._replicas.refused(replica, _retry_after_s(response))
            return _Failed(_Trouble.BUSY, why)
        if self._settings.media == "file" and "no such file" in message.lower():
            return BuildError(f"{why}. It does not see this machine's files; leave 'media: file' out")
        raise_for(message, self._model, address)
        if status in (408, 504):
            return _Failed(_Trouble.TIMEOUT, why, replica)
        if 400 <= status < 500:
            return GenerationError(Reason.SERVER_ERROR, why)
        if await self._replicas.is_alive(replica, why):
            if status != 503:
                return _Failed(_Trouble.ERROR, why, replica)
            self._replicas.refused(replica, _retry_after_s(response))  # vLLM's queue is full
            return _Failed(_Trouble.BUSY, why)
        return _Failed(_Trouble.NOT_HEARD if status == 503 else _Trouble.DEATH, why, replica)


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds of a ``Retry-After`` header (RFC 9110, 10.2.3), given as such or as a date."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal() and value.isascii():
        return float(value)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None
