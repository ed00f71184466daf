"""When a request may begin and how long to wait after a fault: plain functions of the time.

Times are Unix seconds, so that they mean the same to every process of the machine and after a
reboot. Jitter only ever lengthens a distance: ``requests_per_hour`` is an upper bound, and an
identity reaches ``mean_rate`` of it.
"""

from __future__ import annotations

import random

SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86_400.0

JITTER = 0.1

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 60.0


def gap_s(requests_per_hour: float, jitter: float) -> float:
    """Seconds from one request to the next; ``jitter`` in 0..1 was drawn when the first one began."""
    return SECONDS_PER_HOUR / requests_per_hour * (1.0 + JITTER * jitter)


def mean_rate(requests_per_hour: float) -> float:
    """Requests per hour that the mean distance gives."""
    return SECONDS_PER_HOUR / gap_s(requests_per_hour, 0.5)


def opens_at(time_s: float, window_minutes: tuple[int, int] | None) -> float:
    """The first moment from ``time_s`` on that lies inside the daily window (minutes of the day, UTC)."""
    if window_minutes is None:
        return time_s
    begin_s, length_s = _begin_and_length_s(window_minutes)
    since_s = (time_s - begin_s) % SECONDS_PER_DAY
    return time_s if since_s < length_s else time_s + SECONDS_PER_DAY - since_s


def open_s(begin_s: float, end_s: float, window_minutes: tuple[int, int] | None) -> float:
    """Seconds between two moments that lie inside the daily window."""
    if window_minutes is None:
        return max(0.0, end_s - begin_s)
    first_s, length_s = _begin_and_length_s(window_minutes)

    def until(time_s: float) -> float:
        days, rest_s = divmod(time_s - first_s, SECONDS_PER_DAY)
        return days * length_s + min(rest_s, length_s)

    return max(0.0, until(end_s) - until(begin_s))


def _begin_and_length_s(window_minutes: tuple[int, int]) -> tuple[float, float]:
    begin_s, end_s = (60.0 * minute for minute in window_minutes)
    return begin_s, (end_s - begin_s) % SECONDS_PER_DAY


def backoff_s(attempt: int, retry_after_s: float | None = None, rng: random.Random | None = None) -> float:
    """Seconds to wait after the failed ``attempt`` (1 is the first).

    Doubles from attempt to attempt, with jitter so that threads which failed together do not come
    back together; never less than the ``Retry-After`` that the server asked for.
    """
    longest_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (attempt - 1))
    own_s = longest_s * (0.5 + 0.5 * (rng or random).random())
    return own_s if retry_after_s is None else max(own_s, retry_after_s)
