from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tasks.engine.parts import PartInfo, Parts
from tasks.engine.schedule import stream
from tasks.engine.stage import DatasetStage, Partition, PartitionStage, TrackStage
from tests.tasks.engine.toys import ToyAudio, ToyFile, ToyHarvest, ToyTwins, partition

STAGES = (ToyHarvest(), ToyAudio(), ToyFile())
PARTITIONS = [partition("a", name=f"train-{number:05d}") for number in range(4)]
ONE_SLOT = {stage.name: 1 for stage in STAGES}


class Recorder:
    """Runs every part in a thread, notes when it began and ended, and can fail at one."""

    def __init__(self, fail_at: tuple[str, str] | None = None) -> None:
        self.threads = ThreadPoolExecutor(8)
        self.spans: dict[tuple[str, str], tuple[float, float]] = {}
        self.running: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.fail_at = fail_at

    def part(
        self, stage: TrackStage | PartitionStage, of: Partition, parts: Mapping[str, PartInfo]
    ) -> Future[PartInfo]:
        assert set(stage.inputs) <= parts.keys()
        return self.threads.submit(self.work, stage.name, of.name)

    def dataset(self, stage: DatasetStage, parts: Parts) -> Future[list[PartInfo]]:
        assert all(set(stage.inputs) <= of_partition.keys() for of_partition in parts.values())
        return self.threads.submit(lambda: [self.work(stage.name, of) for of in parts])

    def work(self, stage: str, of: str) -> PartInfo:
        began = time.monotonic()
        with self.lock:
            self.running[stage] += 1
            self.most[stage] = max(self.most[stage], self.running[stage])
        time.sleep(0.03)
        with self.lock:
            self.running[stage] -= 1
        if (stage, of) == self.fail_at:
            raise RuntimeError(f"{stage} of {of}")
        self.spans[stage, of] = (began, time.monotonic())
        return PartInfo(stage=stage, partition=of, key="k", path="p", identity="i", counts={"ok": 1})


def test_every_stage_runs_once_per_partition_after_its_inputs() -> None:
    recorder = Recorder()
    parts = stream(STAGES, PARTITIONS, ONE_SLOT, recorder)
    assert {name: list(of) for name, of in parts.items()} == {p.name: ["harvest", "audio", "file"] for p in PARTITIONS}
    for of in PARTITIONS:
        assert recorder.spans["harvest", of.name][1] <= recorder.spans["audio", of.name][0]
        assert recorder.spans["audio", of.name][1] <= recorder.spans["file", of.name][0]


def test_a_stage_over_the_dataset_waits_for_all_and_what_hangs_on_it_follows() -> None:
    class After(ToyFile):
        name = "after"
        inputs = ("audio", "duplicates")

    recorder = Recorder()
    stages = (ToyHarvest(), ToyAudio(), ToyTwins(), After(), ToyFile())
    parts = stream(stages, PARTITIONS, {stage.name: 1 for stage in stages}, recorder)
    assert all(set(of) == {stage.name for stage in stages} for of in parts.values())
    first = min(recorder.spans["duplicates", of.name][0] for of in PARTITIONS)
    assert max(recorder.spans["audio", of.name][1] for of in PARTITIONS) <= first
    assert max(recorder.spans["duplicates", of.name][1] for of in PARTITIONS) <= min(
        recorder.spans["after", of.name][0] for of in PARTITIONS
    )
    assert recorder.most["duplicates"] == 1
    assert min(recorder.spans["file", of.name][0] for of in PARTITIONS) < first, "others go on meanwhile"


def test_stages_work_on_different_partitions_at_the_same_time() -> None:
    recorder = Recorder()
    stream(STAGES, PARTITIONS, ONE_SLOT, recorder)
    assert recorder.spans["harvest", "train-00001"][0] < recorder.spans["audio", "train-00000"][1]


@pytest.mark.parametrize("slots", [1, 2])
def test_slots_bound_the_partitions_in_work(slots: int) -> None:
    recorder = Recorder()
    stream(STAGES, PARTITIONS, dict.fromkeys(ONE_SLOT, slots), recorder)
    assert max(recorder.most.values()) == slots


def test_after_a_failure_nothing_new_begins_and_what_runs_ends() -> None:
    recorder = Recorder(fail_at=("harvest", "train-00001"))
    done: list[tuple[str, str]] = []
    with pytest.raises(RuntimeError, match="harvest of train-00001"):
        stream(STAGES, PARTITIONS, ONE_SLOT, recorder, lambda info: done.append((info.stage, info.partition)))
    assert ("harvest", "train-00000") in done
    assert ("harvest", "train-00003") not in recorder.spans
    assert not any(recorder.running.values())


def test_no_partitions_is_no_work() -> None:
    assert stream(STAGES, [], ONE_SLOT, Recorder()) == {}


def test_a_stage_before_its_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stage audio needs \['harvest'\]"):
        stream((ToyAudio(), ToyHarvest()), PARTITIONS, ONE_SLOT, Recorder())
