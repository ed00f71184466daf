"""Leave to ask a site: whose turn it is, when, and what the answers do to the turns after it.

Budget and breaker belong to one identity at one site and live in the ``Ledger``. Nothing is
reserved ahead: a thread asks "may I begin now?" and is given a ``Turn`` or the time to ask again.
So nobody who is killed or stopped keeps a place, and of several identities the one that can begin
first is taken. This machine's own hosts are neither paced nor guarded.

Whether a site serves us is asked with the track that came through last. Its address is kept in memory
only: it may hold a token. The configured canary stands in until there is one.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from data_specs.network import Identity, NetworkSettings
from data_specs.sites import is_loopback, site_of
from tasks.harvest import ytdlp
from tasks.harvest.breaker import BLOCKS, DOUBTFUL, GONE, POLL_S, Answer, Breaker, after
from tasks.harvest.ledger import FILE, Grant, Ledger, state_folder
from tasks.harvest.outcomes import Fault
from tasks.harvest.pace import SECONDS_PER_DAY, gap_s, opens_at
from tasks.harvest.standing import IdentityStatus, clock_time, seconds_for, standing

# A laptop that slept, a clock that was set, a breaker that another process closed: nobody sleeps past them for long.
LONGEST_NAP_S = 300.0

LONGEST_HOLD_S = 300.0
"""How long a doubtful answer waits for another track to settle it before a probe is spent."""

NUM_ADDRESSES = 4
"""Kept per site, and asked in turn: one that was deleted since must not close the site for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Leave to make one request now."""

    identity: Identity
    url: str
    site: str
    at: float
    probe: str | None = None
    """Set where the answer tells all others whether the site serves us."""
    address: str | None = None
    """What a probe asks for; None: for the track itself."""
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
        self._memory = threading.Lock()
        """Taken inside transactions too, so ``_guard``, which opens the ledger, must be another."""
        self._came_through: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=NUM_ADDRESSES))
        self._canaries = dict(settings.canary)
        self._doubted: set[str] = set()
        """Canaries that may be gone themselves: the next probe of an open breaker is the track in hand."""
        self._num_asking: Counter[str] = Counter()

    def take(self, url: str) -> Turn:
        """Wait until one identity may ask for ``url``. ``report`` or ``give_back`` ends the turn.

        A probe that is due is made on the way.

        Raises:
            ValueError: the address names no host.
            CancelledError: the build is being stopped.
            BuildError: the ledger cannot be used.
        """
        site = site_of(url)
        if self._is_own(site):
            self.wait(0.0)
            return Turn(identity=self._own, url=url, site=site, at=self._clock(), is_own=True)
        self._count_asking(site, 1)
        try:
            while True:
                self.wait(0.0)
                turn = self._begin(url, site, self.settings.identities)
                if isinstance(turn, float):
                    self.wait(turn)
                elif turn.address is not None:
                    self._probe(turn, turn.address)
                else:
                    return turn
        except BaseException:
            self._count_asking(site, -1)
            raise

    def report(self, turn: Turn, fault: Fault | None) -> None:
        """Say what came of a turn; None: what was asked for."""
        if turn.is_own:
            return
        self._count_asking(turn.site, -1)
        if fault is None:
            with self._memory:
                self._came_through[turn.site].appendleft(turn.url)
        self._settle(turn, fault)

    def give_back(self, turn: Turn) -> None:
        """End a turn whose answer says nothing, or never came."""
        if not turn.is_own:
            self._count_asking(turn.site, -1)
            self._release(turn)

    def believes(self, turn: Turn, fault: Fault) -> bool:
        """Whether a fault that was reported says something about the track, rather than about us or the way there.

        Waits until a request that began later was served: another track's or, where none is on its way,
        that of a probe. After False the track is to be tried again.
        """
        if turn.is_own or fault.reason not in DOUBTFUL:
            return True
        hold_until = self._clock() + LONGEST_HOLD_S
        while True:
            is_believed = self._settled(turn)
            if is_believed is not None:
                return is_believed
            if self._num_asking[turn.site] > 0 and self._clock() < hold_until:
                self.wait(POLL_S)
                continue
            probe = self._begin(turn.url, turn.site, (turn.identity,), is_probe=True)
            if isinstance(probe, float):
                self.wait(probe)
                continue
            self.on_event(f"{turn.identity.name} at {turn.site}: asking whether this is about us. {fault.reason}")
            if probe.address is not None:
                self._probe(probe, probe.address)
            else:  # another thread found the canary to be of no use
                self._release(probe)

    def condemns(self, turn: Turn, refused_at: Mapping[str, float]) -> bool:
        """Whether a block that was reported is the track's own.

        It is where another track came through the same identity since it was first refused there, and
        every identity that may be asked soon has refused it.

        Args:
            refused_at: identity key to the begin of the first request for the track that it saw refused.
        """
        ledger = self._books()
        with ledger.transaction() as now:
            if ledger.breaker(turn.identity.key, turn.site).track_at <= refused_at[turn.identity.key]:
                return False
            others = [identity for identity in self.settings.identities if identity.key not in refused_at]
            return all(self._earliest(other, turn.site, now)[0] > now + LONGEST_NAP_S for other in others)

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
        ledger = Ledger(file.parent, self._clock, must_exist=True, on_locked=self._locked)
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

    def _begin(self, url: str, site: str, identities: Collection[Identity], *, is_probe: bool = False) -> Turn | float:
        """A turn, on record, or the seconds after which to ask again."""
        ledger = self._books()
        with ledger.transaction() as now:
            when, identity, breaker = min(
                (self._earliest(identity, site, now) for identity in identities), key=lambda found: found[0]
            )
            if when > now:
                return min(when - now, LONGEST_NAP_S)
            ledger.add_grant(identity.key, site, Grant(now, self._rng.random()))
            if not breaker.is_open and not is_probe:
                return Turn(identity=identity, url=url, site=site, at=now)
            probe = secrets.token_hex(8)
            address = self._probe_address(site)
            if breaker.is_open and address in self._doubted:
                self._doubted.discard(address)
                address = None
            ledger.put_breaker(identity.key, site, breaker.probed_by(probe, now, is_known=address is not None))
        if breaker.is_open:
            self.on_event(f"{identity.name} at {site}: asking whether it may go on")
        return Turn(identity=identity, url=url, site=site, at=now, probe=probe, address=address)

    def _earliest(self, identity: Identity, site: str, now: float) -> tuple[float, Identity, Breaker]:
        """When an identity may ask, as the ledger stands."""
        ledger = self._books()
        ledger.forget_future(identity.key, site, now)
        breaker = ledger.breaker(identity.key, site)
        last = ledger.last_grant(identity.key, site)
        when = breaker.next_look(now)
        rate = ledger.lowest_rate(identity.key, site, identity.requests_per_hour, now)
        ledger.name_rate(identity.key, site, identity.requests_per_hour, now)
        if last is not None:
            when = max(when, last.at + gap_s(rate, last.jitter))
        opening = opens_at(max(when, now), identity.window_minutes)
        # A moment in the past is left as it is: the identity that rested longest comes first.
        return opening if opening > now else when, identity, breaker

    def _settled(self, turn: Turn) -> bool | None:
        """Whether a doubtful answer is believed; None: not known yet."""
        if self._probe_address(turn.site) is None:
            return True
        ledger = self._books()
        with ledger.transaction(reading=True) as now:
            is_believed = ledger.breaker(turn.identity.key, turn.site).settles(turn.at)
        if is_believed is None and not _is_open(turn.identity, now):
            # Where another identity can try the track, nobody waits for hours to ask through this one.
            return False if any(_is_open(identity, now) for identity in self.settings.identities) else None
        return is_believed

    def _probe(self, turn: Turn, address: str) -> None:
        """Ask whether the site serves us, and settle all that wait for it."""
        try:
            fault = ytdlp.probe(address, self.settings, turn.identity)
            if fault is not None:
                self._turn_from(turn.site, address, fault)
            if fault is None or fault.reason in BLOCKS | DOUBTFUL:
                self._settle(turn, fault, address)
            else:
                self._release(turn)
        except BaseException:  # also a stop: the next process need not wait for this one's lease
            self._release(turn)
            raise

    def _turn_from(self, site: str, address: str, fault: Fault) -> None:
        """Ask for something else next time, and never again for what cannot tell anything."""
        can_tell = fault.reason in BLOCKS | DOUBTFUL
        with self._memory:
            known = self._came_through[site]
            is_canary = address not in known and self._canaries.get(site) == address
            if address in known:
                known.remove(address)
                if can_tell:
                    known.append(address)
            elif is_canary and fault.reason in GONE:
                self._doubted.add(address)
            elif is_canary and not can_tell:
                del self._canaries[site]
        if is_canary and not can_tell:
            self.on_event(
                f"the canary of {site} cannot be used, {address}: {fault.reason}: {fault.detail}. Until a track came "
                "through, nothing tells a block from a deletion there; name an address that everybody may see"
            )

    def _settle(self, turn: Turn, fault: Fault | None, address: str | None = None) -> None:
        """Put an answer on record, by default that of an ordinary request."""
        ledger, where = self._books(), (turn.identity.key, turn.site)
        answer = Answer(
            begun_at=turn.at,
            fault=fault,
            probe=turn.probe,
            is_known=address is not None,
            is_canary=address is not None and address == self._canaries.get(turn.site),
        )
        can_probe = self._probe_address(turn.site) is not None
        with ledger.transaction() as now:
            before = ledger.breaker(*where)
            breaker = after(before, answer, now, self.settings, can_probe=can_probe)
            if breaker != before:
                ledger.put_breaker(*where, breaker)
        self._tell(turn, before, breaker)

    def _release(self, turn: Turn) -> None:
        """Let somebody else probe, where this turn was to."""
        if turn.probe is None:
            return
        ledger, where = self._books(), (turn.identity.key, turn.site)
        with ledger.transaction():
            ledger.put_breaker(*where, ledger.breaker(*where).released_by(turn.probe))

    def _tell(self, turn: Turn, before: Breaker, breaker: Breaker) -> None:
        who = f"{turn.identity.name} at {turn.site}"
        if breaker.is_open and (not before.is_open or breaker.changed_at != before.changed_at):
            self.on_event(f"{who}: no requests before {clock_time(breaker.until)}. {breaker.why}")
        elif before.is_open and not breaker.is_open:
            self.on_event(f"{who}: goes on")

    def _probe_address(self, site: str) -> str | None:
        """An address that was there: asked, it tells a block from a deletion."""
        with self._memory:
            known = self._came_through.get(site)
            return known[0] if known else self._canaries.get(site)

    def _count_asking(self, site: str, change: int) -> None:
        with self._memory:
            self._num_asking[site] += change

    def _locked(self, waited_s: float) -> None:
        self.wait(0.0)
        if waited_s % 60.0 == 0.0:
            self.on_event(f"the record of requests has been locked by another process for {waited_s:.0f} s; waiting")

    def _is_own(self, site: str) -> bool:
        host = urlsplit(f"//{site}").hostname or ""
        return is_loopback(host) if self._own_hosts is None else host in self._own_hosts

    def _books(self) -> Ledger:
        with self._guard:
            if self._ledger is None:
                self._ledger = Ledger(self._state or state_folder(), self._clock, on_locked=self._locked)
            return self._ledger


def _is_open(identity: Identity, now: float) -> bool:
    """Whether its daily window is open, or about to open."""
    return opens_at(now, identity.window_minutes) <= now + LONGEST_NAP_S
