"""Whose turn it is and when, on a fake clock: the real ledger and breaker, no site."""

from __future__ import annotations

import itertools
import random
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from data_specs.network import Identity, NetworkSettings
from data_specs.reasons import Reason
from tasks.engine.errors import BuildError
from tasks.harvest import ytdlp
from tasks.harvest.breaker import CANARY_LEASE_S, DOUBTED_AFTER, FIRST_COOLDOWN_S, SHORT_COOLDOWN_S, TRACK_LEASE_S
from tasks.harvest.fetch import MOST_REFUSALS, until_answered
from tasks.harvest.ledger import FILE, state_folder
from tasks.harvest.network import Network, Turn
from tasks.harvest.outcomes import Fault
from tasks.harvest.sites import site_of
from tasks.harvest.standing import describe
from tests.tasks.harvest.clocks import MONDAY, Clock

URL = "https://www.youtube.com/watch?v=a"
PLAIN = "https://example.org/a"
HOUR_S = 3600.0
ONE = NetworkSettings(identities=(Identity(requests_per_hour=60),))
TWO = NetworkSettings(
    identities=(
        Identity(name="a", requests_per_hour=60),
        Identity(name="b", requests_per_hour=60, proxy="http://[::1]:9"),
    )
)
BOT = Fault(reason=Reason.BOT_CHECK, detail="not a bot")
LIMITED = Fault(reason=Reason.RATE_LIMITED, detail="try again later")
GONE = Fault(reason=Reason.REMOVED, detail="Video unavailable")
DOWN = Fault(reason=Reason.NETWORK, detail="no route")


class Bench:
    """A network on a fake clock; ``canary`` is what the next canaries find, None once the list is empty."""

    def __init__(self, settings: NetworkSettings, state: Path, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.events: list[str] = []
        self.canary: list[Fault | None] = []
        self.canaries: list[tuple[float, str]] = []
        self.network = Network(settings, state=state, clock=self.clock, sleep=self.clock.sleep, rng=random.Random(0))
        self.network.on_event = self.events.append

    def probe(self, url: str, settings: NetworkSettings, identity: Identity) -> Fault | None:
        self.canaries.append((self.clock.now, identity.name))
        return self.canary.pop(0) if self.canary else None

    def answer(self, fault: Fault | None, url: str = URL) -> Turn:
        """Take a turn and report its answer."""
        turn = self.network.take(url)
        self.network.report(turn, fault)
        return turn


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(ONE, tmp_path)
    monkeypatch.setattr(ytdlp, "probe", bench.probe)
    return bench


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(TWO, tmp_path)
    monkeypatch.setattr(ytdlp, "probe", bench.probe)
    return bench


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.YouTube.com/watch?v=a", "youtube.com"),
        ("https://music.youtube.com:443/watch?v=a", "youtube.com"),
        ("https://m.youtube.com/watch?v=a", "youtube.com"),
        ("https://youtu.be/a", "youtube.com"),
        ("https://www.m.example.org/a", "m.example.org"),
        ("https://user:secret@example.org:8080/a", "example.org"),
        ("http://127.0.0.1:8000/a", "127.0.0.1:8000"),
        ("http://user:secret@localhost:1/a", "localhost:1"),
        ("http://[::1]:7/a", "[::1]:7"),
    ],
)
def test_every_address_of_a_site_counts_for_it(url: str, site: str) -> None:
    assert site_of(url) == site


def test_an_address_without_host_is_refused() -> None:
    with pytest.raises(ValueError, match="https:///a: expected an address with a host"):
        site_of("https:///a")


