from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import CancelledError

import pytest

from tasks.engine.pools import PoolKind, Pools, WorkerCrashed


def double(number: int) -> int:
    return 2 * number


def odd(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def slow(number: int) -> int:
    time.sleep(0.2)
    return number


@pytest.mark.parametrize("kind", ["downloads", "requests", "processes"])
def test_results_come_with_their_items(kind: PoolKind) -> None:
    with Pools(2, 2) as pools:
        assert dict(pools.map(kind, double, range(20))) == {number: 2 * number for number in range(20)}
        assert list(pools.map(kind, double, [])) == []


def test_an_exception_and_a_dead_worker_cost_one_item_each() -> None:
    with Pools(1, 2) as pools:
        results = dict(pools.map("processes", odd, range(8)))
        assert isinstance(results.pop(3), ValueError)
        assert isinstance(results.pop(5), WorkerCrashed)
        assert results == {number: number for number in (0, 1, 2, 4, 6, 7)}
        assert dict(pools.map("processes", double, [1])) == {1: 2}  # the pool is whole again


@pytest.mark.parametrize("kind", ["downloads", "requests", "processes"])
def test_cancel_ends_a_map_after_the_items_in_hand(kind: PoolKind) -> None:
    with Pools(2, 2) as pools:
        done = []
        with pytest.raises(CancelledError):
            for item, _ in pools.map(kind, slow, range(1000)):
                done.append(item)
                if len(done) == 1:
                    threading.Timer(0.1, pools.cancel).start()
    assert len(done) < 20


def test_a_consumer_that_stops_early_begins_nothing_more() -> None:
    started = time.monotonic()
    with Pools(2, 1) as pools:
        for _ in pools.map("downloads", slow, range(1000)):
            break
    assert time.monotonic() - started < 5
