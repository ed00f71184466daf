"""Whose turn it is and when, on a fake clock: the real ledger and breaker, no site."""

from __future__ import annotations

import itertools
import random
import sqlite3
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from yt_dlp.utils import DownloadError

from data_specs.network import Identity, NetworkSettings
from data_specs.reasons import Reason
from tasks.engine.errors import BuildError
from tasks.harvest import ledger, ytdlp
from tasks.harvest.breaker import FIRST_COOLDOWN_S, PROBE_LEASE_S, SHORT_COOLDOWN_S, TRACK_LEASE_S
from tasks.harvest.fetch import MOST_REFUSALS, until_answered
from tasks.harvest.ledger import FILE, state_folder
from tasks.harvest.network import LONGEST_HOLD_S, Network, Turn
from tasks.harvest.outcomes import Fault, classify
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
DENIED = Fault(reason=Reason.FORBIDDEN, detail="HTTP Error 403", http_status=403)
LIVE = Fault(reason=Reason.LIVE, detail="live_status is is_live")
NONE = Fault(reason=Reason.NOT_FOUND, detail="HTTP Error 404", http_status=404)
DOWN = Fault(reason=Reason.NETWORK, detail="no route")


class Bench:
    """A network on a fake clock; ``canary`` is what the next canaries find, None once the list is empty."""

    def __init__(self, settings: NetworkSettings, state: Path, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.state = state
        self.events: list[str] = []
        self.canary: list[Fault | None] = []
        self.canaries: list[tuple[float, str]] = []
        self.asked: list[str] = []
        self.network = Network(settings, state=state, clock=self.clock, sleep=self.clock.sleep, rng=random.Random(0))
        self.network.on_event = self.events.append

    def probe(self, url: str, settings: NetworkSettings, identity: Identity) -> Fault | None:
        self.canaries.append((self.clock.now, identity.name))
        self.asked.append(url)
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
    one.canary = [BOT, LIMITED, *[BOT] * 6]
    one.answer(BOT)
    one.answer(None)
    asked = [at for at, _ in one.canaries]
    waits = [later - earlier for earlier, later in itertools.pairwise([MONDAY, *asked])]
    assert waits[0] == pytest.approx(FIRST_COOLDOWN_S, abs=10)
    # A bot check is one doubling behind: its first look cost a minute only.
    assert waits[1:] == pytest.approx([hours * HOUR_S for hours in (1, 4, 4, 8, 16, 24, 24, 24)])
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
    assert PROBE_LEASE_S < TRACK_LEASE_S
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


def test_a_lone_worker_believes_nothing_without_a_probe(one: Bench) -> None:
    for number in range(1, 6):
        assert one.network.believes(one.answer(GONE), GONE)
        assert len(one.canaries) == number
        one.answer(None)
        assert one.network.believes(one.answer(NONE), NONE), "only a site that serves us says so"
        assert len(one.canaries) == number
    assert one.network.status()[0].breaker == "closed"


@pytest.mark.parametrize(("found", "pause_s"), [(GONE, HOUR_S), (BOT, HOUR_S), (DOWN, SHORT_COOLDOWN_S)])
def test_a_block_in_disguise_is_seen(one: Bench, found: Fault, pause_s: float) -> None:
    one.canary = [found]
    assert not one.network.believes(one.answer(GONE), GONE)
    before = one.clock.now
    one.answer(None)
    assert one.clock.now - before == pytest.approx(pause_s, abs=70)


def test_the_probe_is_the_track_that_came_through_last(one: Bench) -> None:
    for name in "abcdef":
        one.answer(None, PLAIN + name)
    one.answer(None)
    one.canary = [GONE, GONE, None]
    assert not one.network.believes(one.answer(GONE, PLAIN), GONE)
    one.answer(None, PLAIN)
    assert one.asked == [PLAIN + name for name in "fed"], "one that was deleted must not close the site for ever"
    one.network.close()
    assert PLAIN.encode() not in (one.state / FILE).read_bytes(), "an address can hold a token"


def test_what_came_through_later_is_believed_without_a_probe(one: Bench) -> None:
    other = one.network.take(URL)
    turn = one.answer(GONE)
    turns: list[Turn] = []

    def meanwhile() -> None:
        if one.clock.now > turn.at + 20 and not turns:
            one.network.report(other, None)  # began earlier: says nothing
            turns.append(one.network.take(URL))
        elif turns and one.clock.now > turns[0].at + 20:
            one.network.report(turns[0], LIVE)

    one.clock.meanwhile = meanwhile
    assert one.network.believes(turn, GONE)
    assert one.canaries == []
    assert one.clock.now > turns[0].at


def test_nobody_holds_an_answer_for_long(one: Bench) -> None:
    one.network.take(URL)  # a download that takes an hour
    assert one.network.believes(one.answer(GONE), GONE)
    assert len(one.canaries) == 1
    assert one.canaries[0][0] - MONDAY == pytest.approx(60 + LONGEST_HOLD_S, abs=20)


def test_who_may_not_ask_for_hours_leaves_the_track_to_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    day = Identity(name="day", requests_per_hour=60, window="08:00-22:00")
    night = Identity(name="night", requests_per_hour=60, window="22:00-08:00", proxy="http://proxy:1")
    bench = Bench(NetworkSettings(identities=(day, night)), tmp_path, Clock(MONDAY + 22 * HOUR_S - 5))
    monkeypatch.setattr(ytdlp, "probe", bench.probe)
    turn = bench.answer(GONE)
    assert turn.identity.name == "day"
    assert not bench.network.believes(turn, GONE)
    assert bench.clock.now < MONDAY + 22 * HOUR_S + 300
    assert bench.network.believes(bench.answer(GONE), GONE)
    assert [name for _, name in bench.canaries] == ["night"]


def test_what_was_doubted_before_a_block_is_tried_again_after_it(one: Bench) -> None:
    turn = one.answer(GONE)
    one.answer(LIMITED)
    one.answer(None)
    assert not one.network.believes(turn, GONE)


def test_what_was_served_before_the_clock_was_set_back_settles_nothing(one: Bench) -> None:
    one.answer(None)
    one.clock.now -= 24 * HOUR_S
    one.canary = [GONE]
    assert not one.network.believes(one.answer(GONE), GONE)


def test_without_an_address_nothing_is_doubted_until_a_track_came_through(one: Bench) -> None:
    assert all(one.network.believes(one.answer(GONE, PLAIN), GONE) for _ in range(30))
    one.answer(None, PLAIN)
    one.canary = [DENIED]
    assert not one.network.believes(one.answer(DENIED, PLAIN), DENIED)


@pytest.mark.parametrize("found", [Reason.GEO_BLOCKED, Reason.NOT_FOUND, Reason.UNSUPPORTED_URL])
def test_a_canary_that_tells_nothing_is_left_out_loudly(one: Bench, found: Reason) -> None:
    one.canary = [Fault(reason=found, detail="cannot be had")]
    assert one.network.believes(one.answer(GONE), GONE)
    assert one.network.believes(one.answer(GONE), GONE)
    asked, event = one.events
    assert asked.endswith("asking whether this is about us. removed")
    assert f"cannot be used, https://www.youtube.com/watch?v=jNQXAC9IVRw: {found}: cannot be had" in event
    one.answer(BOT)
    assert one.network.take(URL).probe, "the track in hand asks"
    assert len(one.canaries) == 1


def test_a_canary_that_was_deleted_does_not_stop_the_harvest_for_ever(one: Bench) -> None:
    one.canary = [GONE] * 1000
    assert not one.network.believes(one.answer(GONE), GONE)
    turn = one.network.take(URL)
    assert turn.probe, "the track in hand asks"
    one.network.report(turn, GONE)
    assert not one.network.believes(turn, GONE), "it can be a block all the same"
    one.answer(None)
    assert one.asked == [*ONE.canary.values()] * 2
    assert one.clock.now - MONDAY < 4 * HOUR_S
    one.canary.clear()
    assert one.network.believes(one.answer(GONE), GONE)
    assert one.asked[-1] == URL


def test_a_stop_or_an_error_in_a_probe_leaves_it_to_the_next(one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    for url in (URL, PLAIN):
        one.answer(LIMITED, url)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(ytdlp, "probe", fail)
            until_answered(url, one.network, fail)
        before = one.clock.now
        one.network.report(one.network.take(url), None)
        assert one.clock.now - before <= 2 * 66.0
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ytdlp, "probe", fail)
        one.network.believes(one.answer(GONE), GONE)
    before = one.clock.now
    one.answer(None)
    assert one.clock.now - before <= 66.0


def test_an_odd_track_is_told_from_a_block_once_others_came_through(two: Bench) -> None:
    for name in "ab":
        two.answer(None, URL + name)
    asked: list[str] = []

    def refuse(turn: Turn, number: int) -> Fault:
        asked.append(turn.identity.name)
        return BOT

    begun = two.clock.now
    fault = until_answered(URL, two.network, refuse)
    assert isinstance(fault, Fault)
    assert fault.reason is Reason.BOT_CHECK
    assert fault.detail == "not a bot (3 attempts)"
    assert sorted(asked) in (["a", "a", "b"], ["a", "b", "b"]), "one twice, and every one"
    assert two.clock.now - begun < 300
    two.clock.now += HOUR_S
    before = two.clock.now
    two.answer(None)
    assert two.clock.now - before <= 66.0 + FIRST_COOLDOWN_S


def test_a_canary_alone_gives_no_track_up(one: Bench) -> None:
    """The famous page is served, all others are refused, for three days."""
    until = MONDAY + 3 * 24 * HOUR_S
    result = until_answered(URL, one.network, lambda turn, number: BOT if turn.at < until else number)
    assert isinstance(result, int)
    assert result <= 10
    assert set(one.asked) == set(ONE.canary.values())


@pytest.mark.parametrize("url", [URL, PLAIN])
def test_a_track_that_nobody_serves_is_given_up_in_the_end(one: Bench, url: str) -> None:
    fault = until_answered(url, one.network, lambda turn, number: LIMITED)
    assert isinstance(fault, Fault)
    assert fault.detail == f"try again later ({MOST_REFUSALS} attempts)"
    days = (one.clock.now - MONDAY) / (24 * HOUR_S)
    assert days == pytest.approx((1 + 2 + 4 + 8 + 16) / 24 + (MOST_REFUSALS - 6), abs=0.1)


def test_builds_that_name_different_rates_keep_to_the_lowest(one: Bench, tmp_path: Path) -> None:
    fast = Bench(NetworkSettings(identities=(Identity(requests_per_hour=3600),)), tmp_path, one.clock)
    fast.answer(None)
    begun: list[float] = []
    waiting_s = one.network._begin(URL, "youtube.com", ONE.identities)
    assert isinstance(waiting_s, float), "it has not begun anything, and its rate counts"
    until = one.clock.now + HOUR_S
    while one.clock.now < until:
        begun.append(fast.answer(None).at)
        if len(begun) % 20 == 0:
            begun.append(one.answer(None).at)
    assert len(begun) <= 60
    assert min(later - earlier for earlier, later in itertools.pairwise(begun)) >= 60.0
    one.clock.now += 2 * HOUR_S
    for _ in range(3):
        fast.answer(None)
    before = one.clock.now
    fast.answer(None)
    assert one.clock.now - before < 2.0, "the other build has ended"


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
def test_the_time_that_is_announced_is_the_time_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_tracks: int
) -> None:
    settings = NetworkSettings(
        identities=(
            Identity(name="a", requests_per_hour=60),
            Identity(name="b", requests_per_hour=120, window="22:00-08:00", proxy="http://proxy:1"),
        ),
    )
    bench = Bench(settings, tmp_path, Clock(MONDAY + 5 * HOUR_S))
    monkeypatch.setattr(ytdlp, "probe", bench.probe)
    bench.answer(LIMITED, PLAIN)
    eta_s = bench.network.eta_s(num_tracks, "example.org")
    begun = bench.clock.now
    for _ in range(num_tracks):
        bench.answer(None, PLAIN)
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
    books = one.network._books()
    with books.transaction():
        assert books.num_grants(ONE.identities[0].key, "youtube.com", 0.0) <= 17
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


