"""Loopback ports for the servers that tests start."""

from __future__ import annotations

import contextlib
import random
import socket


def free_port() -> int:
    """One that nothing listens on, and that no outgoing connection is given before the server takes it."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):  # below those that systems hand out
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("of 100 ports between 20000 and 32000 every one is in use")
