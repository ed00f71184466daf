"""Leave to ask a site: whose turn it is, when, and what the answers do to the turns after it.

Budget and breaker belong to one identity at one site and live in the ``Ledger``. Nothing is
reserved ahead: a thread asks "may I begin now?" and is given a ``Turn`` or the time to ask again.
So nobody who is killed or stopped keeps a place, and of several identities the one that can begin
first is taken. This machine's own hosts are neither paced nor guarded.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from data_specs.network import Identity, NetworkSettings
from tasks.harvest import ytdlp
from tasks.harvest.breaker import DOUBTFUL, Answer, Breaker, after, doubted
from tasks.harvest.ledger import FILE, Grant, Ledger, state_folder
from tasks.harvest.outcomes import Fault
from tasks.harvest.pace import SECONDS_PER_DAY, gap_s, opens_at
from tasks.harvest.sites import is_loopback, site_of
from tasks.harvest.standing import IdentityStatus, clock_time, seconds_for, standing

# A laptop that slept, a clock that was set, a breaker that another process closed: nobody sleeps past them for long.
LONGEST_NAP_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Leave to make one request now."""

    identity: Identity
    site: str
    at: float
    probe: str | None = None
    """Set where the answer tells all others whether a block has ended."""
    is_own: bool = False
    """At a host of this machine: neither paced nor guarded."""


