"""``collap forget``: take tracks out of a dataset, and put the dataset together again without them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from tasks.build import Build, BuildConfig, build, open_build
from tasks.engine.errors import BuildError
from tasks.engine.stage import find_part
from tasks.reporting.console import built
from tasks.stages import HarvestStage
from tasks.tombstones import forget, purge

EXAMPLES = 5


def take_down(config: BuildConfig, track_ids: Sequence[str], note: str) -> str:
    """Forget tracks; where the harvest is complete, publish the dataset again. Returns what was done, for people.

    Raises:
        BuildError: an id is not a track of the dataset; another build holds the workspace.
    """
    with open_build(config) as opened:
        _check_known(track_ids, opened)
        new = forget(opened.workspace, track_ids, note)
        purge(opened.workspace)
        complete = _is_harvested(opened)
    before = len(track_ids) - len(new)
    done = f"{len(new)} tracks forgotten ({before} were already); the list is {opened.workspace.forgotten}"
    if not complete:
        return f"{done}\nthe harvest is not complete: the next build goes on without them"
    return f"{done}\n\n{built(build(config))}"


def _check_known(track_ids: Sequence[str], opened: Build) -> None:
    known = {track.track_id for track in opened.selection.tracks}
    unknown = [track_id for track_id in track_ids if track_id not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=EXAMPLES)
        raise BuildError(
            f"{len(unknown)} of {len(track_ids)} ids are no track of '{opened.spec.name}', the first is {unknown[0]!r}"
            + (f"; near it: {', '.join(near)}" if near else "")
        )


def _is_harvested(opened: Build) -> bool:
    harvest = next(stage for stage in opened.stages if isinstance(stage, HarvestStage))
    return all(find_part(harvest, partition, {}, opened.run) for partition in opened.selection.partitions)
