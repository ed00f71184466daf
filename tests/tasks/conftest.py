from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished build of rendered songs: spec and workspace. Copy the workspace before changing it."""
    import socket

    from tests.tasks.builds import rendered, run, write_spec  # a room's own tests do without the other rooms

    folder = tmp_path_factory.mktemp("small")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spec = write_spec(folder, source=rendered(port), split={"test_percent": 30}, partition_size=4)
    run(spec, folder / "work", processes=2)
    return spec, folder / "work"


@pytest.fixture
def copy(small: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    shutil.copytree(small[1], tmp_path / "work")
    return small[0], tmp_path / "work"
