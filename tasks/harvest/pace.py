"""How fast tracks are begun, and how long to wait before another attempt.

A site counts requests per network identity (address or cookie jar), not per thread: all threads
of a build that share an identity share one ``Pace``.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from data_specs.spec import HarvestSettings

SECONDS_PER_HOUR = 3600.0

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 60.0


class Pace:
    """A token bucket of ``burst`` tokens that refills at ``per_hour``; None never waits.

    Tokens are handed out in the order of asking. Jitter only ever lengthens the distance between
    two tokens, so ``per_hour`` stays an upper bound.
    """

    def __init__(
        self,
        per_hour: float | None,
        *,
        burst: int = 1,
        jitter: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        if per_hour is not None and per_hour <= 0:
            raise ValueError(f"per_hour must be above 0, got {per_hour}; use None for no bound")
        if burst < 1:
            raise ValueError(f"burst must be at least 1, got {burst}")
        self._interval_s = 0.0 if per_hour is None else SECONDS_PER_HOUR / per_hour
        self._burst = burst
        self._jitter = jitter
        self._clock = clock
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._next_s: float | None = None
        self._guard = threading.Lock()

    def take(self) -> float:
        """Wait for one token; return how long that took, in seconds."""
        wait_s = self._reserve()
        if wait_s > 0:
            self._sleep(wait_s)
        return wait_s

    def _reserve(self) -> float:
        if not self._interval_s:
            return 0.0
        with self._guard:
            now = self._clock()
            # A long pause fills the bucket, but never beyond ``burst`` tokens.
            full_since = now - (self._burst - 1) * self._interval_s
            due = full_since if self._next_s is None else max(self._next_s, full_since)
            self._next_s = due + self._interval_s * (1.0 + self._jitter * self._rng.random())
            return max(0.0, due - now)


_paces: dict[tuple[float | None, str | None, str | None], Pace] = {}
_paces_guard = threading.Lock()


def pace_for(settings: HarvestSettings) -> Pace:
    """The one ``Pace`` of this process for the network identity that the settings describe."""
    identity = (settings.requests_per_hour, settings.proxy, settings.cookies)
    with _paces_guard:
        return _paces.setdefault(identity, Pace(settings.requests_per_hour))


def backoff_s(attempt: int, retry_after_s: float | None = None, rng: random.Random | None = None) -> float:
    """Seconds to wait after the failed ``attempt`` (1 is the first).

    Doubles from attempt to attempt, with jitter so that threads which failed together do not come
    back together; never less than the ``Retry-After`` that the server asked for.
    """
    longest_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (attempt - 1))
    own_s = longest_s * (0.5 + 0.5 * (rng or random).random())
    return own_s if retry_after_s is None else max(own_s, retry_after_s)
