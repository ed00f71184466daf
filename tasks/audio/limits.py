"""How much memory one file may make the decoder take.

A few bytes of an mp4 can claim 200 million samples, for which FFmpeg builds a table of 5 GB before
the first packet. Refused memory is an error like any other to FFmpeg and to numpy; a full machine is not.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STATM = Path("/proc/self/statm")
_STATM_DATA = 5
"""Field of proc_pid_statm(5): pages that ``RLIMIT_DATA`` counts."""


@contextmanager
def memory_bounded(num_bytes: int) -> Iterator[None]:
    """This process can grow by ``num_bytes`` inside; beyond that, allocations raise ``MemoryError``.

    A bound of the process, not of the caller: meant for a worker that does one thing at a time.
    Linux only; elsewhere nothing is bounded.
    """
    if not _STATM.exists():
        yield
        return
    in_use = int(_STATM.read_text().split()[_STATM_DATA]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bounds = [bound for bound in (soft, hard, in_use + num_bytes) if bound != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