def test_no_password_of_a_proxy_is_written_with_a_fault(one: Bench) -> None:
    words = "Unable to connect to proxy http://user:hunter2@proxy.example:8080/ (HTTP Error 429: Too Many Requests)"
    fault = classify(DownloadError(words))
    assert fault.reason is Reason.RATE_LIMITED
    one.answer(fault)
    (status,) = one.network.status()
    assert "proxy.example:8080" in status.why
    one.network.close()
    assert b"hunter" not in (one.state / FILE).read_bytes()


def test_a_file_that_is_locked_is_waited_for(one: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "LOCKED_WITHIN_S", 0.05)
    one.answer(None)
    one.network.close()
    other = sqlite3.connect(one.state / FILE, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.5, other.rollback)
    timer.start()
    one.answer(None)
    assert timer.finished.is_set()
    timer.join()
    other.execute("BEGIN EXCLUSIVE")
    one.network._stopped.set()
    with pytest.raises(CancelledError, match="being stopped"):
        one.network._begin(URL, "youtube.com", ONE.identities)
    other.close()


def test_answers_that_only_a_serving_site_gives_forgive(one: Bench) -> None:
    one.answer(LIMITED, PLAIN)
    one.answer(NONE, PLAIN)  # the probe
    one.answer(LIMITED, PLAIN)
    before = one.clock.now
    one.answer(LIVE, PLAIN)
    assert one.clock.now - before == pytest.approx(HOUR_S)
    fault = until_answered(PLAIN, one.network, lambda turn, number: LIVE)
    assert fault == LIVE
    books = one.network._books()
    with books.transaction(reading=True):
        assert books.breaker(ONE.identities[0].key, "example.org").track_at == one.clock.now
