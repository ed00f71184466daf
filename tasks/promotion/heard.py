"""Which tracks a run has learned from, and whether the test split has some of them by now.

A track keeps its split while a dataset grows, because that is a hash of its id. It still happens: another salt or
share in the spec; or a new track that is the same recording as one that was trained on and whose hash says ``test``,
which takes both over there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from collap_model.training.config import TrainConfig
from data_specs.publish import publish
from tasks.engine.workspace import Workspace
from tasks.training.job import TrainJob

__all__ = ["heard_by", "learned_from", "note_heard"]

HEARD = "heard.parquet"


def note_heard(workspace: Workspace, run: Path) -> None:
    """Write down the ids of what a run was trained on, if that is the dataset as it is now.

    A run that has its own name from configuration and data proves it by that; of another one nothing is written.
    """
    path = run / HEARD
    needed = (run / "config.json", workspace.manifest, workspace.features)
    if path.exists() or not all(table.is_file() for table in needed):
        return
    try:
        config = TrainConfig.model_validate(json.loads((run / "config.json").read_bytes()))
    except ValidationError:  # of another version of this program: its name is another one, too
        return
    if TrainJob(workspace=str(workspace.root), config=config).folder() != run:
        return
    splits = ["train", "valid"] if config.validate_every else ["train"]
    rows = pq.read_table(workspace.manifest, columns=["track_id", "split"])
    ids = rows.filter(pc.is_in(rows["split"], pa.array(splits)))["track_id"].unique()
    with publish(path) as (file, _):
        pq.write_table(pa.table({"track_id": ids}), file)


def heard_by(run: Path) -> frozenset[str] | None:
    """Ids of the tracks that a run was trained on and chosen by; None where nobody wrote them down."""
    path = run / HEARD
    return frozenset(pq.read_table(path)["track_id"].to_pylist()) if path.is_file() else None


def learned_from(heard: frozenset[str], asked: Iterable[str], workspace: Workspace) -> list[str]:
    """Of the tracks that are asked, those that are the same recording as one that was heard, or share a passage."""
    rows = pq.read_table(workspace.manifest, columns=["track_id", "cluster"]).to_pylist()
    cluster_of = {row["track_id"]: row["cluster"] for row in rows}
    known = set(heard)
    for part in sorted((workspace.root / "duplicates").glob("*.parquet")):
        # Of what was left out since as well: its row says for which track.
        for row in pq.read_table(part, columns=["track_id", "cluster", "match"]).to_pylist():
            if row["track_id"] in heard:
                known |= {row["cluster"], row["match"]}
    known |= {cluster_of[track_id] for track_id in heard if track_id in cluster_of}
    return [track_id for track_id in asked if not known.isdisjoint({track_id, cluster_of.get(track_id)} - {None})]
