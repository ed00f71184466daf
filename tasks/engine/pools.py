"""Threads and processes that the stages of one build share.

Threads serve stages that wait, for downloads or for answers of a model, processes those that compute
(analysis). Stages of several partitions share them, so a build never uses more than it was given.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Literal, TypeVar

from tasks.engine.errors import BuildError

T = TypeVar("T")
U = TypeVar("U")

PoolKind = Literal["downloads", "requests", "processes"]

CANCEL_WITHIN_S = 0.5


class WorkerCrashed(Exception):
    """The process that worked on an item died (a decoder crashed, the kernel killed it)."""


class Pools:
    """Context manager around two thread pools and one process pool."""

    def __init__(self, num_downloads: int, num_processes: int, num_requests: int = 1) -> None:
        self._num_processes = num_processes
        self._threads = {
            "downloads": ThreadPoolExecutor(num_downloads, thread_name_prefix="download"),
            "requests": ThreadPoolExecutor(num_requests, thread_name_prefix="request"),
        }
        self._processes: ProcessPoolExecutor | None = None
        self._guard = threading.Lock()
        self._one_alone = threading.Lock()
        self.stopped = threading.Event()
        """Set by ``cancel``; work that waits for long waits on it."""

    def map(self, kind: PoolKind, function: Callable[[T], U], items: Sequence[T]) -> Iterator[tuple[T, U | Exception]]:
        """Yield ``(item, result or exception)`` in the order of completion.

        An item whose worker process dies is tried once more in a process of its own, so that one bad
        file can neither stop the build nor take its neighbours down; then it yields ``WorkerCrashed``.

        Raises:
            CancelledError: ``cancel`` was called.
        """
        if kind != "processes":
            threads = self._threads[kind]
            yield from self._collect({threads.submit(function, item): item for item in items})
            return
        crashed: list[T] = []
        for item, result in self._collect(self._submit(function, items)):
            if isinstance(result, BrokenProcessPool):
                crashed.append(item)
            else:
                yield item, result
        for item in crashed:
            self.check()
            with self._one_alone:  # several stages may have lost items: still no more processes than were given
                result = self._alone(function, item)
            yield item, result

    def _submit(self, function: Callable[[T], U], items: Sequence[T]) -> dict[Future[U], T]:
        with self._guard, _deaf_children():
            try:
                if self._processes is None:
                    self._processes = _process_pool(self._num_processes)
                return {self._processes.submit(function, item): item for item in items}
            except BrokenProcessPool:
                self._processes = _process_pool(self._num_processes)
                return {self._processes.submit(function, item): item for item in items}

    def _alone(self, function: Callable[[T], U], item: T) -> U | Exception:
        with _deaf_children(), _process_pool(1) as pool:
            future = pool.submit(function, item)
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                return WorkerCrashed(str(error))
            return future.result() if error is None else _as_exception(error)

    def check(self) -> None:
        """Raise ``CancelledError`` once ``cancel`` was called."""
        if self.stopped.is_set():
            raise CancelledError("the build is being stopped")

    def cancel(self) -> None:
        """End every ``map`` after the items in hand; the rest is not begun."""
        self.stopped.set()

    def _collect(self, futures: dict[Future[U], T]) -> Iterator[tuple[T, U | Exception]]:
        finished: queue.SimpleQueue[Future[U]] = queue.SimpleQueue()
        for future in futures:
            future.add_done_callback(finished.put)
        try:
            for _ in futures:
                future = self._next(finished)
                error = future.exception()
                yield futures[future], future.result() if error is None else _as_exception(error)
        finally:
            for future in futures:  # a consumer that stops early wants no more begun either
                future.cancel()

    def _next(self, finished: queue.SimpleQueue[Future[U]]) -> Future[U]:
        while True:
            self.check()
            try:
                return finished.get(timeout=CANCEL_WITHIN_S)
            except queue.Empty:
                continue

    def __enter__(self) -> Pools:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for threads in self._threads.values():
            threads.shutdown(wait=True, cancel_futures=True)
        if self._processes is not None:
            self._processes.shutdown(wait=True, cancel_futures=True)


def _as_exception(error: BaseException) -> Exception:
    if not isinstance(error, Exception) or isinstance(error, CancelledError):
        raise error  # the build is being stopped, which is nothing that an item did
    return error


def _process_pool(num_processes: int) -> ProcessPoolExecutor:
    # spawn: a forked child of a process with threads can inherit a held lock and hang
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(num_processes, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),))
    try:
        pool.submit(os.getpid).result()
    except BrokenProcessPool as error:
        raise BuildError(
            "analysis processes cannot start (a script that starts a build needs an "
            f"`if __name__ == '__main__':` guard): {error}"
        ) from error
    return pool


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that are started inside never get a Ctrl-C: they inherit the mask. The build alone decides."""
    resource_tracker.ensure_running()  # its own start, on demand, would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(parent: int) -> None:
    """Use one core per worker, and end with the build even if it is killed."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before numpy loads

    def leave_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
