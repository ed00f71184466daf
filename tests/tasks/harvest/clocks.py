"""Time that passes only while somebody sleeps."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Sequence

MONDAY = 1_795_996_800.0
"""A midnight, UTC."""


class Clock:
    """For one thread."""

    def __init__(self, now: float = MONDAY) -> None:
        self.now = now
        self.slept: list[float] = []
        self.meanwhile: Callable[[], None] = lambda: None
        """Called at the end of each sleep: what another thread did."""

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.meanwhile()


class VirtualTime:
    """For many: a discrete-event simulation whose workers are real threads.

    Exactly one runs at a time. Who sleeps hands over to the one that wakes first, so days pass as
    fast as the program itself computes, in the same order in every run.
    """

    def __init__(self, now: float = MONDAY) -> None:
        self.now = now
        self._order = itertools.count()
        self._sleeping: list[tuple[float, int, threading.Event]] = []
        self._over = threading.Event()
        self._errors: list[BaseException] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        wake = threading.Event()
        heapq.heappush(self._sleeping, (self.now + seconds, next(self._order), wake))
        self._hand_over()
        wake.wait()

    def run(self, works: Sequence[Callable[[], None]]) -> None:
        """Run every work to its end; raises the first exception of one."""

        def worker(work: Callable[[], None], wake: threading.Event) -> None:
            wake.wait()
            try:
                work()
            except BaseException as error:
                self._errors.append(error)
            self._hand_over()

        for work in works:
            wake = threading.Event()
            heapq.heappush(self._sleeping, (self.now, next(self._order), wake))
            threading.Thread(target=worker, args=(work, wake), daemon=True).start()
        self._hand_over()
        self._over.wait()
        if self._errors:
            raise self._errors[0]

    def _hand_over(self) -> None:
        if not self._sleeping or self._errors:
            self._over.set()
            return
        self.now, _, wake = heapq.heappop(self._sleeping)
        wake.set()
