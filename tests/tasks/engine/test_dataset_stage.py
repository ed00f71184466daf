from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_specs.records import Recording
from tasks.engine.dataset_stage import find_dataset_parts, run_dataset_stage
from tasks.engine.parts import PartInfo, read_rows
from tasks.engine.pools import Pools
from tasks.engine.stage import Partition, StageRun, run_stage
from tasks.engine.workspace import Workspace
from tests.tasks.engine.toys import ToyAudio, ToyHarvest, ToyTwins, calls, partition


@pytest.fixture
def run(tmp_path: Path) -> Iterator[StageRun]:
    with Pools(num_downloads=1, num_processes=1) as pools:
        yield StageRun(workspace=Workspace(tmp_path), pools=pools)


def inputs_of(partitions: list[Partition], run: StageRun) -> dict[str, dict[str, PartInfo]]:
    parts: dict[str, dict[str, PartInfo]] = {}
    for of in partitions:
        parts[of.name] = {"harvest": run_stage(ToyHarvest(), of, {}, run)}
        parts[of.name]["audio"] = run_stage(ToyAudio(), of, parts[of.name], run)
    return parts


def test_one_computation_one_part_per_partition_and_none_the_second_time(run: StageRun, tmp_path: Path) -> None:
    partitions = [partition("a1", "gone2", name="train-00000"), partition("b1", "b2", name="train-00001")]
    parts = inputs_of(partitions, run)
    told: list[tuple[str, str]] = []
    run.on_row = lambda stage, result: told.append((stage, result))
    assert find_dataset_parts(ToyTwins(), partitions, parts, run.workspace) is None
    infos = run_dataset_stage(ToyTwins(), partitions, parts, run)
    assert [(info.partition, info.counts, info.num_new) for info in infos] == [
        ("train-00000", {"ok": 1}, 1),
        ("train-00001", {"duplicate": 1, "ok": 1}, 2),
    ]
    assert sorted(told) == [("duplicates", "duplicate"), ("duplicates", "ok"), ("duplicates", "ok")]
    again = run_dataset_stage(ToyTwins(), partitions, parts, run)
    assert calls(tmp_path, "duplicates") == ["all"]
    assert [(info.path, info.identity, info.num_new) for info in again] == [(i.path, i.identity, 0) for i in infos]


def test_a_changed_partition_computes_anew_but_leaves_the_identity_of_the_others(run: StageRun, tmp_path: Path) -> None:
    partitions = [partition("a1", name="train-00000"), partition("b2", name="train-00001")]
    first = run_dataset_stage(ToyTwins(), partitions, inputs_of(partitions, run), run)
    partitions[1] = partition("b2", "c1", name="train-00001")
    second = run_dataset_stage(ToyTwins(), partitions, inputs_of(partitions, run), run)
    assert len(calls(tmp_path, "duplicates")) == 2
    assert second[0].identity == first[0].identity
    assert second[1].identity != first[1].identity
    assert read_rows(second[1].path, Recording)[1].outcome.detail == "as a1"
    assert len(list((tmp_path / "duplicates").glob("*.parquet"))) == 2, "parts of earlier inputs are removed"


def test_half_of_the_parts_is_as_none(run: StageRun, tmp_path: Path) -> None:
    partitions = [partition("a1", name="train-00000"), partition("b2", name="train-00001")]
    parts = inputs_of(partitions, run)
    infos = run_dataset_stage(ToyTwins(), partitions, parts, run)
    Path(infos[1].path).unlink()
    assert [i.identity for i in run_dataset_stage(ToyTwins(), partitions, parts, run)] == [i.identity for i in infos]
    assert Path(infos[1].path).exists()
