"""Takedown: nothing of a forgotten track is left but its id, and nothing brings it back unasked."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tasks.build import BuildConfig
from tasks.engine.errors import BuildError
from tasks.forget import take_down
from tests.tasks.builds import collap, published, run


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
    said = take(spec, workspace, track_id)
    assert "1 tracks forgotten" in said
    assert_gone(workspace, track_id)
    after = pd.read_parquet(workspace / "manifest.parquet").set_index("track_id").caption
    assert after.to_dict() == captions.drop(track_id).to_dict()
    assert pd.read_csv(workspace / "forgotten.csv").note.tolist() == ["asked by the artist"]

    assert run(spec, workspace).num_new == 0
    run(spec, workspace, retry=["permanent", "forgotten", "file_missing"])
    assert_gone(workspace, track_id)
    assert "0 tracks forgotten (1 were already)" in take(spec, workspace, track_id)

    # The way back is explicit: off the list, and asked for.
    (workspace / "forgotten.csv").write_text("track_id,forgotten_at,note\n")
    run(spec, workspace, retry=["forgotten"])
    assert published(workspace) == before


def test_a_list_written_by_hand_or_by_a_killed_run_is_obeyed_by_the_next_build(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    track_id = a_track(workspace)
    (workspace / "forgotten.csv").write_text(f"track_id\n{track_id}\n")
    run(spec, workspace)
    assert_gone(workspace, track_id)


def test_mistakes_are_named(copy: tuple[Path, Path]) -> None:
    spec, workspace = copy
    with pytest.raises(BuildError, match=r"1 of 2 ids are no track of 'small', the first is 'song-x'; near it: song-"):
        take(spec, workspace, a_track(workspace), "song-x")
    assert not (workspace / "forgotten.csv").exists(), "nothing is forgotten where one id is wrong"
    (workspace / "forgotten.csv").write_text("id\nx\n")
    done = collap("build", spec, "--workspace", workspace)
    assert done.returncode == 1
    assert "has no column 'track_id'; its first line is track_id,forgotten_at,note" in done.stderr
