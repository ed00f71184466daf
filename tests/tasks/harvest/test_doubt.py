"""Answers that a block can imitate: they are held until the site has shown that it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.network import Identity, NetworkSettings
from data_specs.reasons import Reason
from tasks.harvest import ytdlp
from tasks.harvest.breaker import FIRST_COOLDOWN_S, SHORT_COOLDOWN_S
from tasks.harvest.fetch import MOST_REFUSALS, until_answered
from tasks.harvest.ledger import FILE
from tasks.harvest.network import LONGEST_HOLD_S, Turn
from tasks.harvest.outcomes import Fault
from tests.tasks.harvest.bench import BOT, DENIED, DOWN, GONE, HOUR_S, LIMITED, LIVE, NONE, ONE, PLAIN, URL, Bench
from tests.tasks.harvest.clocks import MONDAY, Clock


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
