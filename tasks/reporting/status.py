"""How far a build is, from its files alone: no lock, no change, beside a running build too."""

from __future__ import annotations

from collections import Counter

from tasks.build import BuildConfig
from tasks.engine.parts import PartInfo, read_part_info
from tasks.engine.stage import Partition, part_key
from tasks.engine.workspace import Workspace
from tasks.reporting.tables import plain_table
from tasks.select import select
from tasks.stages import stages_of


def status(config: BuildConfig) -> str:
    """Partitions done and tracks settled per stage.

    Raises:
        SpecError, BuildError: the spec or the source cannot be read.
    """
    spec, workspace = config.load()
    partitions = select(spec).partitions
    stages = stages_of(spec)
    parts: dict[str, dict[str, PartInfo]] = {partition.name: {} for partition in partitions}
    rows = []
    for stage in stages:
        counts: Counter[str] = Counter()
        in_work = 0
        for partition in partitions:
            known = parts[partition.name]
            info = None
            if set(stage.inputs) <= known.keys():
                key = part_key(stage, partition, known)
                path = workspace.part(stage.name, partition.name, key)
                info = read_part_info(path, stage.name, partition.name, key)
            if info is not None:
                known[stage.name] = info
                counts.update(info.counts)
            else:
                in_work += _journalled(workspace, stage.name, partition)
        done = sum(stage.name in of_partition for of_partition in parts.values())
        dropped = [f"{reason} {count}" for reason, count in counts.most_common() if reason != "ok"]
        rows.append(
            {
                "stage": stage.name,
                "partitions": f"{done}/{len(partitions)}",
                "ok": str(counts["ok"]),
                "in work": str(in_work),
                "dropped": ", ".join(dropped),
            }
        )
    return f"{spec.name} in {workspace.root}: {sum(len(p.tracks) for p in partitions)} tracks\n\n{plain_table(rows)}"


def _journalled(workspace: Workspace, stage: str, partition: Partition) -> int:
    """Tracks that are finished in a partition that is not."""
    path = workspace.journal(stage, partition.name)
    return path.read_bytes().count(b"\n") if path.exists() else 0
