from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_specs.spec import RenderedSource
from tasks.demo.site import Site


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ``source`` keeps what it rendered."""
    return tmp_path_factory.mktemp("songs")


@pytest.fixture(scope="module")
def source(cache: Path) -> Iterator[RenderedSource]:
    """Four short songs, one of each format, and all broken pages, being served."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    source = RenderedSource(num_songs=4, port=port, min_duration_s=6, max_duration_s=8)
    with Site(source, cache):
        yield source