class Network:
    """The identities of one build; threads and, through the ledger, processes share them. A context manager.

    Args:
        state: folder of the ledger; ``state_folder()`` by default. It is made when the first site is asked.
        stopped: ends every wait with ``CancelledError``.
        clock: Unix seconds.
        sleep: waits that many seconds; by default until ``stopped``.
        rng: draws the jitter.
        own_hosts: hosts that are this machine; every loopback address by default.
    """

    def __init__(
        self,
        settings: NetworkSettings,
        *,
        state: Path | None = None,
        stopped: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] | None = None,
        rng: random.Random | None = None,
        own_hosts: Collection[str] | None = None,
    ) -> None:
        self.settings = settings
        self.on_event: Callable[[str], None] = lambda line: None
        """Told, in a line for people, when a breaker opens, is probed or closes."""
        self._state = state
        self._stopped = stopped or threading.Event()
        self._clock = clock
        self._sleep = sleep or self._stopped.wait
        self._rng = rng or random.Random()
        self._own_hosts = own_hosts
        # A proxy would take a loopback address for its own.
        self._own = next((identity for identity in settings.identities if not identity.proxy), Identity())
        self._ledger: Ledger | None = None
        self._guard = threading.Lock()

    def take(self, url: str) -> Turn:
        """Wait until one identity may ask for ``url``.

        A canary that is due is asked on the way.

        Raises:
            ValueError: the address names no host.
            CancelledError: the build is being stopped.
            BuildError: the ledger cannot be used.
        """
        site = site_of(url)
        if self._is_own(site):
            self.wait(0.0)
            return Turn(identity=self._own, site=site, at=self._clock(), is_own=True)
        while True:
            self.wait(0.0)
            turn = self._begin(site, self.settings.identities)
            if isinstance(turn, float):
                self.wait(turn)
            elif turn.probe is not None and self._canary(site) is not None:
                self._ask_canary(turn)
            else:
                return turn

    def report(self, turn: Turn, fault: Fault | None) -> None:
        """Say what came of a turn; None: what was asked for."""
        if not turn.is_own:
            self._settle(turn, fault, is_canary=False)

    def believes(self, turn: Turn, fault: Fault) -> bool:
        """Whether a fault says something about the track, rather than about us or the way to the site.

        Waits for the answer of the canary where only that can tell. After False the track is to be tried again.
        """
        if turn.is_own or fault.reason not in DOUBTFUL or self._canary(turn.site) is None:
            return True
        ledger, where = self._books(), (turn.identity.key, turn.site)
        with ledger.transaction() as now:
            before = ledger.breaker(*where)
            breaker = doubted(before, fault, turn.at, now)
            if breaker != before:
                ledger.put_breaker(*where, breaker)
        self._tell(turn, before, breaker)
        while breaker.in_doubt:
            probe = self._begin(turn.site, (turn.identity,), only_probe=True)
            if isinstance(probe, Turn):
                self._ask_canary(probe)
            else:
                self.wait(probe)
            with ledger.transaction(reading=True):
                breaker = ledger.breaker(*where)
        return not breaker.is_open

    def wait(self, seconds: float) -> None:
        """Sleep, unless the build is being stopped: then raise ``CancelledError``."""
        if seconds > 0 and not self._stopped.is_set():
            self._sleep(seconds)
        if self._stopped.is_set():
            raise CancelledError("the build is being stopped")

    def status(self) -> list[IdentityStatus]:
        """How each identity stands at each site that was asked within a day or blocks it; beside running builds too."""
        return self._look(None)

    def eta_s(self, num_tracks: int, site: str) -> float | None:
        """Seconds that ``num_tracks`` take at the pace of all identities; None where nothing is paced.

        Counts windows and the breakers that are open now; every track as one request.
        """
        if self._is_own(site):
            return None
        now = self._clock()
        next_at = {status.name: status.next_at for status in self._look(site)}
        starts = [(identity, max(now, next_at.get(identity.name, now))) for identity in self.settings.identities]
        return seconds_for(num_tracks, starts, now)

    def _look(self, site: str | None) -> list[IdentityStatus]:
        """Read one site or all of them, without making a ledger where there is none."""
        file = (self._state or state_folder()) / FILE
        if not file.exists() or file.stat().st_size == 0:
            return []
        ledger = Ledger(file.parent, self._clock, must_exist=True)
        try:
            with ledger.transaction(reading=True) as now:
                sites = ledger.sites(now - SECONDS_PER_DAY) if site is None else [site]
                return [standing(i, s, ledger, now) for i in self.settings.identities for s in sites]
        finally:
            ledger.close()

    def close(self) -> None:
        with self._guard:
            if self._ledger is not None:
                self._ledger.close()
                self._ledger = None

    def __enter__(self) -> Network:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _begin(self, site: str, identities: Collection[Identity], *, only_probe: bool = False) -> Turn | float:
        """A turn, on record, or the seconds after which to ask again (0 where there is nothing to probe any more)."""
        ledger = self._books()
        with ledger.transaction() as now:
            when, identity, breaker = min(
                (self._earliest(identity, site, now) for identity in identities), key=lambda found: found[0]
            )
            if only_probe and not breaker.is_open:
                return 0.0
            if when > now:
                return min(when - now, LONGEST_NAP_S)
            ledger.add_grant(identity.key, site, Grant(now, self._rng.random()))
            if not breaker.is_open:
                return Turn(identity=identity, site=site, at=now)
            probe = secrets.token_hex(8)
            has_canary = self._canary(site) is not None
            ledger.put_breaker(identity.key, site, breaker.probed_by(probe, now, has_canary=has_canary))
        self.on_event(f"{identity.name} at {site}: asking whether it may go on")
        return Turn(identity=identity, site=site, at=now, probe=probe)

    def _earliest(self, identity: Identity, site: str, now: float) -> tuple[float, Identity, Breaker]:
        """When an identity may ask, as the ledger stands."""
        ledger = self._books()
        ledger.forget_future(identity.key, site, now)
        breaker = ledger.breaker(identity.key, site)
        last = ledger.last_grant(identity.key, site)
        when = breaker.next_look(now)
        if last is not None:
            when = max(when, last.at + gap_s(identity.requests_per_hour, last.jitter))
        opening = opens_at(max(when, now), identity.window_minutes)
        # A moment in the past is left as it is: the identity that rested longest comes first.
        return opening if opening > now else when, identity, breaker

    def _ask_canary(self, turn: Turn) -> None:
        fault = ytdlp.probe(self.settings.canary[turn.site], self.settings, turn.identity)
        self._settle(turn, fault, is_canary=True)

    def _settle(self, turn: Turn, fault: Fault | None, *, is_canary: bool) -> None:
        ledger, where = self._books(), (turn.identity.key, turn.site)
        answer = Answer(begun_at=turn.at, fault=fault, probe=turn.probe, is_canary=is_canary)
        has_canary = self._canary(turn.site) is not None
        with ledger.transaction() as now:
            before = ledger.breaker(*where)
            breaker = after(before, answer, now, self.settings, has_canary=has_canary)
            if breaker != before:
                ledger.put_breaker(*where, breaker)
        self._tell(turn, before, breaker)

    def _tell(self, turn: Turn, before: Breaker, breaker: Breaker) -> None:
        who = f"{turn.identity.name} at {turn.site}"
        if breaker.is_open and (not before.is_open or breaker.changed_at != before.changed_at):
            until = "until its canary has answered" if breaker.in_doubt else f"before {clock_time(breaker.until)}"
            self.on_event(f"{who}: no requests {until}. {breaker.why}")
        elif before.is_open and not breaker.is_open:
            self.on_event(f"{who}: goes on")

    def _canary(self, site: str) -> str | None:
        return self.settings.canary.get(site)

    def _is_own(self, site: str) -> bool:
        host = urlsplit(f"//{site}").hostname or ""
        return is_loopback(host) if self._own_hosts is None else host in self._own_hosts

    def _books(self) -> Ledger:
        with self._guard:
            if self._ledger is None:
                self._ledger = Ledger(self._state or state_folder(), self._clock)
            return self._ledger
