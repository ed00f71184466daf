"""``collap forget``: take tracks out of a dataset, and put the dataset together again without them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from tasks.build import Build, BuildConfig, build, open_build
from tasks.engine.errors import BuildError
from tasks.engine.stage import find_part
from tasks.engine.workspace import Workspace
from tasks.reporting.console import built
from tasks.stages import HarvestStage
from tasks.tombstones import forget, purge

EXAMPLES = 5


def take_down(config: BuildConfig, track_ids: Sequence[str], note: str) -> str:
    """Forget tracks and every copy of their recordings; where the harvest is complete, publish the dataset again.

    Returns:
        What was done, for people.

    Raises:
        BuildError: an id is not a track of the dataset; there is no build, or another process holds it.
    """
    spec, workspace = config.load()
    if not (workspace.root / "harvest").is_dir():
        others = sorted(path.name for path in workspace.root.parent.glob(f"{spec.name}-first-*"))
        there = f"; there is {', '.join(others)}: give --limit or --workspace" if others else ""
        raise BuildError(f"no build in {workspace.root}{there}")
    with open_build(config) as opened:
        _check_known(track_ids, opened)
        copies = _copies_of(track_ids, workspace)
        new = forget(workspace, track_ids, note)
        for copy, original in copies.items():
            new += forget(workspace, [copy], f"same recording as {original}")
        purge(workspace)
        complete = _is_harvested(opened)
    lines = [f"forgotten: {', '.join(new) or 'nothing that was not forgotten before'}"]
    lines += [f"  {copy} is the same recording as {original}" for copy, original in copies.items()]
    lines += [f"  the list is {workspace.forgotten}"]
    if not complete:
        return "\n".join([*lines, "the harvest is not complete: the next build goes on without them"])
    return "\n".join([*lines, built(build(config))])


def _check_known(track_ids: Sequence[str], opened: Build) -> None:
    """A track may have left the source since, and still be in the parts."""
    known = {track.track_id for track in opened.selection.tracks}
    for part in _parts(opened.workspace, "harvest"):
        known.update(pq.read_table(part, columns=["track_id"])["track_id"].to_pylist())
    unknown = [track_id for track_id in track_ids if track_id not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=EXAMPLES)
        raise BuildError(
            f"{len(unknown)} of {len(track_ids)} ids are no track of '{opened.spec.name}', the first is {unknown[0]!r}"
            + (f"; near it: {', '.join(near)}" if near else "")
        )


def _copies_of(track_ids: Sequence[str], workspace: Workspace) -> dict[str, str]:
    """Tracks of the same recordings, each with the one that was named: who wants a song gone wants no copy of it."""
    cluster_of: dict[str, str] = {}
    for part in _parts(workspace, "duplicates"):
        for row in pq.read_table(part, columns=["track_id", "cluster"]).to_pylist():
            cluster_of[row["track_id"]] = row["cluster"]
    named = {cluster_of[track_id]: track_id for track_id in track_ids if track_id in cluster_of}
    return {
        track_id: named[cluster]
        for track_id, cluster in cluster_of.items()
        if cluster in named and track_id not in track_ids
    }


def _parts(workspace: Workspace, stage: str) -> Iterator[Path]:
    yield from sorted((workspace.root / stage).glob("*-*-*.parquet"))


def _is_harvested(opened: Build) -> bool:
    harvest = next(stage for stage in opened.stages if isinstance(stage, HarvestStage))
    return all(find_part(harvest, partition, {}, opened.run) for partition in opened.selection.partitions)
