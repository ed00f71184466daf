from __future__ import annotations

import fcntl
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from collap_model.extract import main, read_shard
from tests.collap_model.shards import make_shards, write_shard

ROOT = Path(__file__).resolve().parents[2]


def contents(workspace: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (workspace / "features").iterdir()}


def start(workspace: Path, log: Path, *, processes: int = 2) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "collap_model.extract", str(workspace), "--encoder", "spectral"]
    # Of one thread each: matrix products round by how they are shared out.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True)


@pytest.mark.slow
def test_two_processes_killed_and_run_again_leave_what_one_leaves(tmp_path: Path) -> None:
    alone, shared = (make_shards(tmp_path / name, num_shards=12) for name in ("alone", "shared"))
    assert start(alone, tmp_path / "alone.log", processes=1).wait(60) == 0, (tmp_path / "alone.log").read_text()
    process = start(shared, tmp_path / "first.log")
    deadline = time.monotonic() + 60
    while not list(shared.glob("features/*.json")):
        assert process.poll() is None, (tmp_path / "first.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    # torchrun gives its workers sessions of their own: each is killed by itself, and it before it notices.
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, workers)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    left = {path: path.stat().st_mtime_ns for path in shared.glob("features/*.json")}
    assert len(left) < 12
    for path in shared.glob("features/.*"):
        path.unlink()  # as the next build does
    process = start(shared, tmp_path / "second.log")
    assert process.wait(60) == 0, (tmp_path / "second.log").read_text()
    said = (tmp_path / "second.log").read_text()
    assert contents(shared) == contents(alone)
    assert len(list(shared.glob("features/*.json"))) == 12
    whole = [path for path in left if f"{path.stem[:11]} by" not in said]
    assert all(path.stat().st_mtime_ns == left[path] for path in whole)
    assert all(f"process {rank}," in said for rank in (0, 1))


def test_a_run_without_work_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = make_shards(tmp_path, num_shards=2, num_tracks=1)
    main([str(workspace), "--encoder", "spectral"])
    assert capsys.readouterr().out.count("s of sound") == 2
    before = {path: path.stat().st_mtime_ns for path in workspace.glob("features/*")}
    main([str(workspace), "--encoder", "spectral"])
    assert "s of sound" not in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in workspace.glob("features/*")} == before


def test_a_bad_track_costs_itself_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    silence = np.zeros(0, np.float32)
    tracks = {"good": np.full(32_000, 0.1, np.float32), "empty": silence, "last": np.full(48_000, 0.1, np.float32)}
    write_shard(tmp_path / "shards", "train-00000", tracks)
    main([str(tmp_path), "--encoder", "spectral"])
    said = capsys.readouterr()
    assert "empty failed" in said.err
    assert "1 tracks failed" in said.err
    [vectors] = [path for path in tmp_path.glob("features/*.npy") if ".frames" not in path.name]
    assert len(np.load(vectors)) == 5


@pytest.mark.parametrize(
    ("encoders", "message"),
    [
        (["clap"], "'clap'"),
        (["beats"], "weights' is missing"),
        (["spectral", "spectral"], "twice"),
        (["beats=nowhere.pt"], "no weights at nowhere.pt"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, encoders: list[str], message: str) -> None:
    make_shards(tmp_path, num_shards=1, num_tracks=1)
    with pytest.raises(SystemExit, match=message):
        main([str(tmp_path), *(word for name in encoders for word in ("--encoder", name))])
    assert not (tmp_path / "features").exists()


def test_a_workspace_without_shards_or_in_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no shards in"):
        main([str(tmp_path), "--encoder", "spectral"])
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="in use by a build"):
            main([str(tmp_path), "--encoder", "spectral"])
    with pytest.raises(SystemExit, match="no workspace"):
        main([str(tmp_path / "nowhere"), "--encoder", "spectral"])


def test_damage_and_a_full_disk_are_told_and_a_full_disk_leaves_nothing_half(tmp_path: Path) -> None:
    workspace = make_shards(tmp_path, num_shards=2, num_tracks=1)
    command = [sys.executable, "-m", "collap_model.extract", str(workspace), "--encoder", "spectral"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*File too large\n", done.stderr)
    assert [path.suffix for path in workspace.glob("features/*")] == [".json"]
    main([str(workspace), "--encoder", "spectral"])
    assert len(list(workspace.glob("features/*"))) == 6
    index = min(workspace.glob("features/*.json"))
    index.write_bytes(index.read_bytes()[:40])
    with pytest.raises(SystemExit, match=rf"{index.name} is damaged .*; remove it"):
        main([str(workspace), "--encoder", "spectral"])


def test_a_tar_of_others_is_refused(tmp_path: Path) -> None:
    path = write_shard(tmp_path, "train-00000", {"a": np.zeros(100, np.float32)})
    path.write_bytes(path.read_bytes().replace(b"pcm_sha256", b"other_name"))
    with pytest.raises(ValueError, match="'a' lacks its "):
        read_shard(path)
    path.write_bytes(b"no tar at all" * 100)
    with pytest.raises(ValueError, match="no shard of this project"):
        read_shard(path)