def test_the_first_turn_does_not_wait_and_the_next_keep_their_distance(one: Bench) -> None:
    turns = [one.answer(None).at for _ in range(200)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert turns[0] == MONDAY
    assert 60.0 <= min(gaps) <= max(gaps) <= 66.0
    assert len(set(gaps)) > 150, "jitter is missing"
    assert sum(gaps) / len(gaps) == pytest.approx(63.0, abs=0.3)


def test_budgets_of_identities_add_up_and_sites_have_their_own(two: Bench) -> None:
    turns = [two.answer(None) for _ in range(100)]
    assert two.clock.now - MONDAY == pytest.approx(50 * 63.0, rel=0.05)
    for name in "ab":
        begun = [turn.at for turn in turns if turn.identity.name == name]
        assert len(begun) == pytest.approx(50, abs=3)
        assert min(later - earlier for earlier, later in itertools.pairwise(begun)) >= 60.0
    before = two.clock.now
    two.answer(None, PLAIN)
    assert two.clock.now == before


def test_a_restart_goes_on_where_the_last_process_was(one: Bench, tmp_path: Path) -> None:
    one.answer(None)
    one.answer(BOT)
    one.network.close()
    again = Bench(ONE, tmp_path, one.clock)
    turn = again.answer(None)
    assert turn.at >= one.clock.now
    assert sum(again.clock.slept) == pytest.approx(60 + FIRST_COOLDOWN_S + 60, abs=20)


def test_windows_are_waited_for_and_the_other_identity_goes_on(tmp_path: Path) -> None:
    night = Identity(name="night", requests_per_hour=60, window="22:00-08:00")
    noon = Clock(MONDAY + 12 * HOUR_S)
    alone = Bench(NetworkSettings(identities=(night,)), tmp_path / "1", noon)
    assert alone.answer(None).at == pytest.approx(MONDAY + 22 * HOUR_S)
    day = Identity(name="day", requests_per_hour=30, proxy="http://proxy:1")
    both = Bench(NetworkSettings(identities=(night, day)), tmp_path / "2", Clock(MONDAY + 7.5 * HOUR_S))
    begun = [both.answer(None) for _ in range(100)]
    late = [turn.at for turn in begun if turn.identity.name == "night"]
    assert late and max(late) < MONDAY + 8 * HOUR_S
    assert {turn.identity.name for turn in begun[-20:]} == {"day"}


def test_a_clock_that_jumps_blocks_for_one_interval_at_most(one: Bench) -> None:
    one.clock.now += 400 * 24 * HOUR_S
    one.answer(None)
    one.clock.now = MONDAY  # it was wrong before
    one.answer(None)
    assert one.clock.now - MONDAY <= 66.0
    one.clock.now += 400 * 24 * HOUR_S
    assert one.network.take(URL).probe is None
    one.answer(BOT)
    one.clock.now = MONDAY
    one.answer(None)
    assert one.clock.now - MONDAY <= 66.0 + FIRST_COOLDOWN_S


def test_this_machine_is_neither_paced_nor_recorded(tmp_path: Path) -> None:
    proxied = Identity(name="far", proxy="http://proxy:1")
    bench = Bench(NetworkSettings(identities=(proxied,)), tmp_path)
    for url in ("http://127.0.0.1:8000/a", "http://localhost/b", "http://127.8.8.8/c", "http://[::1]:7/d"):
        for _ in range(3):
            turn = bench.answer(BOT, url)
            assert turn.is_own
            assert turn.identity.proxy is None, "a proxy would look for our address on its own machine"
    assert bench.clock.slept == []
    assert list(tmp_path.iterdir()) == []
    assert bench.network.eta_s(10, "127.0.0.1:8000") is None


def test_a_block_stops_one_identity_and_the_other_takes_the_track(two: Bench) -> None:
    assert two.answer(BOT).identity.name == "a"
    begun = two.clock.now
    assert two.answer(None).identity.name == "b"
    assert two.clock.now == begun
    assert {two.answer(None, PLAIN).identity.name for _ in range(2)} == {"a", "b"}, "another site is another matter"


def test_cool_downs_grow_until_a_track_comes_through(one: Bench) -> None:
    one.canary = [BOT, LIMITED, GONE, *[BOT] * 5]
    one.answer(BOT)
    one.answer(None)
    asked = [at for at, _ in one.canaries]
    waits = [later - earlier for earlier, later in itertools.pairwise([MONDAY, *asked])]
    assert waits[0] == pytest.approx(FIRST_COOLDOWN_S, abs=10)
    # A bot check is one doubling behind: its first look cost a minute only.
    assert waits[1:] == pytest.approx([hours * HOUR_S for hours in (1, 4, 8, 8, 16, 24, 24, 24)])
    one.answer(BOT)
    one.canaries.clear()
    before = one.clock.now
    one.answer(None)
    assert one.canaries[0][0] - before == pytest.approx(FIRST_COOLDOWN_S, abs=10), "a track in between forgives"


def test_a_canary_that_comes_through_alone_does_not_forgive(one: Bench) -> None:
    one.answer(BOT)
    one.answer(BOT)  # after the canary: another track
    before = one.clock.now
    one.answer(None)
    assert one.canaries[-1][0] - before == pytest.approx(one.network.settings.cooldown_s)


def test_a_rate_limit_pauses_as_long_as_the_server_asks(one: Bench) -> None:
    one.answer(Fault(reason=Reason.RATE_LIMITED, detail="429", http_status=429, retry_after_s=5 * HOUR_S))
    one.answer(None)
    assert one.canaries[0][0] - MONDAY == 5 * HOUR_S
    one.answer(Fault(reason=Reason.RATE_LIMITED, detail="429", http_status=429, retry_after_s=1e9))
    before = one.clock.now
    one.answer(None)
    assert one.canaries[1][0] - before == one.network.settings.longest_cooldown_s


def test_a_dead_network_is_looked_at_again_soon_and_costs_no_doubling(one: Bench) -> None:
    one.canary = [DOWN] * 10
    one.answer(BOT)
    one.answer(None)
    waits = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(one.canaries)]
    assert waits == pytest.approx([SHORT_COOLDOWN_S] * 10)


