"""Builds that are run again: after a change, a loss, an error or an interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tasks.engine.errors import BuildError
from tests.tasks.builds import published, run, songs, write_spec


def test_lost_files_are_noticed_or_named_and_made_again(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, workspace = copy
    before = published(workspace)
    next(workspace.glob("shards/train-*.tar")).unlink()
    next(workspace.glob("features/test-*.npy")).unlink()
    (workspace / "shards.parquet").unlink()
    part = next(workspace.glob("caption/train-*.parquet"))
    part.write_bytes(b"")
    run(spec, workspace)
    assert published(workspace) == before

    # Accepted audio may be deleted to save space, until something needs it.
    for path in workspace.glob("audio/flac/*.flac"):
        path.unlink()
    assert run(spec, workspace).num_new == 0
    values = yaml.safe_load(spec.read_text()) | {"caption": {"seed": 1}}
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(values))
    with pytest.raises(BuildError, match=r"is gone: .*\.flac\. Make it again with --retry file_missing"):
        run(changed, workspace)
    assert run(changed, workspace, retry=["file_missing"]).num_samples == 6
    run(spec, workspace)
    assert published(workspace) == before


def test_an_error_publishes_nothing_and_the_former_dataset_comes_back(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, workspace = copy
    before = published(workspace)
    values = yaml.safe_load(spec.read_text()) | {"audio": {"min_duration_s": 500, "max_duration_s": 900}}
    strict = tmp_path / "strict.yaml"
    strict.write_text(yaml.safe_dump(values))
    with pytest.raises(BuildError, match="survived"):
        run(strict, workspace)
    assert published(workspace) == before
    run(spec, workspace)
    assert published(workspace) == before
    assert len(pd.read_parquet(workspace / "failures.parquet")) == 6


def test_tighter_harvest_bounds_hold_for_what_was_fetched_before(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, workspace = copy
    durations = pd.read_parquet(workspace / "manifest.parquet").duration_s
    bound = float(durations.sort_values().iloc[2]) + 0.2
    values = yaml.safe_load(spec.read_text()) | {"harvest": {"max_duration_s": bound}}
    tight = tmp_path / "tight.yaml"
    tight.write_text(yaml.safe_dump(values))
    assert run(tight, workspace).num_samples < 6
    reasons = pd.read_parquet(workspace / "failures.parquet").reason.value_counts()
    assert reasons["duration_out_of_range"] >= 1


def test_another_seed_of_rendered_songs_is_another_dataset(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, workspace = copy
    values = yaml.safe_load(spec.read_text())
    values["source"]["seed"] = 1
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(values))
    captions = set(pd.read_parquet(workspace / "manifest.parquet").caption)
    assert run(other, workspace).num_new > 0
    assert captions.isdisjoint(pd.read_parquet(workspace / "manifest.parquet").caption)


def test_a_replaced_file_and_back_again(small: tuple[Path, Path], tmp_path: Path) -> None:
    folder = songs(tmp_path / "music", small)
    first, second = sorted(folder.iterdir())
    original, stamp = first.read_bytes(), first.stat()
    spec = write_spec(tmp_path, source={"type": "local", "folder": "music"})
    run(spec, tmp_path / "work")
    before = published(tmp_path / "work")
    first.write_bytes(second.read_bytes() if first.suffix == second.suffix else original[: len(original) // 2])
    os.utime(first, ns=(1, 1))
    run(spec, tmp_path / "work")
    assert published(tmp_path / "work") != before
    first.write_bytes(original)
    os.utime(first, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    run(spec, tmp_path / "work")
    assert before.items() <= published(tmp_path / "work").items()  # and the features of the other content
    assert "file:///" not in pd.read_parquet(tmp_path / "work" / "manifest.parquet").url.str.cat()


def test_a_workspace_inside_the_music_is_refused(small: tuple[Path, Path], tmp_path: Path) -> None:
    folder = songs(tmp_path / "music", small)
    spec = write_spec(tmp_path, source={"type": "local", "folder": "music"})
    with pytest.raises(BuildError, match=r"lies inside source\.folder"):
        run(spec, folder / "work")


@pytest.mark.parametrize("num_signals", [1, 2])
def test_ctrl_c_stops_soon_and_the_next_run_finishes(
    small: tuple[Path, Path], tmp_path: Path, num_signals: int
) -> None:
    spec, workspace = small
    command = [sys.executable, "-m", "tasks.cli", "build", str(spec), "--workspace", str(tmp_path / "work")]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    time.sleep(4.0)
    for _ in range(num_signals):
        os.killpg(process.pid, signal.SIGINT)  # the whole group, as a terminal does
        time.sleep(0.5)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "Ctrl-C again stops at once" in said
    run(spec, tmp_path / "work")
    assert published(tmp_path / "work") == published(workspace)
