"""Whose turn it is and when, on a fake clock: budgets, windows, clocks, what people see."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from data_specs.network import Identity, NetworkSettings
from tasks.harvest import ytdlp
from tasks.harvest.breaker import FIRST_COOLDOWN_S
from tasks.harvest.network import Network
from tasks.harvest.standing import describe
from tests.tasks.harvest.bench import BOT, HOUR_S, LIMITED, ONE, PLAIN, TWO, URL, Bench
from tests.tasks.harvest.clocks import MONDAY, Clock


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
