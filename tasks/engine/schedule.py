"""Streaming: while one partition downloads, another is analysed and a third is packed.

A stage of a partition starts as soon as its inputs are done and the stage has a free slot. The
schedule knows nothing of *how* work is submitted: a thread pool and Prefect's ``task.submit`` serve
alike.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tasks.engine.parts import PartInfo
from tasks.engine.stage import Partition, PartitionStage, Stage, TrackStage


class PartFuture(Protocol):
    """What ``concurrent.futures`` and Prefect's futures have in common."""

    def add_done_callback(self, fn: Callable[[Any], None], /) -> None: ...
    def result(self) -> PartInfo: ...


AnyStage = TrackStage | PartitionStage
Submit = Callable[[AnyStage, Partition, Mapping[str, PartInfo]], PartFuture]


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
    parts: dict[str, dict[str, PartInfo]] = {partition.name: {} for partition in partitions}
    ready = {stage.name: deque(partitions if not stage.inputs else ()) for stage in stages}
    running = dict.fromkeys(ready, 0)
    finished: queue.SimpleQueue[tuple[Stage, Partition, PartFuture]] = queue.SimpleQueue()
    first_error: Exception | None = None

    def begin_what_can() -> None:
        for stage in stages:
            while ready[stage.name] and running[stage.name] < slots[stage.name]:
                partition = ready[stage.name].popleft()
                running[stage.name] += 1
                future = submit(stage, partition, dict(parts[partition.name]))
                future.add_done_callback(_put(finished, stage, partition))

    begin_what_can()
    while any(running.values()):
        stage, partition, future = finished.get()
        running[stage.name] -= 1
        try:
            info = future.result()
        except Exception as error:
            if first_error is None:
                first_error = error
                on_error()
            continue
        known = parts[partition.name]
        known[stage.name] = info
        for later in stages:
            if stage.name in later.inputs and set(later.inputs) <= known.keys():
                ready[later.name].append(partition)
        on_part(info)
        if first_error is None:
            begin_what_can()
    if first_error is not None:
        raise first_error
    return parts


def _put(finished: queue.SimpleQueue, stage: Stage, partition: Partition) -> Callable[[Any], None]:
    return lambda future: finished.put((stage, partition, future))


def _check_order(stages: Sequence[AnyStage]) -> None:
    seen: set[str] = set()
    for stage in stages:
        missing = set(stage.inputs) - seen
        if missing:
            raise ValueError(f"stage {stage.name} needs {sorted(missing)} before it")
        seen.add(stage.name)