def test_a_prober_that_was_killed_does_not_block_for_ever(one: Bench) -> None:
    one.answer(LIMITED, PLAIN)
    assert one.network.take(PLAIN).probe, "no canary there: the track in hand asks"
    taken = one.clock.now
    second = one.network.take(PLAIN)
    assert second.probe
    assert one.clock.now == pytest.approx(taken + TRACK_LEASE_S, abs=6)
    assert CANARY_LEASE_S < TRACK_LEASE_S
    one.network.report(second, None)
    assert one.network.take(PLAIN).probe is None


def test_old_news_changes_nothing(two: Bench) -> None:
    early = [two.network.take(URL) for _ in range(8)]
    for turn in early:
        two.network.report(turn, LIMITED)
    assert sum("no requests before" in event for event in two.events) == 2, "eight workers count as one block"
    two.answer(None)
    for turn in early:
        two.network.report(turn, LIMITED)
        two.network.report(turn, None)
    assert sum("no requests before" in event for event in two.events) == 2


def test_a_row_of_gone_tracks_is_believed_when_the_canary_is_there(one: Bench) -> None:
    for _ in range(DOUBTED_AFTER):
        assert one.network.believes(one.answer(GONE), GONE)
    assert one.canaries == []
    assert one.network.believes(one.answer(GONE), GONE)
    assert len(one.canaries) == 1
    for _ in range(DOUBTED_AFTER):
        assert one.network.believes(one.answer(GONE), GONE)
    assert len(one.canaries) == 1
    one.answer(None)
    for _ in range(DOUBTED_AFTER):
        assert one.network.believes(one.answer(DOWN), DOWN)
    assert len(one.canaries) == 1, "a success in between begins a new count"


@pytest.mark.parametrize(("found", "pause_s"), [(GONE, HOUR_S), (BOT, HOUR_S), (DOWN, SHORT_COOLDOWN_S)])
def test_a_block_in_disguise_is_seen(one: Bench, found: Fault, pause_s: float) -> None:
    one.canary = [found]
    for _ in range(DOUBTED_AFTER):
        assert one.network.believes(one.answer(GONE), GONE)
    assert not one.network.believes(one.answer(GONE), GONE)
    before = one.clock.now
    one.answer(None)
    assert one.clock.now - before == pytest.approx(pause_s, abs=70)


def test_without_a_canary_nothing_is_doubted(one: Bench) -> None:
    assert all(one.network.believes(one.answer(GONE, PLAIN), GONE) for _ in range(30))


def test_a_track_that_is_always_refused_is_told_from_a_block(two: Bench) -> None:
    asked: list[str] = []

    def refuse(turn: Turn, number: int) -> Fault:
        asked.append(turn.identity.name)
        return BOT

    fault = until_answered(URL, two.network, refuse)
    assert isinstance(fault, Fault)
    assert fault.reason is Reason.BOT_CHECK
    assert fault.detail == "not a bot (3 attempts)"
    assert sorted(asked) in (["a", "a", "b"], ["a", "b", "b"])
    assert two.clock.now - MONDAY < 300
    two.clock.now += HOUR_S
    before = two.clock.now
    two.answer(None)
    assert two.clock.now - before <= 66.0 + FIRST_COOLDOWN_S, "the breaker is closed again"


