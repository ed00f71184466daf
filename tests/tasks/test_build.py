"""Whole builds over real parts: yt-dlp over HTTP, real decoders, real tars."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import webdataset
import yaml

from data_specs.reasons import ReasonClass
from tasks.build import BuildConfig, BuildReport, build
from tasks.engine.errors import BuildError


def write_spec(folder: Path, **fields: object) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({"name": "small", "audio": {"min_duration_s": 20}, **fields}))
    return path


def rendered(port: int, num_songs: int = 6) -> dict[str, object]:
    return {"type": "rendered", "num_songs": num_songs, "port": port, "min_duration_s": 45, "max_duration_s": 50}


def run(spec: Path, workspace: Path, **options: object) -> BuildReport:
    return build(
        BuildConfig.model_validate({"spec": str(spec), "workspace": str(workspace), "processes": 2, **options})
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished build of rendered songs: spec and workspace. Copy the workspace before changing it."""
    import socket

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


def published(workspace: Path) -> dict[str, str]:
    """Hashes of everything that a build publishes, by file name."""
    files = [*workspace.glob("shards/*.tar"), *workspace.glob("features/*.npy"), workspace / "manifest.parquet"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_funnel_has_every_track_and_every_broken_one_a_reason(small: tuple[Path, Path]) -> None:
    failures = pd.read_parquet(small[1] / "failures.parquet").set_index("track_id")
    assert failures.reason.to_dict() == {
        "broken-forbidden": "forbidden",
        "broken-missing": "not_found",
        "broken-no-media": "not_media",
        "broken-not-audio": "not_media",
        "broken-silent": "silent",
        "broken-truncated": "truncated",
    }
    assert failures["class"].value_counts().to_dict() == {"permanent": 5, "transient": 1}
    manifest = pd.read_parquet(small[1] / "manifest.parquet")
    assert sorted(manifest.track_id) == [f"song-{number:04d}" for number in range(6)]


def test_shards_are_read_back_by_webdataset(small: tuple[Path, Path]) -> None:
    manifest = pd.read_parquet(small[1] / "manifest.parquet").set_index("track_id")
    shards = pd.read_parquet(small[1] / "shards.parquet")
    urls = [str(small[1] / "shards" / name) for name in shards.shard]
    keys = []
    for sample in webdataset.WebDataset(urls, shardshuffle=False).decode():
        row = manifest.loc[sample["__key__"]]
        samples, rate = (
            soundfile.read(io.BytesIO(sample["flac"])) if isinstance(sample["flac"], bytes) else sample["flac"]
        )
        assert rate == 16_000
        assert len(samples) / rate == pytest.approx(row.duration_s, abs=0.01)
        assert sample["txt"] == row.caption == sample["json"]["caption"]["long_text"]
        assert len(sample["txt"].split()) == row.num_words >= 250
        assert [s["letter"] for s in sample["json"]["structure"]["sections"]]
        keys.append(sample["__key__"])
    assert keys == list(manifest.index)
    for entry in shards.itertuples():
        content = (small[1] / "shards" / entry.shard).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry.sha256, entry.num_bytes)


def test_features_fit_the_audio(small: tuple[Path, Path]) -> None:
    features = pd.read_parquet(small[1] / "features.parquet")
    manifest = pd.read_parquet(small[1] / "manifest.parquet").set_index("track_id")
    for row in features.itertuples():
        vectors = np.load(small[1] / row.file, mmap_mode="r")[row.offset : row.offset + row.num_seconds]
        assert vectors.shape == (row.num_seconds, row.dim)
        assert np.isfinite(vectors).all()
        assert row.num_seconds == pytest.approx(manifest.loc[row.track_id].duration_s, abs=1)


