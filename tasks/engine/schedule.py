"""Streaming: while one partition downloads, another is analysed and a third is packed.

A stage of a partition starts as soon as its inputs are done and the stage has a free slot; a stage
that looks at the whole dataset starts when all partitions have come so far. The schedule knows
nothing of *how* work is submitted: a thread pool and Prefect's ``task.submit`` serve alike.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from tasks.engine.parts import PartInfo, Parts
from tasks.engine.stage import DatasetStage, Partition, PartitionStage, TrackStage

T = TypeVar("T", covariant=True)


class WorkFuture(Protocol[T]):
    """What ``concurrent.futures`` and Prefect's futures have in common."""

    def add_done_callback(self, fn: Callable[[Any], None], /) -> None: ...
    def result(self) -> T: ...


AnyStage = TrackStage | PartitionStage | DatasetStage


class Submit(Protocol):
    """How work is begun."""

    def part(
        self, stage: TrackStage | PartitionStage, partition: Partition, parts: Mapping[str, PartInfo]
    ) -> WorkFuture[PartInfo]:
        """One stage over one partition, whose parts so far are given by stage name."""

    def dataset(self, stage: DatasetStage, parts: Parts) -> WorkFuture[Sequence[PartInfo]]:
        """A stage over all partitions; one part for each."""


def stream(
    stages: Sequence[AnyStage],
    partitions: Sequence[Partition],
    slots: Mapping[str, int],
    submit: Submit,
    on_part: Callable[[PartInfo], None] = lambda info: None,
    on_error: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, PartInfo]]:
    """Run every stage over every partition.

    Args:
        stages: in an order in which every stage follows its inputs.
        slots: partitions a stage may work on at once, by stage name.
        on_part: told of every finished part, in the calling thread.
        on_error: called once, at the first failure; it may make the parts in work end early.

    Returns:
        The parts by partition name and stage name.

    Raises:
        Exception: the first one that a part raised, after the work in hand has ended; nothing new
            is begun after it.
    """
    _check_order(stages)
    schedule = _Schedule(stages, partitions, slots, submit)
    first_error: Exception | None = None
    schedule.begin_what_can()
    while any(schedule.running.values()):
        try:
            infos = schedule.next_finished()
        except Exception as error:
            if first_error is None:
                first_error = error
                on_error()
            continue
        for info in infos:
            on_part(info)
        if first_error is None:
            schedule.begin_what_can()
    if first_error is not None:
        raise first_error
    return schedule.parts


class _Schedule:
    """What is done, what may begin and what is running."""

    def __init__(
        self, stages: Sequence[AnyStage], partitions: Sequence[Partition], slots: Mapping[str, int], submit: Submit
    ) -> None:
        self.stages = stages
        self.slots = slots
        self.submit = submit
        self.partitions = {partition.name: partition for partition in partitions}
        self.parts: dict[str, dict[str, PartInfo]] = {name: {} for name in self.partitions}
        self.running = {stage.name: 0 for stage in stages}
        # Partitions by name; a stage over the dataset waits for all of them, so it is ready once or not at all.
        self.ready = {stage.name: deque(self.partitions if not stage.inputs else ()) for stage in stages}
        self.finished: queue.SimpleQueue[tuple[AnyStage, WorkFuture[Any]]] = queue.SimpleQueue()

    def begin_what_can(self) -> None:
        for stage in self.stages:
            waiting = self.ready[stage.name]
            if isinstance(stage, DatasetStage):
                if len(waiting) == len(self.partitions):
                    waiting.clear()
                    self._begin(stage, self.submit.dataset(stage, {name: dict(p) for name, p in self.parts.items()}))
                continue
            while waiting and self.running[stage.name] < self.slots[stage.name]:
                name = waiting.popleft()
                self._begin(stage, self.submit.part(stage, self.partitions[name], dict(self.parts[name])))

    def next_finished(self) -> Sequence[PartInfo]:
        """Wait for the next end of work and note what may follow it."""
        stage, future = self.finished.get()
        self.running[stage.name] -= 1
        result = future.result()
        infos = [result] if isinstance(result, PartInfo) else result
        for info in infos:
            known = self.parts[info.partition]
            known[stage.name] = info
            for later in self.stages:
                if stage.name in later.inputs and set(later.inputs) <= known.keys():
                    self.ready[later.name].append(info.partition)
        return list(infos)

    def _begin(self, stage: AnyStage, future: WorkFuture[Any]) -> None:
        self.running[stage.name] += 1
        future.add_done_callback(lambda done: self.finished.put((stage, done)))


def _check_order(stages: Sequence[AnyStage]) -> None:
    seen: set[str] = set()
    for stage in stages:
        missing = set(stage.inputs) - seen
        if missing:
            raise ValueError(f"stage {stage.name} needs {sorted(missing)} before it")
        seen.add(stage.name)
