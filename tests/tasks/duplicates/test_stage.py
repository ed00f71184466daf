"""The two stages on real sound, through the engine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from data_specs.hashing import digest, file_sha256
from data_specs.outcomes import Outcome, ok, rejected
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Harvest, Recording, Track
from data_specs.spec import DuplicateSettings, EvaluationSettings
from tasks.duplicates import evaluation
from tasks.duplicates.fingerprint import fingerprint_file
from tasks.duplicates.stage import DuplicateStage, FingerprintStage
from tasks.engine.errors import BuildError
from tasks.engine.parts import PartInfo, Row, write_part
from tasks.engine.pools import Pools
from tasks.engine.stage import Partition, StageRun, run_stage
from tasks.engine.workspace import Workspace
from tests.tasks.duplicates.sounds import CLIP_10_S, ffmpeg
from tests.tasks.duplicates.test_fingerprint import facts, noise

Parts = dict[str, dict[str, PartInfo]]


class Dataset:
    """Tracks of real sound with parts of every stage before ``duplicates``."""

    def __init__(self, root: Path, pools: Pools) -> None:
        self.workspace = Workspace(root)
        self.run = StageRun(workspace=self.workspace, pools=pools)
        self.partitions: list[Partition] = []
        self.parts: Parts = {}

    def add(self, name: str, tracks: Mapping[str, Path], ids: Mapping[str, str] | None = None) -> None:
        """A partition; ``ids`` are those that the site told."""
        split = name.split("-")[0]
        partition = Partition(
            name=name,
            split=split,
            tracks=tuple(Track(track_id=t, source="urls", url=f"https://example.org/{t}", split=split) for t in tracks),
        )
        harvest, audio = [], []
        for track_id, path in tracks.items():
            media_id = (ids or {}).get(track_id)
            harvest.append(ok(Harvest(track_id=track_id, file=path.name, sha256="0", num_bytes=1, container="flac")))
            harvest[-1] = ok(replace(harvest[-1].record, media_id=media_id))
            audio.append(ok(self._facts(track_id, path)))
        self.partitions.append(partition)
        self.parts[name] = {
            "harvest": self._write("harvest", partition, Harvest, harvest),
            "audio": self._write("audio", partition, AudioFacts, audio),
        }
        self.parts[name]["fingerprint"] = run_stage(FingerprintStage(), partition, self.parts[name], self.run)

    def _facts(self, track_id: str, path: Path) -> AudioFacts:
        (self.workspace.root / "audio").mkdir(exist_ok=True)
        shutil.copy(path, self.workspace.root / "audio" / f"{track_id}.flac")
        return replace(facts(f"audio/{track_id}.flac", pcm_sha256=file_sha256(str(path))), track_id=track_id)

    def _write(self, stage: str, partition: Partition, record: type, outcomes: Sequence[Outcome]) -> PartInfo:
        rows = [
            Row(track_id=track.track_id, row_key=track.track_id, outcome=outcome)
            for track, outcome in zip(partition.tracks, outcomes, strict=True)
        ]
        path = self.workspace.part(stage, partition.name, digest(partition.identity))
        return write_part(path, stage, partition.name, digest(partition.identity), record, rows)

    def judge(self, keep: str = "one", **evaluation: object) -> dict[str, Outcome[Recording]]:
        stage = self.stage(keep, **evaluation)
        outcomes = stage.process_dataset(self.partitions, self.parts, self.workspace, self.run.pools)
        assert list(outcomes) == sorted(self.parts)
        return {track_id: outcome for rows in outcomes.values() for track_id, outcome in rows}

    def stage(self, keep: str = "one", **evaluation: object) -> DuplicateStage:
        return DuplicateStage(
            DuplicateSettings.model_validate({"keep": keep}), EvaluationSettings.model_validate(evaluation)
        )


@pytest.fixture
def dataset(tmp_path: Path) -> Iterator[Dataset]:
    (tmp_path / "work").mkdir()
    with Pools(num_downloads=1, num_processes=1) as pools:
        yield Dataset(tmp_path / "work", pools)


def copy_of(folder: Path, source: Path, *arguments: str) -> Path:
    """A lossy copy as the audio stage would leave it."""
    lossy = ffmpeg(folder, source, [*arguments, "-c:a", "libopus", "-b:a", "48k", "lossy.opus"])
    return ffmpeg(folder, lossy, ["-ac", "1", "-ar", "16000", f"{source.stem}-copy.flac"])


def reasons(outcomes: Mapping[str, Outcome[Recording]]) -> dict[str, Reason | None]:
    return {track_id: outcome.reason for track_id, outcome in outcomes.items()}


def test_duplicates_over_partitions_and_splits(dataset: Dataset, songs: list[Path], tmp_path: Path) -> None:
    copy = copy_of(tmp_path, songs[1], "-ss", "5")
    dataset.add("train-00000", {"a": songs[0], "b": songs[1], "c": songs[2]})
    dataset.add("train-00001", {"d": songs[0], "e": songs[3]})
    dataset.add("test-00000", {"f": copy, "g": songs[4]})
    one = dataset.judge()
    assert reasons(one) == dict.fromkeys("acefg") | {"d": Reason.DUPLICATE, "b": Reason.DUPLICATE}
    assert one["b"].detail is not None
    assert one["b"].detail.startswith("same recording as f (test): error rate 0.0")
    everything = dataset.judge("all")
    assert reasons(everything) == dict.fromkeys("acdefg") | {"b": Reason.DUPLICATE}
    assert everything["d"].record is not None
    assert everything["d"].record.cluster == "a"
    # The order of the partitions is the schedule's, not the dataset's.
    dataset.partitions.reverse()
    assert dataset.judge() == one
    assert dataset.judge("all") == everything


def test_only_tracks_that_came_through_are_judged(dataset: Dataset, songs: list[Path]) -> None:
    dataset.add("train-00000", {"a": songs[0], "b": songs[0]})
    audio = [rejected(replace(facts(""), track_id="a"), Reason.SILENT, "silent"), ok(replace(facts("x"), track_id="b"))]
    dataset.parts["train-00000"]["audio"] = dataset._write("audio", dataset.partitions[0], AudioFacts, audio)
    assert reasons(dataset.judge()) == {"b": None}


def test_tracks_without_values(dataset: Dataset, songs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "torn.flac").write_bytes(b"fLaC")
    dataset.add("train-00000", {"a": noise(tmp_path / "short.flac", 2.0), "b": songs[0]})
    dataset.add("train-00001", {})
    dataset.add("train-00002", {"c": tmp_path / "torn.flac", "d": songs[0]})
    assert dataset.parts["train-00002"]["fingerprint"].counts == {"ok": 1, "undecodable": 1}
    assert reasons(dataset.judge()) == {"a": None, "b": None, "d": Reason.DUPLICATE}


def test_a_training_track_with_evaluation_audio_stops_the_build(
    dataset: Dataset, songs: list[Path], tmp_path: Path
) -> None:
    clips = tmp_path / "clips" / "deep"
    clips.mkdir(parents=True)
    ffmpeg(clips, songs[1], CLIP_10_S)
    dataset.add("train-00000", {"a": songs[0], "b": songs[1]})
    dataset.add("test-00000", {"c": songs[2]})
    with pytest.raises(
        BuildError, match=r"(?s)evaluation data: 1, .*on_match: drop.*forget.*b \(train\) matches .*clip\.m4a"
    ):
        dataset.judge(audio=[str(tmp_path / "clips")])
    [row] = pq.read_table(dataset.workspace.root / "leakage.parquet").to_pylist()
    assert (row["track_id"], row["split"], row["how"]) == ("b", "train", "audio")
    assert row["matched"] == str(clips / "clip.m4a")
    assert row["offset_s"] == pytest.approx(21.06, abs=0.13)
    assert row["overlap_s"] == pytest.approx(10.0, abs=1.0)
    dropped = dataset.judge(audio=[str(tmp_path / "clips")], on_match="drop")
    assert reasons(dropped) == {"a": None, "b": Reason.EVALUATION_LEAK, "c": None}
    assert reasons(dataset.judge()) == {"a": None, "b": None, "c": None}
    assert not (dataset.workspace.root / "leakage.parquet").exists()


def test_another_id_for_an_evaluation_video_is_a_leak(dataset: Dataset, songs: list[Path], tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("AAAAAAAAAAA\nBBBBBBBBBBB\n")
    known = {"a": "AAAAAAAAAAA", "b": "CCCCCCCCCCC"}
    dataset.add("valid-00000", {"a": songs[0], "b": songs[1]}, known)
    dataset.add("test-00000", {"c": songs[2]}, {"c": "BBBBBBBBBBB"})
    outcomes = dataset.judge(ids=[str(ids)], on_match="drop")
    assert reasons(outcomes) == {"a": Reason.EVALUATION_LEAK, "b": None, "c": None}
    assert outcomes["a"].detail == "matches AAAAAAAAAAA (id)"


def test_changed_evaluation_data_change_the_settings(dataset: Dataset, songs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    shutil.copy(songs[0], tmp_path / "clips" / "x.flac")
    (tmp_path / "ids.txt").write_text("AAAAAAAAAAA\n")
    stage = dataset.stage(audio=[str(tmp_path / "clips")], ids=[str(tmp_path / "ids.txt")])
    seen = [digest(stage.settings())]
    assert digest(stage.settings()) == seen[0]
    (tmp_path / "ids.txt").write_text("AAAAAAAAAAA\nBBBBBBBBBBB\n")
    seen.append(digest(stage.settings()))
    os.utime(tmp_path / "clips" / "x.flac", (1, 1))
    seen.append(digest(stage.settings()))
    shutil.copy(songs[1], tmp_path / "clips" / "y.flac")
    seen.append(digest(stage.settings()))
    assert len(set(seen)) == 4


def test_evaluation_audio_is_fingerprinted_once(dataset: Dataset, songs: list[Path], tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for path in songs[:3]:
        shutil.copy(path, tmp_path / "clips")
    settings = EvaluationSettings(audio=(str(tmp_path / "clips"),))
    mapped: list[int] = []

    class CountingPools(Pools):
        def map(self, kind, function, items):  # type: ignore[no-untyped-def]
            mapped.append(len(items))
            return super().map(kind, function, items)

    with CountingPools(num_downloads=1, num_processes=1) as pools:
        first = evaluation.evaluation_fingerprints(settings, dataset.workspace, pools)
        again = evaluation.evaluation_fingerprints(settings, dataset.workspace, pools)
        shutil.copy(songs[3], tmp_path / "clips" / songs[1].name)
        changed = evaluation.evaluation_fingerprints(settings, dataset.workspace, pools)
    assert mapped == [3, 0, 1]
    for path in songs[:3]:
        key = str(tmp_path / "clips" / path.name)
        assert first[key].tolist() == again[key].tolist() == fingerprint_file(path).tolist()
    assert changed[str(tmp_path / "clips" / songs[1].name)].tolist() == fingerprint_file(songs[3]).tolist()


@pytest.mark.parametrize("damage", ["not audio", "too short"])
def test_evaluation_audio_that_cannot_be_compared_is_named(dataset: Dataset, tmp_path: Path, damage: str) -> None:
    (tmp_path / "clips").mkdir()
    noise(tmp_path / "clips" / "good.wav", 20.0)
    if damage == "not audio":
        (tmp_path / "clips" / "bad.mp3").write_text("nothing")
    else:
        noise(tmp_path / "clips" / "bad.wav", 4.0)
    settings = EvaluationSettings(audio=(str(tmp_path / "clips"),))
    with pytest.raises(BuildError, match=r"(?s)^1 of 2 evaluation files cannot be compared.*bad\."):
        evaluation.evaluation_fingerprints(settings, dataset.workspace, dataset.run.pools)


def test_missing_evaluation_data_are_said(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"the evaluation folder .*nowhere does not exist"):
        dataset.stage(audio=[str(tmp_path / "nowhere")]).settings()
    with pytest.raises(BuildError, match=r"cannot read evaluation ids .*nothing\.txt"):
        dataset.stage(ids=[str(tmp_path / "nothing.txt")]).settings()
