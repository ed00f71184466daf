from __future__ import annotations

import itertools
import random
import threading

import pytest

from data_specs.spec import HarvestSettings
from tasks.harvest.pace import LONGEST_BACKOFF_S, Pace, backoff_s, pace_for


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def paced(per_hour: float | None, clock: Clock, burst: int = 1, jitter: float = 0.25) -> Pace:
    return Pace(per_hour, burst=burst, jitter=jitter, clock=clock, sleep=clock.sleep, rng=random.Random(0))


def test_never_more_than_the_bound_in_any_hour() -> None:
    clock = Clock()
    pace = paced(300, clock)
    begun = []
    for _ in range(1000):
        pace.take()
        begun.append(clock.now)
    distances = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert min(distances) >= 12.0
    assert max(distances) <= 15.0
    assert len(set(distances)) > 900, "jitter is missing"


def test_the_first_track_does_not_wait_and_no_bound_never_waits() -> None:
    clock = Clock()
    assert paced(1, clock).take() == 0.0
    free = paced(None, clock)
    assert [free.take() for _ in range(5)] == [0.0] * 5


def test_a_pause_fills_the_bucket_up_to_its_size_only() -> None:
    clock = Clock()
    pace = paced(3600, clock, burst=3, jitter=0.0)
    assert [pace.take() for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    clock.now += 1_000_000
    assert [pace.take() for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


def test_threads_share_one_rate() -> None:
    waits: list[float] = []
    pace = Pace(3600, jitter=0.0, clock=lambda: 0.0, sleep=waits.append)
    threads = [threading.Thread(target=lambda: [pace.take() for _ in range(25)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [float(n) for n in range(1, 200)]


def test_one_pace_per_network_identity() -> None:
    slow = HarvestSettings(requests_per_hour=100)
    assert pace_for(slow) is pace_for(HarvestSettings(requests_per_hour=100, attempts=7))
    assert pace_for(slow) is not pace_for(HarvestSettings(requests_per_hour=100, proxy="http://127.0.0.1:9"))


def test_backoff_doubles_stays_bounded_and_honours_the_server() -> None:
    rng = random.Random(0)
    for attempt in range(1, 40):
        wait_s = backoff_s(attempt, rng=rng)
        assert min(LONGEST_BACKOFF_S, 2.0 ** (attempt - 1)) / 2 <= wait_s <= LONGEST_BACKOFF_S
    assert backoff_s(1, 90.0, rng) == 90.0
    assert backoff_s(10, 0.0, rng) >= LONGEST_BACKOFF_S / 2


@pytest.mark.parametrize(("per_hour", "burst"), [(0, 1), (-1, 1), (10, 0)])
def test_senseless_rates_are_refused(per_hour: float, burst: int) -> None:
    with pytest.raises(ValueError, match="got"):
        Pace(per_hour, burst=burst)
