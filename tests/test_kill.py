"""A build that is killed at any moment and run again leaves the bytes of one that never was.

Two proofs: kills at random moments of whole builds, and a kill at every single operation that makes
something permanent.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
NUM_RANDOM_KILLS = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def write_spec(folder: Path, port: int, num_songs: int = 6) -> Path:
    source = {"type": "rendered", "num_songs": num_songs, "port": port, "min_duration_s": 30, "max_duration_s": 36}
    spec = {"name": "kill", "source": source, "split": {"test_percent": 30}, "partition_size": 3}
    path = folder / "kill.yaml"
    path.write_text(yaml.safe_dump({**spec, "audio": {"min_duration_s": 20}}))
    (folder / "network.yaml").write_text("attempts: 1\n")
    return path


def start(spec: Path, workspace: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tasks.cli", "build", str(spec), "--workspace", str(workspace), "--processes", "2"]
    command += ["--network", str(spec.parent / "network.yaml")]
    return subprocess.Popen(
        [*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(spec: Path, workspace: Path) -> None:
    process = start(spec, workspace)
    _, said = process.communicate()
    assert process.returncode == 0, said.decode()


def published(workspace: Path) -> dict[str, str]:
    """Hashes of all that a build publishes, and that nothing half-written stands beside it."""
    assert not list(workspace.rglob("*.partial-*"))
    assert not (workspace / "journal").exists()
    tables = [workspace / f"{name}.parquet" for name in ("manifest", "shards", "features")]
    files = [*workspace.glob("shards/*.tar"), *workspace.glob("shards/*.json"), *workspace.glob("features/*.npy")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (*tables, *files)}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], float]:
    import socket

    folder = tmp_path_factory.mktemp("kill")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spec = write_spec(folder, port)
    started = time.monotonic()
    finish(spec, folder / "whole")
    return spec, published(folder / "whole"), time.monotonic() - started


def test_random_kills(uninterrupted: tuple[Path, dict[str, str], float], tmp_path: Path) -> None:
    spec, expected, seconds = uninterrupted
    rng = random.Random(20261123)
    killed_at = []
    workspace, kills_here = tmp_path / "0", 0
    while len(killed_at) < NUM_RANDOM_KILLS:
        moment = rng.uniform(0.5, seconds)
        process = start(spec, workspace)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)  # the build alone: its workers must notice by themselves
            killed_at.append(moment)
            kills_here += 1
        process.communicate()
        # A few kills in a row, then the proof, then a fresh workspace.
        if process.returncode == 0 or kills_here == 4:
            finish(spec, workspace)
            assert published(workspace) == expected, f"after kills at {killed_at[-kills_here:]}"
            workspace, kills_here = tmp_path / str(len(killed_at)), 0
    print(f"{len(killed_at)} kills survived, at seconds {[round(moment, 1) for moment in killed_at]} of {seconds:.1f}")


DIE_AT_RENAME = """
import os, signal, sys
die_at = int(sys.argv[1])
count, real = 0, os.replace
def replace(*arguments):
    global count
    count += 1
    real(*arguments)
    if count == die_at:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
from tasks.cli import main
sys.exit(main(sys.argv[2:]))
"""


# A download is renamed before its journal line is written, and the site renames what it renders: a run
# that died at its very first rename would never get on. Dying at the third one, each run finishes something.
def test_a_kill_after_one_rename_after_another(
    tmp_path: Path, uninterrupted: tuple[Path, dict[str, str], float]
) -> None:
    """Files become permanent by ``os.replace``; the build dies right after one after another of its main process."""
    spec, expected, _ = uninterrupted
    workspace = tmp_path / "work"
    command = [sys.executable, "-c", DIE_AT_RENAME, "3", "build", str(spec), "--workspace", str(workspace)]
    command += ["--downloads", "1", "--processes", "1"]
    survived = 0
    while (done := subprocess.run(command, cwd=ROOT, capture_output=True, check=False)).returncode == -signal.SIGKILL:
        survived += 1
        assert survived < 100
    assert done.returncode == 0, done.stderr.decode()
    assert published(workspace) == expected
    assert survived > 10
    print(f"{survived} kills after a rename survived")
