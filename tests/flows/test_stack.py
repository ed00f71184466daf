"""The stack as a user starts it: server, worker, deployments, and a run typed in a shell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture
def stack(tmp_path: Path, free_port: int) -> Iterator[Path]:
    """A copy of the repository with its own server and worker, so that a running one is not disturbed."""
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True
    )
    clone = tmp_path / "clone"
    for name in files.stdout.splitlines():
        if (REPOSITORY / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((REPOSITORY / name).read_bytes())
    script = [sys.executable, "deployments/local.py"]
    subprocess.run([*script, "up", "--port", str(free_port)], cwd=clone, check=True)
    yield clone
    subprocess.run([*script, "down"], cwd=clone, check=True)
    assert not (clone / ".env").exists()


def test_a_deployment_typed_in_a_shell_finishes(stack: Path, free_port: int) -> None:
    spec = (stack / "data_specs" / "demo.yaml").read_text()
    (stack / "data_specs" / "small.yaml").write_text(
        spec.replace("name: demo", "name: small").replace("seed: 0", f"seed: 0\n  port: {next_port(free_port)}")
    )
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("PREFECT_HOME", None)
    typed = (
        "prefect deployment run build-dataset/demo --watch "
        '--param \'config={"spec": "data_specs/small.yaml", "limit": 12}\''
    )
    done = subprocess.run(typed, shell=True, cwd=stack, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + (stack / ".prefect" / "worker.log").read_text()
    assert (stack / "runs" / "small-first-12" / "manifest.parquet").exists()


def next_port(taken: int) -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    assert port != taken
    return port
