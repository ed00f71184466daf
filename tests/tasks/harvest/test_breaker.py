"""Blocks: who is stopped by one, for how long, and what ends it."""

from __future__ import annotations

import itertools

import pytest

from data_specs.reasons import Reason
from tasks.harvest import ytdlp
from tasks.harvest.breaker import FIRST_COOLDOWN_S, PROBE_LEASE_S, SHORT_COOLDOWN_S, TRACK_LEASE_S
from tasks.harvest.fetch import until_answered
from tasks.harvest.outcomes import Fault
from tests.tasks.harvest.bench import BOT, DOWN, GONE, HOUR_S, LIMITED, LIVE, NONE, ONE, PLAIN, URL, Bench
from tests.tasks.harvest.clocks import MONDAY


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