def test_a_track_that_nobody_serves_is_given_up_without_a_canary_too(one: Bench) -> None:
    fault = until_answered(PLAIN, one.network, lambda turn, number: LIMITED)
    assert isinstance(fault, Fault)
    assert fault.detail == f"try again later ({MOST_REFUSALS + 1} attempts)"
    days = (one.clock.now - MONDAY) / (24 * HOUR_S)
    assert days == pytest.approx((1 + 2 + 4 + 8 + 16) / 24 + (MOST_REFUSALS - 5), abs=0.1)


def test_stopping_ends_every_wait(tmp_path: Path) -> None:
    stopped = threading.Event()
    with Network(ONE, state=tmp_path, stopped=stopped) as network:
        network.report(network.take(URL), LIMITED)
        waiting: list[BaseException] = []

        def wait() -> None:
            try:
                network.take(URL)
            except CancelledError as error:
                waiting.append(error)

        threads = [threading.Thread(target=wait) for _ in range(4)]
        for thread in threads:
            thread.start()
        stopped.set()
        for thread in threads:
            thread.join(timeout=5)
        assert len(waiting) == 4
        with pytest.raises(CancelledError, match="being stopped"):
            network.take("http://127.0.0.1/")


def test_people_see_how_it_stands(two: Bench, tmp_path: Path) -> None:
    assert two.network.status() == []
    for _ in range(10):
        two.answer(None)
    two.answer(LIMITED)
    beside = Bench(TWO, tmp_path, two.clock)  # collap status, in another process
    a, b = beside.network.status()
    assert (a.name, b.name, a.site) == ("a", "b", "youtube.com")
    assert a.num_last_hour + b.num_last_hour == a.num_last_day + b.num_last_day == 11
    blocked, free = (a, b) if a.breaker == "open" else (b, a)
    assert (free.breaker, free.why) == ("closed", "")
    assert blocked.why == "rate_limited: try again later"
    assert blocked.next_at == two.clock.now + HOUR_S
    lines = describe([blocked, free])
    assert f"{blocked.name} at youtube.com: {blocked.num_last_hour} of 60 requests in the last hour" in lines[0]
    assert "no requests before 2026-11-30 01:05 UTC. rate_limited: try again later" in lines[0]
    assert "next from 2026-11-30 00:0" in lines[1]
    two.clock.now += 2 * HOUR_S
    assert [s.num_last_hour for s in beside.network.status()] == [0, 0]


@pytest.mark.parametrize("num_tracks", [0, 1, 200])
def test_the_time_that_is_announced_is_the_time_it_takes(tmp_path: Path, num_tracks: int) -> None:
    settings = NetworkSettings(
        identities=(
            Identity(name="a", requests_per_hour=60),
            Identity(name="b", requests_per_hour=120, window="22:00-08:00", proxy="http://proxy:1"),
        ),
        canary={},
    )
    bench = Bench(settings, tmp_path, Clock(MONDAY + 5 * HOUR_S))
    bench.answer(LIMITED)
    eta_s = bench.network.eta_s(num_tracks, "youtube.com")
    begun = bench.clock.now
    for _ in range(num_tracks):
        bench.answer(None)
    assert eta_s == pytest.approx(bench.clock.now - begun, rel=0.03, abs=130)


def test_the_ledger_stays_where_it_was_put_and_small(
    one: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLAP_STATE", "/a")
    assert state_folder() == Path("/a")
    monkeypatch.delenv("COLLAP_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", "/b")
    assert state_folder() == Path("/b/collap")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert state_folder() == Path("/c/.local/state/collap")
    for _ in range(50):
        one.answer(None)
        one.clock.now += 3 * HOUR_S
    ledger = one.network._books()
    with ledger.transaction():
        assert ledger.num_grants(ONE.identities[0].key, "youtube.com", 0.0) <= 17
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_ledger_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(BuildError, match="remove the file if it is damaged"):
        Network(ONE, state=tmp_path).take(URL)
    with pytest.raises(BuildError, match="Set COLLAP_STATE to a folder"):
        Network(ONE, state=tmp_path / FILE / "below").take(URL)


def test_no_secret_is_written(tmp_path: Path) -> None:
    secret = Identity(name="s", proxy="http://user:hunter2@proxy:1", cookies="/home/me/hunter3.txt")
    bench = Bench(NetworkSettings(identities=(secret,)), tmp_path)
    bench.answer(LIMITED)
    bench.network.close()
    assert b"hunter" not in (tmp_path / FILE).read_bytes()
