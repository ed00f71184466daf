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
from tasks.harvest.breaker import DOUBTED_AFTER, FIRST_COOLDOWN_S, SHORT_COOLDOWN_S
from tasks.harvest.fetch import until_answered
from tasks.harvest.network import Network, Turn
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


class Site:
    """Has deleted videos, odd ones, bad moments, and bans identities for as long as it likes."""

    def __init__(self, time: VirtualTime, seed: int) -> None:
        self.time = time
        self.log: list[Request | tuple[str, float, str, int | None]] = []
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

    def ask(self, turn: Turn, track: int | None) -> Fault | None:
        begin, name = self.time.now, turn.identity.name
        self.log.append(("begin", begin, name, track))
        fault = self._answer(name, track)
        self.time.sleep(self.rng.uniform(1.0, 4.0) if fault else self.rng.uniform(10.0, 120.0))
        self.log.append(Request(begin, self.time.now, name, track, fault))
        return fault

    def _answer(self, name: str, track: int | None) -> Fault | None:
        now = self.time.now
        if self.outage[0] <= now < self.outage[1]:
            return DOWN
        for begin, end, fault in self.bans[name]:
            if begin <= now < end:
                return fault
        if track is None:
            return None
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
                fault = until_answered(url, network, lambda turn, number: site.ask(turn, track) or track)  # noqa: B023
            except CancelledError:
                return
            answered[track] = fault if isinstance(fault, Fault) else None

    patch = pytest.MonkeyPatch()
    turns: dict[str, Turn] = {n: Turn(identity=i, site="youtube.com", at=0.0) for n, i in IDENTITIES.items()}
    patch.setattr(ytdlp, "probe", lambda url, settings, identity: site.ask(turns[identity.name], None))
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


def test_nothing_is_asked_while_a_breaker_is_open_but_one_canary_at_a_time(fortnight: Fortnight) -> None:
    num_blocks = 0
    for name in IDENTITIES:
        is_open, ends_at, is_probed = False, 0.0, False
        refused: set[int] = set()
        changed_at = 0.0
        for entry in fortnight.site.log:
            if isinstance(entry, Request) and entry.identity == name:
                is_probe, fault = entry.track is None, entry.fault
                is_probed = is_probed and not is_probe
                is_refusal = fault in (NOT_A_BOT, LIMITED) or (is_probe and fault is not None)
                if is_refusal and not is_probe and entry.begin >= changed_at and entry.track not in refused:
                    pause_s = FIRST_COOLDOWN_S if fault is NOT_A_BOT else SETTINGS.cooldown_s
                    is_open, ends_at = True, max(ends_at, entry.end + pause_s)
                    changed_at, num_blocks = entry.end, num_blocks + 1
                elif is_refusal and is_probe:
                    pause_s = SHORT_COOLDOWN_S if fault is DOWN else SETTINGS.cooldown_s
                    is_open, ends_at, changed_at = True, entry.end + pause_s, entry.end
                elif is_probe:
                    is_open, changed_at = False, entry.end
                if is_refusal and not is_probe:
                    assert entry.track is not None
                    refused.add(entry.track)
            elif isinstance(entry, tuple) and entry[2] == name:
                _, begin, _, track = entry
                assert not is_probed, "a request beside a probe"
                assert not is_open or (track is None and begin >= ends_at), (name, begin, ends_at)
                is_probed = track is None
    assert num_blocks >= 6


def test_a_long_ban_costs_few_requests(fortnight: Fortnight) -> None:
    for name in IDENTITIES:
        for begin, end, fault in fortnight.site.bans[name]:
            asked = [r for r in fortnight.of(name) if begin <= r.begin < end]
            most = 6 + 1 + 1 + (end - begin) / SETTINGS.longest_cooldown_s + 4  # workers, first look, doublings
            assert len(asked) <= most + (DOUBTED_AFTER if fault is UNAVAILABLE else 0)


def test_every_track_gets_the_answer_it_deserves(fortnight: Fortnight) -> None:
    site, wrong = fortnight.site, []
    for track, fault in fortnight.answered.items():
        deserved = NOT_A_BOT if site.is_odd(track) else UNAVAILABLE if site.is_deleted(track) else None
        if (fault.reason if fault else None) != (deserved.reason if deserved else None):
            wrong.append((track, fault))
    # Until the canary is asked, a ban in disguise and an outage are believed ``DOUBTED_AFTER`` times each. Where
    # the outage ends in the middle of a track's attempts, a server error can be the last one.
    assert 1 <= len(wrong) <= DOUBTED_AFTER * 2 * len(IDENTITIES)
    assert {fault.reason for _, fault in wrong if fault} <= {Reason.REMOVED, Reason.NETWORK, Reason.SERVER_ERROR}
    assert len(fortnight.answered) >= fortnight.begun - 8, "tracks were lost"
    assert sum(fault is None for fault in fortnight.answered.values()) > 0.8 * len(fortnight.answered)


def test_outside_bans_the_pace_is_near_the_budget(fortnight: Fortnight) -> None:
    for name, identity in IDENTITIES.items():
        interval_s = HOUR_S / identity.requests_per_hour
        gaps = [b.begin - a.begin for a, b in itertools.pairwise(fortnight.of(name)) if None not in (a.track, b.track)]
        usual = [gap for gap in gaps if gap < 10 * interval_s]  # not the day between two nights, nor a cool-down
        assert len(usual) > 0.95 * len(gaps)
        assert min(gaps) >= interval_s
        assert np.mean(usual) <= 1.1 * interval_s


def test_the_harvest_goes_on_by_itself(fortnight: Fortnight) -> None:
    per_day = Counter(
        int((r.begin - MONDAY) // DAY_S) for r in fortnight.requests if r.track is not None and not r.fault
    )
    assert sorted(per_day) == list(range(14))
    assert per_day[13] > 0.5 * max(per_day.values())