def test_a_second_run_does_nothing(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    before = published(workspace)
    report = run(spec, workspace)
    assert report.num_new == 0
    assert published(workspace) == before


def test_another_machine_builds_the_same_bytes(small: tuple[Path, Path], tmp_path: Path) -> None:
    spec, workspace = small
    run(spec, tmp_path / "again", processes=1, downloads=1)
    assert published(tmp_path / "again") == published(workspace)


def test_a_changed_caption_setting_redoes_captions_and_shards_only(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, workspace = copy
    values = yaml.safe_load(spec.read_text()) | {"caption": {"seed": 1}}
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(values))
    before = published(workspace)
    texts = pd.read_parquet(workspace / "manifest.parquet").caption
    report = run(changed, workspace)
    assert {row.stage: row.num_new for row in report.funnel} == {
        "select": 0,
        "harvest": 0,
        "audio": 0,
        "structure": 0,
        "caption": 6,
        "shards": 6,
        "features": 0,
    }
    assert (pd.read_parquet(workspace / "manifest.parquet").caption != texts).all()
    assert len(list(workspace.glob("shards/*.tar"))) == report.num_shards  # no stale ones beside the new
    # The old captions are still there: going back only packs.
    back = run(spec, workspace)
    assert {row.stage: row.num_new for row in back.funnel if row.num_new} == {"shards": 6}
    assert published(workspace) == before


def test_retry_tries_the_truncated_one_again_and_nothing_else(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    before = published(workspace)
    report = run(spec, workspace, retry=[ReasonClass.TRANSIENT])
    assert {row.stage: row.num_new for row in report.funnel if row.num_new} == {"harvest": 1}
    assert published(workspace) == before


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
    with pytest.raises(BuildError, match=r"is gone: make it again with --retry file_missing at .*\.flac"):
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


def songs(folder: Path, small: tuple[Path, Path], count: int = 2) -> Path:
    """A folder of real music files, taken from what the site served."""
    folder.mkdir(exist_ok=True)
    media = sorted(path for path in (small[1] / "harvest" / "media").iterdir() if path.name.startswith("song-"))
    for path in media[:count]:
        shutil.copy(path, folder)
    return folder


def test_a_folder_of_ones_own_music_with_bad_files_among_it(small: tuple[Path, Path], tmp_path: Path) -> None:
    folder = songs(tmp_path / "music", small)
    (folder / "empty.mp3").touch()
    (folder / "notes.flac").write_text("this is no music")
    (folder / "half.wav").write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    spec = write_spec(tmp_path, source={"type": "local", "folder": "music"})
    report = run(spec, tmp_path / "work")
    assert report.num_samples == 2
    failures = pd.read_parquet(tmp_path / "work" / "failures.parquet")
    assert sorted(failures.reason) == ["file_empty", "undecodable", "undecodable"]
    assert failures.detail.str.len().min() > 0


def test_a_table_of_addresses(small: tuple[Path, Path], tmp_path: Path, free_port: int) -> None:
    from data_specs.spec import RenderedSource
    from tasks.demo.site import Site

    (tmp_path / "urls.csv").write_text(
        f"url,track_id\nhttp://127.0.0.1:{free_port}/songs/song-0001,one\nhttp://127.0.0.1:{free_port}/nothing,two\n"
    )
    spec = write_spec(tmp_path, source={"type": "urls", "table": "urls.csv"})
    source = RenderedSource.model_validate(rendered(free_port))
    with Site(source, tmp_path / "site"):
        report = run(spec, tmp_path / "work")
    assert report.num_samples == 1
    assert list(pd.read_parquet(tmp_path / "work" / "failures.parquet").reason) == ["not_found"]


def test_zero_surviving_tracks(tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.mp3").touch()
    spec = write_spec(tmp_path, source={"type": "local", "folder": "music"})
    with pytest.raises(BuildError, match=r"none of 1 tracks survived \(harvest: file_empty 1\); .*failures.parquet"):
        run(spec, tmp_path / "work")
    assert list(pd.read_parquet(tmp_path / "work" / "failures.parquet").track_id)


def collap(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tasks.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_a_workspace_can_be_built_by_one_process_at_a_time(copy: tuple[Path, Path]) -> None:
    from tasks.engine.workspace import Workspace

    spec, workspace = copy
    with Workspace(workspace).locked():
        done = collap("build", spec, "--workspace", workspace)
    assert done.returncode == 1
    assert f"is in use by process {os.getpid()}; wait for it or choose another workspace" in done.stderr


def test_command_line_build_and_status(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    assert "harvest    4/4" in collap("status", spec, "--workspace", workspace).stdout
    done = collap("build", spec, "--workspace", workspace)
    assert done.returncode == 0
    assert "nothing to do, everything was there already" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (lambda tmp: ["build", tmp / "none.yaml"], 1, "no spec at"),
        (lambda tmp: ["build", write_spec(tmp, source={"type": "local", "folder": "x"}, sise=1)], 1, "'sise'"),
        (lambda tmp: ["build", write_spec(tmp, source={"type": "local", "folder": "x"})], 1, "does not exist"),
        (
            lambda tmp: ["build", write_spec(tmp, source={"type": "local", "folder": tempfile.mkdtemp(dir=tmp)})],
            1,
            "no file in",
        ),
        (lambda tmp: ["build", tmp / "s.yaml", "--downloads", 0], 2, "field 'downloads' = 0"),
        (lambda tmp: ["build", tmp / "s.yaml", "--retry", "soon"], 2, "'soon'"),
        (lambda tmp: ["evaluate", "--workspace", tmp], 1, "no trained run in"),
        (lambda tmp: ["train", tmp / "none.yaml", "--workspace", tmp], 1, "cannot read training configuration"),
    ],
)
def test_mistakes_are_named_and_end_with_an_error(
    tmp_path: Path, arguments: Callable[[Path], list[object]], code: int, message: str
) -> None:
    done = collap(*arguments(tmp_path), cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_workspace_that_cannot_be_written(small: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match="workspace"):
        run(small[0], tmp_path / "file" / "work")


@pytest.fixture
def read_only(tmp_path: Path) -> Path:
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    return folder


def test_an_output_folder_without_write_permission(
    small: tuple[Path, Path], read_only: Path, unprivileged: None
) -> None:
    from tasks.engine.workspace import Workspace

    with (
        pytest.raises(BuildError, match=r"no permission: make the folder writable"),
        Workspace(read_only / "x").locked(),
    ):
        pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_names_itself_and_the_build_goes_on_when_there_is_space(
    small: tuple[Path, Path], tmp_path: Path, small_disk: Path
) -> None:
    songs(tmp_path / "music", small, count=6)
    spec = write_spec(tmp_path, source={"type": "local", "folder": "music"}, partition_size=2)
    done = collap("build", spec, "--workspace", small_disk / "work")
    assert done.returncode == 1
    assert "the disk is full: free some space" in done.stderr
    assert "run the same command again" in done.stderr
    assert "Traceback" not in done.stderr
    harvested = sum(len(pd.read_parquet(path)) for path in (small_disk / "work").glob("harvest/*.parquet"))
    assert harvested > 0
    subprocess.run(["mount", "-o", "remount,size=500m", small_disk], check=True)
    report = run(spec, small_disk / "work")
    assert report.funnel[1].num_new == 6 - harvested
    run(spec, tmp_path / "elsewhere")
    assert published(small_disk / "work") == published(tmp_path / "elsewhere")
