"""The lists as AudioSet and MusicCaps publish them, against loops over their lines."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from data_specs.spec import AudioSetSource, DatasetSpec
from tasks.select import select
from tasks.select.evaluation import read_evaluation_ids
from tasks.select.segments import read_segments

MUSIC = "/m/04rlf"


def spec(folder: Path, **more: object) -> DatasetSpec:
    segments = (folder / "balanced_train_segments.csv", folder / "eval_segments.csv")
    source = AudioSetSource(segments=tuple(map(str, segments)), ontology=str(folder / "ontology.json"))
    return DatasetSpec.model_validate({"name": "x", "source": source, "split": {"test_percent": 0}, **more})


def rows_of(path: Path) -> list[tuple[str, list[str]]]:
    """The naive reader: one line after the other."""
    lines = [line.rstrip("\n") for line in path.open() if not line.startswith("#")]
    return [(line.split(", ")[0], line.split('"')[1].split(",")) for line in lines]


@pytest.mark.parametrize(
    ("name", "num_rows", "num_music"),
    [("eval_segments.csv", 20_371, 5_695), ("balanced_train_segments.csv", 22_160, 6_244)],
)
def test_rows_of_the_lists(shared_data: Path, name: str, num_rows: int, num_music: int) -> None:
    path = shared_data / "audioset" / name
    table = read_segments(path)
    pairs = zip(table["video"].to_pylist(), table["labels"].to_pylist(), strict=True)
    rows = [(video, text.strip('"').split(",")) for video, text in pairs]
    assert rows == rows_of(path)
    assert len(rows) == num_rows
    assert sum(MUSIC in mids for _, mids in rows) == num_music
    assert read_evaluation_ids([path]) == {video for video, _ in rows}


def test_musiccaps(shared_data: Path) -> None:
    path = shared_data / "musiccaps" / "musiccaps-public.csv"
    with path.open(newline="") as file:
        expected = {row["ytid"] for row in csv.DictReader(file)}
    assert read_evaluation_ids([path]) == expected
    assert len(expected) == 5_521


def test_both_lists_with_musiccaps_kept_from_training(shared_data: Path) -> None:
    folder = shared_data / "audioset"
    musiccaps = shared_data / "musiccaps" / "musiccaps-public.csv"
    selection = select(spec(folder, evaluation={"ids": [str(musiccaps)]}))
    nodes = {node["id"]: node["child_ids"] for node in json.loads((folder / "ontology.json").read_text())}

    def below(mid: str) -> set[str]:
        return {mid}.union(*map(below, nodes[mid]))

    music = below(MUSIC)
    train, measured = (
        {video for video, mids in rows_of(folder / name) if not music.isdisjoint(mids)}
        for name in ("balanced_train_segments.csv", "eval_segments.csv")
    )
    with musiccaps.open(newline="") as file:
        measured_too = {row["ytid"] for row in csv.DictReader(file)} & (train | measured)
    expected = {video: "test" for video in measured | measured_too} | {
        video: "train" for video in train - measured - measured_too
    }
    assert {track.track_id: track.split for track in selection.tracks} == expected
    assert selection.counts == {
        "rows read": 42_531,
        "distinct tracks": 42_531,
        "with a wanted label": 16_684,
        "evaluation ids (to test)": 5_521,
        "selected": 16_684,
        "train": 6_173,
        "valid": 0,
        "test": 10_511,
    }
    labelled_music = Counter(track.split for track in select(spec(folder)).tracks if "Music" in track.labels)
    assert labelled_music == {"test": 5_695, "train": 6_244}
