from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.harvest.pace import JITTER, LONGEST_BACKOFF_S, backoff_s, gap_s, mean_rate, open_s, opens_at

MINUTES_PER_DAY = 1440

windows = st.none() | st.tuples(st.integers(0, 1439), st.integers(0, 1439)).filter(lambda w: w[0] != w[1])
moments = st.integers(0, 3 * MINUTES_PER_DAY)


def naive_inside(minute: int, window: tuple[int, int] | None) -> bool:
    if window is None:
        return True
    begin, end = window
    of_day = minute % MINUTES_PER_DAY
    return begin <= of_day < end if begin < end else of_day >= begin or of_day < end


@given(moments, windows)
def test_a_window_opens_at_the_first_minute_inside_it(minute: int, window: tuple[int, int] | None) -> None:
    naive = next(m for m in range(minute, minute + MINUTES_PER_DAY) if naive_inside(m, window))
    assert opens_at(minute * 60.0, window) == naive * 60.0
    assert opens_at(opens_at(minute * 60.0, window), window) == naive * 60.0


@given(moments, moments, windows)
def test_the_time_inside_a_window_is_that_of_its_minutes(a: int, b: int, window: tuple[int, int] | None) -> None:
    begin, end = sorted((a, b))
    assert open_s(begin * 60.0, end * 60.0, window) == 60.0 * sum(naive_inside(m, window) for m in range(begin, end))
    assert begin == end or open_s(end * 60.0, begin * 60.0, window) == 0.0


def test_jitter_only_lengthens() -> None:
    assert gap_s(180, 0.0) == 20.0
    assert gap_s(180, 1.0) == 20.0 * (1 + JITTER)
    assert 0.95 * 180 < mean_rate(180) < 180


def test_backoff_doubles_stays_bounded_and_honours_the_server() -> None:
    rng = random.Random(0)
    for attempt in range(1, 40):
        wait_s = backoff_s(attempt, rng=rng)
        assert min(LONGEST_BACKOFF_S, 2.0 ** (attempt - 1)) / 2 <= wait_s <= LONGEST_BACKOFF_S
    assert backoff_s(1, 90.0, rng) == 90.0
    assert backoff_s(10, 0.0, rng) >= LONGEST_BACKOFF_S / 2


@pytest.mark.parametrize("window", [(0, 1439), (1439, 0), (1320, 480)])
def test_a_window_that_just_opened_is_open_for_fractions_too(window: tuple[int, int]) -> None:
    for time_s in (1_795_996_800.0 + 0.1, 1_795_996_799.9, 1_795_996_800.0 + window[0] * 60 - 1e-6):
        opening = opens_at(time_s, window)
        assert time_s <= opening < time_s + 86_400
        assert opens_at(opening, window) - opening < 1e-6
