"""A fortnight of a harvest in seconds: the product's own loop, network, breaker and ledger on a simulated site.

Only time and the site are made up. What must hold is checked on the log of requests alone, without
a look at the ledger.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from data_specs.network import Identity, NetworkSettings
from data_specs.reasons import Reason
from tasks.harvest import ytdlp
from tasks.harvest.breaker import FIRST_COOLDOWN_S, SHORT_COOLDOWN_S
from tasks.harvest.fetch import until_answered
from tasks.harvest.network import Network
from tasks.harvest.outcomes import Fault
from tests.tasks.harvest.clocks import MONDAY, VirtualTime

HOUR_S, DAY_S = 3600.0, 86_400.0
END = MONDAY + 14 * DAY_S
CANARY = "https://www.youtube.com/watch?v=canary"
SETTINGS = NetworkSettings(
    identities=(
        Identity(name="direct", requests_per_hour=30),
        Identity(name="night", requests_per_hour=45, window="22:00-08:00", proxy="socks5://127.0.0.1:9"),
    ),
    cooldown_s=1800,
    longest_cooldown_s=6 * HOUR_S,
    canary={"youtube.com": CANARY},
)
IDENTITIES = {identity.name: identity for identity in SETTINGS.identities}

NOT_A_BOT = Fault(reason=Reason.BOT_CHECK, detail="Sign in to confirm you're not a bot")
LIMITED = Fault(reason=Reason.RATE_LIMITED, detail="This content isn't available, try again later")
UNAVAILABLE = Fault(reason=Reason.REMOVED, detail="Video unavailable")
DOWN = Fault(reason=Reason.NETWORK, detail="Temporary failure in name resolution")
PASSING = (
    Fault(reason=Reason.RATE_LIMITED, detail="HTTP Error 429", http_status=429, retry_after_s=5.0),
    Fault(reason=Reason.SERVER_ERROR, detail="HTTP Error 500", http_status=500),
)


@dataclass(frozen=True, slots=True)
class Request:
    begin: float
    end: float
    identity: str
    track: int | None
    """None for the canary."""
    fault: Fault | None
    is_probe: bool


class Site:
    """Has deleted videos, odd ones, bad moments, and bans identities for as long as it likes.

    The canary is famous: it is served to those that are banned too.
    """

    def __init__(self, time: VirtualTime, seed: int) -> None:
        self.time = time
        self.log: list[Request | tuple[str, float, str, bool]] = []
        self.rng = random.Random(seed)
        self.seen: Counter[int] = Counter()
        self.bans: dict[str, list[tuple[float, float, Fault]]] = {name: self._bans() for name in IDENTITIES}
        self.outage = (MONDAY + 3.3 * DAY_S, MONDAY + 3.5 * DAY_S)

    def _bans(self) -> list[tuple[float, float, Fault]]:
        """Four in two weeks, from 10 minutes to a day; the third is in disguise."""
        kinds = [NOT_A_BOT, LIMITED, UNAVAILABLE, NOT_A_BOT]
        begins = [MONDAY + day * DAY_S + self.rng.uniform(0, DAY_S) for day in (1, 5, 8, 11)]
        lengths = [600.0 * 144.0 ** self.rng.random() for _ in kinds]
        return [(begin, begin + length, kind) for begin, length, kind in zip(begins, lengths, kinds, strict=True)]

    def is_deleted(self, track: int) -> bool:
        return track % 7 == 3

    def is_odd(self, track: int) -> bool:
        return track % 997 == 5

    def ask(self, name: str, track: int | None, *, is_probe: bool = False) -> Fault | None:
        begin = self.time.now
        self.log.append(("begin", begin, name, is_probe))
        fault = self._answer(name, track)
        self.time.sleep(self.rng.uniform(1.0, 4.0) if fault or is_probe else self.rng.uniform(10.0, 120.0))
        self.log.append(Request(begin, self.time.now, name, track, fault, is_probe))
        return fault

    def _answer(self, name: str, track: int | None) -> Fault | None:
        now = self.time.now
        if self.outage[0] <= now < self.outage[1]:
            return DOWN
        if track is None:
            return None
        for begin, end, fault in self.bans[name]:
            if begin <= now < end:
                return fault
        self.seen[track] += 1
        if self.is_odd(track):
            return NOT_A_BOT
        if self.is_deleted(track):
            return UNAVAILABLE
        return PASSING[track % 2] if track % 50 == 1 and self.seen[track] == 1 else None


@dataclass
class Fortnight:
    site: Site
    answered: dict[int, Fault | None]
    begun: int

    @property
    def requests(self) -> list[Request]:
        return [entry for entry in self.site.log if isinstance(entry, Request)]

    def of(self, name: str) -> list[Request]:
        return sorted((r for r in self.requests if r.identity == name), key=lambda request: request.begin)


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Fortnight:
    memory = Path("/dev/shm")  # the ledger flushes every request to the disk; thousands here, three a minute in life
    folder = tmp_path_factory.mktemp("state")
    state = memory / f"collap-{folder.parent.name}-{folder.name}" if memory.is_dir() else folder
    time = VirtualTime()
    site = Site(time, seed=0)
    answered: dict[int, Fault | None] = {}
    tracks = itertools.count()
    stopped = threading.Event()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if time.now >= END:
            stopped.set()

    def work(network: Network) -> None:
        while not stopped.is_set():
            track = next(tracks)
            url = f"https://www.youtube.com/watch?v={track}"
            try:
                fault = until_answered(url, network, lambda turn, _: site.ask(turn.identity.name, track) or track)  # noqa: B023
            except CancelledError:
                return
            answered[track] = fault if isinstance(fault, Fault) else None

    def probe(url: str, settings: NetworkSettings, identity: Identity) -> Fault | None:
        return site.ask(identity.name, None if url == CANARY else int(url.partition("=")[2]), is_probe=True)

    patch = pytest.MonkeyPatch()
    patch.setattr(ytdlp, "probe", probe)
    networks = [
        Network(SETTINGS, state=state, stopped=stopped, clock=time, sleep=sleep, rng=random.Random(n)) for n in (1, 2)
    ]
    try:
        time.run([lambda network=network: work(network) for network in networks for _ in range(3)])
    finally:
        patch.undo()
        for network in networks:
            network.close()
        if state != folder:
            for file in state.iterdir():
                file.unlink()
            state.rmdir()
    return Fortnight(site, answered, next(tracks))


def test_no_hour_has_more_requests_than_the_budget(fortnight: Fortnight) -> None:
    for name, identity in IDENTITIES.items():
        begins = np.array([request.begin for request in fortnight.of(name)])
        within = np.searchsorted(begins, begins + HOUR_S, side="left") - np.arange(len(begins))
        assert within.max() <= identity.requests_per_hour
        assert within.max() >= 0.9 * identity.requests_per_hour, "the budget was never used"


def test_windows_are_kept(fortnight: Fortnight) -> None:
    hours = [(request.begin % DAY_S) / HOUR_S for request in fortnight.of("night")]
    assert all(hour >= 22 or hour < 8 for hour in hours)
    assert {int(hour) for hour in hours} == {22, 23, *range(8)}
    assert len({int((r.begin % DAY_S) / HOUR_S) for r in fortnight.of("direct")}) == 24


def test_nothing_is_asked_while_a_breaker_is_open_but_one_probe_at_a_time(fortnight: Fortnight) -> None:
    num_blocks = 0
    for name in IDENTITIES:
        is_open, ends_at, is_probed, changed_at = False, 0.0, False, 0.0
        for entry in fortnight.site.log:
            if isinstance(entry, Request) and entry.identity == name:
                is_probed = is_probed and not entry.is_probe
                if entry.is_probe and entry.fault:
                    pause_s = SHORT_COOLDOWN_S if entry.fault is DOWN else SETTINGS.cooldown_s
                    is_open, ends_at, changed_at = True, entry.end + pause_s, entry.end
                elif entry.is_probe and is_open:
                    is_open, changed_at = False, entry.end
                elif entry.fault in (NOT_A_BOT, LIMITED) and entry.begin >= changed_at:
                    pause_s = FIRST_COOLDOWN_S if entry.fault is NOT_A_BOT else SETTINGS.cooldown_s
                    is_open, ends_at = True, max(ends_at, entry.end + pause_s)
                    changed_at, num_blocks = entry.end, num_blocks + 1
            elif isinstance(entry, tuple) and entry[2] == name:
                _, begin, _, is_probe = entry
                assert not is_probed, "a request beside a probe"
                assert not is_open or (is_probe and begin >= ends_at), (name, begin, ends_at)
                is_probed = is_probe
    assert num_blocks >= 6


def test_a_long_ban_costs_few_requests(fortnight: Fortnight) -> None:
    for name in IDENTITIES:
        for begin, end, _ in fortnight.site.bans[name]:
            asked = [r for r in fortnight.of(name) if begin <= r.begin < end]
            most = 6 + 1 + 1 + (end - begin) / SETTINGS.longest_cooldown_s + 4  # workers, first look, doublings
            assert len(asked) <= most


def test_every_track_gets_the_answer_it_deserves(fortnight: Fortnight) -> None:
    site, wrong = fortnight.site, []
    for track, fault in fortnight.answered.items():
        deserved = NOT_A_BOT if site.is_odd(track) else UNAVAILABLE if site.is_deleted(track) else None
        if (fault.reason if fault else None) != (deserved.reason if deserved else None):
            wrong.append((track, fault))
    assert wrong == [], "neither a ban in disguise nor an outage nor a served canary may cost a track"
    assert sum(fault is UNAVAILABLE for _, _, fault in site.bans["direct"] + site.bans["night"]) == 2
    assert len(fortnight.answered) >= fortnight.begun - 8, "tracks were lost"
    assert sum(fault is None for fault in fortnight.answered.values()) > 0.8 * len(fortnight.answered)


def test_doubt_costs_few_probes(fortnight: Fortnight) -> None:
    num_deleted = sum(fault is not None for fault in fortnight.answered.values())
    assert num_deleted > 500
    assert sum(request.is_probe for request in fortnight.requests) < 0.2 * num_deleted


def test_outside_bans_the_pace_is_near_the_budget(fortnight: Fortnight) -> None:
    for name, identity in IDENTITIES.items():
        interval_s = HOUR_S / identity.requests_per_hour
        gaps = [b.begin - a.begin for a, b in itertools.pairwise(fortnight.of(name)) if not (a.is_probe or b.is_probe)]
        usual = [gap for gap in gaps if gap < 10 * interval_s]  # not the day between two nights, nor a cool-down
        assert len(usual) > 0.95 * len(gaps)
        assert min(gaps) >= interval_s
        assert np.mean(usual) <= 1.1 * interval_s


def test_the_harvest_goes_on_by_itself(fortnight: Fortnight) -> None:
    per_day = Counter(int((r.begin - MONDAY) // DAY_S) for r in fortnight.requests if not r.is_probe and not r.fault)
    assert sorted(per_day) == list(range(14))
    assert per_day[13] > 0.5 * max(per_day.values())
