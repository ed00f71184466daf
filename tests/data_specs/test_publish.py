from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from data_specs.publish import publish, publish_bytes, sweep


def test_file_appears_whole_with_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.bin"
    with publish(path) as (file, published):
        file.write(b"one ")
        assert not path.exists()
        file.write(b"two")
    assert path.read_bytes() == b"one two"
    assert published.sha256 == hashlib.sha256(b"one two").hexdigest()
    assert published.num_bytes == 7


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    publish_bytes(path, b"old")
    with pytest.raises(RuntimeError, match="halfway"), publish(path) as (file, _):
        file.write(b"new")
        raise RuntimeError("halfway")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


def test_kill_9_while_writing_leaves_the_old_file_and_a_leftover_that_sweep_removes(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    publish_bytes(path, b"old")
    code = (
        "import os, signal, sys; from pathlib import Path; from data_specs.publish import publish\n"
        "with publish(Path(sys.argv[1])) as (file, _):\n"
        "    file.write(b'new'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert sweep(tmp_path) == 1
    assert os.listdir(tmp_path) == ["file.bin"]


def test_empty_file(tmp_path: Path) -> None:
    assert publish_bytes(tmp_path / "empty", b"").sha256 == hashlib.sha256(b"").hexdigest()
