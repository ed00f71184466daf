"""Takedown: nothing of a forgotten track is left but its id, and nothing brings it back unasked."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from tasks.build import BuildConfig
from tasks.engine.errors import BuildError
from tasks.forget import take_down
from tests.tasks.builds import collap, published, run, songs, write_spec


def a_track(workspace: Path) -> str:
    return str(pd.read_parquet(workspace / "manifest.parquet").track_id.iloc[0])


def take(spec: Path, workspace: Path, *track_ids: str) -> str:
    return take_down(
        BuildConfig(spec=str(spec), workspace=str(workspace), processes=2), track_ids, "asked by the artist"
    )


def assert_gone(workspace: Path, track_id: str) -> None:
    manifest = pd.read_parquet(workspace / "manifest.parquet")
    assert track_id not in set(manifest.track_id)
    assert track_id not in set(pd.read_parquet(workspace / "features.parquet").track_id)
    for path in workspace.glob("shards/*.tar"):
        assert not [name for name in tarfile.open(path).getnames() if name.startswith(track_id)]
    for path in workspace.glob("features/*.json"):
        assert track_id not in path.read_text()
    for path in workspace.rglob("*-*-*.parquet"):
        rows = [row for row in pq.read_table(path).to_pylist() if row.get("track_id") == track_id]
        assert len(rows) <= (path.parent.name == "harvest"), path
        for row in rows:
            filled = {name for name, value in row.items() if value is not None}
            assert filled == {"track_id", "status", "reason", "detail", "row_key"}
            assert row["reason"] == "forgotten"
    files = workspace.rglob(f"{track_id}*")
    assert not [path for path in files if "site" not in path.parts], "beside the web site that offers it"
    failures = pd.read_parquet(workspace / "failures.parquet").set_index("track_id")
    assert failures.reason[track_id] == "forgotten"
    assert pd.isna(failures.url[track_id])


def test_a_forgotten_track_leaves_everything_and_stays_away(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    before = published(workspace)
    captions = pd.read_parquet(workspace / "manifest.parquet").set_index("track_id").caption
    track_id = a_track(workspace)
    trained = workspace / "models" / "run"
    (trained / "model").mkdir(parents=True)
    for name, names_it in (("retrieval-test", True), ("report", True), ("retrieval-valid", False)):
        path = trained / f"{name}{'.html' if name == 'report' else '.json'}"
        path.write_text(f"of {track_id}" if names_it else "of another")
        path.with_suffix(".npz").touch()
    said = take(spec, workspace, track_id)
    assert f"forgotten: {track_id}\n" in said
    assert_gone(workspace, track_id)
    left = {path.name for path in trained.iterdir()}
    assert left == {"model", "retrieval-valid.json", "retrieval-valid.npz"}, "what quotes the track is measured again"
    after = pd.read_parquet(workspace / "manifest.parquet").set_index("track_id").caption
    assert after.to_dict() == captions.drop(track_id).to_dict()
    assert pd.read_csv(workspace / "forgotten.csv").note.tolist() == ["asked by the artist"]

    assert run(spec, workspace).num_new == 0
    run(spec, workspace, retry=["permanent", "forgotten", "file_missing"])
    assert_gone(workspace, track_id)
    assert "forgotten: nothing that was not forgotten before" in take(spec, workspace, track_id)

    # The way back is explicit: off the list, and asked for.
    (workspace / "forgotten.csv").write_text("track_id,forgotten_at,note\n")
    run(spec, workspace, retry=["forgotten"])
    assert published(workspace) == before


def test_a_list_written_by_hand_or_by_a_killed_run_is_obeyed_by_the_next_build(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    track_id = a_track(workspace)
    # as a spreadsheet saves it
    (workspace / "forgotten.csv").write_bytes(f"\ufefftrack_id\r\n {track_id} \r\nnobody\r\n".encode())
    done = collap("build", spec, "--workspace", workspace)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 ids in" in done.stdout
    assert "are not among the selected tracks, e.g. nobody" in done.stdout
    assert_gone(workspace, track_id)


def test_copies_of_the_recording_go_too(small: tuple[Path, Path], tmp_path: Path) -> None:
    folder = songs(tmp_path / "music", small, count=3)
    first = sorted(folder.iterdir())[0]
    shutil.copy(first, folder / f"copy{first.suffix}")
    spec = write_spec(tmp_path, source={"type": "local", "folder": "music"})
    assert run(spec, tmp_path / "work").num_samples == 3
    manifest = pd.read_parquet(tmp_path / "work" / "manifest.parquet")
    failures = pd.read_parquet(tmp_path / "work" / "failures.parquet")
    assert failures.reason.tolist() == ["duplicate"]
    kept = manifest.cluster[manifest.track_id.str.startswith((first.stem, "copy"))].iloc[0]
    said = take(spec, tmp_path / "work", kept)
    assert f"{failures.track_id[0]} is the same recording as {kept}" in said
    assert set(pd.read_parquet(tmp_path / "work" / "manifest.parquet").track_id) == set(manifest.track_id) - {kept}
    assert first.exists(), "one's own files are never touched"


def test_a_track_that_left_the_source_can_be_forgotten(copy: tuple[Path, Path], tmp_path: Path) -> None:
    spec, workspace = copy
    track_id = a_track(workspace)
    values = yaml.safe_load(spec.read_text()) | {"limit": 1}
    fewer = tmp_path / "fewer.yaml"
    fewer.write_text(yaml.safe_dump(values))
    take(fewer, workspace, track_id)
    assert not list((workspace / "harvest" / "media").glob(f"{track_id}-*"))
    with pytest.raises(BuildError, match=r"no build in .*nowhere"):
        take(spec, tmp_path / "nowhere", track_id)


def test_mistakes_are_named(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    with pytest.raises(BuildError, match=r"1 of 2 ids are no track of 'small', the first is 'song-x'; near it: song-"):
        take(spec, workspace, a_track(workspace), "song-x")
    assert not (workspace / "forgotten.csv").exists(), "nothing is forgotten where one id is wrong"
    media = sorted((workspace / "harvest" / "media").iterdir())
    for content, message in (
        (b"id\nx\n", "has no column 'track_id' but ['id']; its first line must be track_id,forgotten_at,note"),
        (b"track_id\n../../spec\n", "line 2: '../../spec' is no track id"),
        (b"track_id\nsong-0000\n*\n", "line 3: '*' is no track id"),
        (b"\xff\xfet\x00", "save it as CSV in UTF-8"),
    ):
        (workspace / "forgotten.csv").write_bytes(content)
        done = collap("build", spec, "--workspace", workspace)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert message in done.stderr
    assert sorted((workspace / "harvest" / "media").iterdir()) == media
