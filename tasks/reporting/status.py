"""How far a build is, from its files alone: no lock, no change, beside a running build too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from data_specs.network import load_network
from tasks.build import BuildConfig
from tasks.caption.orders import Orders
from tasks.engine.dataset_stage import find_dataset_parts
from tasks.engine.errors import BuildError
from tasks.engine.parts import PartInfo, read_part_info
from tasks.engine.schedule import AnyStage
from tasks.engine.stage import DatasetStage, Partition, part_key
from tasks.engine.workspace import Workspace
from tasks.harvest.network import Network
from tasks.harvest.standing import describe
from tasks.reporting.progress import duration, harvest_eta_s, sites_of
from tasks.reporting.tables import plain_table
from tasks.select import Selection, select
from tasks.stages import stages_of

_Known = dict[str, dict[str, PartInfo]]
"""Parts that are there, by partition and stage name."""


def status(config: BuildConfig) -> str:
    """Partitions done and tracks settled per stage, whether a build runs, and what the network identities may do.

    Raises:
        SpecError, BuildError: the spec or the source cannot be read.
    """
    spec, workspace = config.load()
    selection = select(spec)
    network = Network(load_network(config.network))
    known: _Known = {partition.name: {} for partition in selection.partitions}
    rows = []
    num_left = 0
    for stage in stages_of(spec, network, Orders.of(workspace.orders)):
        done = _parts(stage, selection.partitions, known, workspace)
        counts: Counter[str] = Counter()
        for info in done:
            known[info.partition][stage.name] = info
            counts.update(info.counts)
        open_ones = [partition for partition in selection.partitions if stage.name not in known[partition.name]]
        in_work = sum(_journalled(workspace, stage.name, partition) for partition in open_ones)
        if stage.name == "harvest":
            num_left = sum(len(partition.tracks) for partition in open_ones) - in_work
        dropped = [f"{reason} {count}" for reason, count in counts.most_common() if reason != "ok"]
        rows.append(
            {
                "stage": stage.name,
                "partitions": f"{len(done)}/{len(selection.partitions)}",
                "ok": str(counts["ok"]),
                "in work": str(in_work),
                "dropped": ", ".join(dropped),
            }
        )
    head = f"{spec.name} in {workspace.root}: {len(selection.tracks)} tracks, {_state(workspace)}"
    return "\n".join([head, "", plain_table(rows), *_harvest_lines(network, selection, num_left)])


def _state(workspace: Workspace) -> str:
    holder = workspace.holder()
    if holder is not None:
        return f"a build is running (process {holder})"
    return "no build is running"


def _harvest_lines(network: Network, selection: Selection, num_left: int) -> list[str]:
    """Nothing for a source that needs no network."""
    sites = sites_of(selection.tracks)
    lines = [""]
    try:
        eta_s = harvest_eta_s(network, sites, num_left / max(1, len(selection.tracks)))
        if num_left and eta_s is not None:
            lines.append(f"{num_left} tracks to fetch, about {duration(eta_s)} at the pace of the network file")
        lines += describe(status for status in network.status() if status.site in sites)
    except BuildError as error:  # the table stands without it
        lines.append(str(error))
    return lines if len(lines) > 1 else []


def _parts(stage: AnyStage, partitions: Sequence[Partition], known: _Known, workspace: Workspace) -> list[PartInfo]:
    ready = [partition for partition in partitions if set(stage.inputs) <= known[partition.name].keys()]
    if isinstance(stage, DatasetStage):
        complete = len(ready) == len(partitions)
        return (find_dataset_parts(stage, partitions, known, workspace) or []) if complete else []
    infos = []
    for partition in ready:
        key = part_key(stage, partition, known[partition.name])
        info = read_part_info(workspace.part(stage.name, partition.name, key), stage.name, partition.name, key)
        infos += [info] if info is not None else []
    return infos


def _journalled(workspace: Workspace, stage: str, partition: Partition) -> int:
    """Tracks that are finished in a partition that is not."""
    path = workspace.journal(stage, partition.name)
    return path.read_bytes().count(b"\n") if path.exists() else 0
