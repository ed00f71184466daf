"""The servers of one model: which of them are up, which has the least to do, and waiting until one is back.

Everything here runs on one event loop, so nothing needs a lock. Unknown, suspected and broken servers are
all the same: *down* until a probe has found them healthy with the right model.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from data_specs.music_llms import MusicLLM
from data_specs.serving import ServingSettings
from tasks.caption.generate.chat import BadAnswer, error_message, served_models
from tasks.caption.generate.faults import shown
from tasks.engine.errors import BuildError

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
PROBE_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 10.0
MAX_BODY_BYTES = 8 * 2**20
"""Of an answer. The longest caption has some ten thousand characters."""
FIRST_PATIENCE_S = 900.0
"""For a server that has not been up since the build began: long enough to load a large model."""
BUSY_PATIENCE_S = 60.0
"""A server that says "later" for longer than this and than ``patience_s`` is not used well."""


def growing_pause_s(num_before: int) -> float:
    """0.5, 1, 2 ... 30 s, each half to one and a half times as long, so that clients do not march in step."""
    return min(FIRST_PAUSE_S * 2.0 ** min(num_before, 10), LONGEST_PAUSE_S) * random.uniform(0.5, 1.5)


@dataclass(eq=False, slots=True)
class Replica:
    """One server."""

    address: str
    client: httpx.AsyncClient
    num_in_flight: int = 0
    is_up: bool = False
    was_up: bool = False
    said_down: bool = False
    down_at: float = 0.0
    problem: str = ""
    """What the latest probe that failed met."""
    free_at: float = 0.0
    """Until then it asked to be left alone."""
    refused_at: float | None = None
    """When it began to say "later", if it has not answered since."""
    num_refusals: int = 0
    examination: asyncio.Task[bool] | None = None
    """The latest probe that a suspicion led to; its result: whether the server is up."""

    def has_answered(self) -> None:
        self.refused_at, self.num_refusals = None, 0

    async def ask(self, method: str, url: str, body: bytes | None = None) -> tuple[httpx.Response, bytes]:
        """The response and its body, as far as it is no longer than it may be.

        Raises:
            BadAnswer: it is longer.
            httpx.TransportError: no connection, or it broke.
        """
        async with self.client.stream(method, url, content=body) as response:
            parts: list[bytes] = []
            num_bytes = 0
            async for part in response.aiter_raw():
                num_bytes += len(part)
                if num_bytes > MAX_BODY_BYTES:
                    raise BadAnswer(f"an answer of more than {MAX_BODY_BYTES} bytes")
                parts.append(part)
        return response, b"".join(parts)


@dataclass(eq=False)
class Replicas:
    """All servers of a serving file. Made and used on one event loop."""

    settings: ServingSettings
    model: MusicLLM
    on_event: Callable[[str], None]
    _all: list[Replica] = field(init=False)
    _watchers: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _changed: asyncio.Condition = field(init=False, default_factory=asyncio.Condition)
    _none_since: float | None = field(init=False, default=None)
    _verdict: str = field(init=False, default="")
    """Why nobody will be asked any more."""

    def __post_init__(self) -> None:
        self._key = api_key(self.settings.api_key_env)
        self._all = [Replica(address, self._client(address)) for address in self.settings.servers]

    def _client(self, address: str) -> httpx.AsyncClient:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return httpx.AsyncClient(
            headers=headers,
            # Without a timeout of its own: the whole answer has one, and a model thinks for long.
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
            # Given up before the server does (5 s), which would look like a crash.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=2.0),
            trust_env=not _is_this_machine(address),  # a proxy of the environment cannot reach it
            verify=address.startswith("https:"),  # to read certificates for nothing takes a sixth of a second
        )

    def without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    async def take(self, avoid: Replica | None = None) -> Replica:
        """The server with the least to do, once one is up.

        Args:
            avoid: one that has just failed; only taken when there is no other.

        Raises:
            BuildError: no server has been up for ``patience_s``, or one of them is not what it should be.
        """
        clock = asyncio.get_running_loop().time
        if self._none_since is None:
            self._none_since = clock()
            for replica in self._all:
                self._watch(replica)
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._verdict or any(replica.is_up for replica in self._all))
            if self._verdict:
                raise BuildError(self._verdict)
            up = [replica for replica in self._all if replica.is_up]
            free = [replica for replica in up if replica.free_at <= clock()]
            if free:
                return min(free, key=lambda replica: (replica is avoid, replica.num_in_flight, random.random()))
            await asyncio.sleep(min(replica.free_at for replica in up) - clock() + random.uniform(0.0, 0.1))

    def refused(self, replica: Replica, retry_after_s: float | None) -> None:
        """It said "later": nobody asks it for as long as it wants, or for a growing pause.

        Raises:
            BuildError: it has said nothing else for too long.
        """
        now = asyncio.get_running_loop().time()
        replica.refused_at = now if replica.refused_at is None else replica.refused_at
        refused_s = now - replica.refused_at
        if refused_s > max(self.settings.patience_s, BUSY_PATIENCE_S):
            raise BuildError(
                f"{replica.address} has refused every question for {refused_s:.0f} s as one too many; lower 'requests' "
                f"(now {self.settings.requests}) in the serving file, or raise the limit of the server"
            )
        if replica.free_at <= now:  # else others in flight have said so for the same moment
            pause_s = growing_pause_s(replica.num_refusals) if retry_after_s is None else retry_after_s
            replica.free_at = now + min(pause_s, max(self.settings.patience_s, BUSY_PATIENCE_S))
            replica.num_refusals += 1

    async def is_alive(self, replica: Replica, why: str) -> bool:
        """Whether a suspected server is in order after all; if not, nobody asks it until it is."""
        if replica.examination is None or replica.examination.done():
            self._watch(replica, why)
        assert replica.examination is not None
        return await asyncio.shield(replica.examination)

    def _watch(self, replica: Replica, why: str = "") -> None:
        loop = asyncio.get_running_loop()
        if not replica.is_up and replica.examination is not None:
            return  # somebody watches already
        replica.is_up = False
        replica.down_at = loop.time()
        if not any(other.is_up for other in self._all):
            self._none_since = replica.down_at
        replica.examination = loop.create_task(self._examine(replica))
        watcher = loop.create_task(self._until_up(replica, why))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._end_watch)

    def _end_watch(self, watcher: asyncio.Task[None]) -> None:
        self._watchers.discard(watcher)
        if not watcher.cancelled() and (error := watcher.exception()):
            # Else those who wait would wait forever.
            self._watchers.add(asyncio.ensure_future(self._give_up(f"waiting for the servers failed: {error!r}")))

    async def _until_up(self, replica: Replica, why: str) -> None:
        clock = asyncio.get_running_loop().time
        num_probes = 0
        assert replica.examination is not None and self._none_since is not None
        is_up = await replica.examination
        why = why or replica.problem
        patience_s = self._patience_s
        while not is_up and not self._verdict:
            if not replica.said_down:
                replica.said_down = True
                self.on_event(
                    f"{replica.address} is down ({why}); waiting for it up to {patience_s:.0f} s"
                    if len(self._all) == 1
                    else f"{replica.address} is down ({why}); going on with those that are up"
                )
            pause_s = growing_pause_s(num_probes)
            if not any(other.is_up for other in self._all):
                waited_s = clock() - self._none_since
                if waited_s >= patience_s:
                    return await self._give_up(self._no_server(waited_s, why))
                pause_s = min(pause_s, max(patience_s - waited_s, 0.01))
            await asyncio.sleep(pause_s)
            num_probes += 1
            is_up = await self._examine(replica)
        if is_up and replica.said_down:
            replica.said_down = False
            self.on_event(f"{replica.address} is back after {clock() - replica.down_at:.0f} s")

    @property
    def _patience_s(self) -> float:
        """An outage in a long build is waited for; a server that was never started should be known soon."""
        was_up = any(replica.was_up for replica in self._all)
        return self.settings.patience_s if was_up else min(self.settings.patience_s, FIRST_PATIENCE_S)

    async def _examine(self, replica: Replica) -> bool:
        """Probe once, and let those who wait know."""
        try:
            problem = await asyncio.wait_for(self._probe(replica), PROBE_TIMEOUT_S)
        except (httpx.TransportError, TimeoutError, BadAnswer) as error:
            problem = str(error) or type(error).__name__
        except BuildError as error:
            await self._give_up(str(error))
            return False
        if problem is not None:
            replica.problem = problem
            return False
        replica.is_up = replica.was_up = True
        async with self._changed:
            self._changed.notify_all()
        return True

    async def _probe(self, replica: Replica) -> str | None:
        """What is wrong with a server that will pass; None if nothing is.

        Raises:
            BuildError: what is wrong will not pass.
        """
        address = replica.address
        if address.endswith("/v1"):  # vLLM's own: an engine that has died says 503 there, and nowhere else
            response, _ = await replica.ask("GET", f"{address.removesuffix('/v1')}/health")
            if response.status_code >= 500:
                return f"/health answers {response.status_code}"
        response, body = await replica.ask("GET", f"{address}/models")
        status = response.status_code
        if status >= 500 or status == 429:
            return f"/models answers {status}"
        if status in (401, 403):
            raise self.wrong_key(address, status)
        try:
            names = served_models(body) if status == 200 else None
        except BadAnswer:
            names = None
        if names is None:
            raise BuildError(
                f"{address}/models answers {status}: {shown(self.without_key(error_message(body)))}; "
                "is it the address of an OpenAI-compatible server, with its /v1?"
            )
        if self.model.name not in names:
            raise BuildError(
                f"{address} serves {', '.join(names[:10]) or 'nothing'}, not {self.model.name}; start it with:\n"
                f"  {self.model.serve_line()}"
            )
        return None

    def wrong_key(self, address: str, status: int) -> BuildError:
        name = self.settings.api_key_env
        has = "holds a key that it does not take" if self._key else "is not set"
        return BuildError(f"{address} wants a key ({status}): the environment variable {name} {has}")

    def _no_server(self, waited_s: float, why: str) -> str:
        addresses = ", ".join(self.settings.servers)
        return (
            f"no server of {self.model.name} at {addresses} for {waited_s:.0f} s ({why}). Start one, then run the same "
            f"command again; what was answered is kept:\n  {self.model.serve_line()}"
        )

    async def _give_up(self, verdict: str) -> None:
        self._verdict = self._verdict or verdict
        async with self._changed:
            self._changed.notify_all()

    async def close(self) -> None:
        for replica in self._all:
            await replica.client.aclose()


def api_key(variable: str) -> str:
    """The servers' key; empty without one.

    Raises:
        BuildError: it is no text that fits into a header. The message does not quote it.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise BuildError(f"the environment variable {variable} holds no key: it has spaces or odd characters")
    return key


def _is_this_machine(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
