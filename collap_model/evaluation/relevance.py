"""Which tracks of a split each of its captions describes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import pyarrow.parquet as pq

from collap_model.pairs import MANIFEST_FILE, Pairs

__all__ = ["described_tracks", "queries_sha256"]


def described_tracks(pairs: Pairs) -> dict[str, list[int]]:
    """Every distinct caption with the places in ``pairs.track_ids`` of what it describes.

    A caption describes every track that has it, and every other recording of these: tracks of one cluster sound
    the same, so finding one for the other is no mistake. A track may have any number of captions.

    Raises:
        ValueError: the manifest does not say which recordings are the same.
    """
    path = pairs.store.workspace / MANIFEST_FILE
    if "cluster" not in pq.read_schema(path).names:
        raise ValueError(f"{path} has no column 'cluster'; build the dataset again")
    rows = pq.read_table(path, columns=["track_id", "cluster"]).to_pylist()
    cluster_of = {row["track_id"]: row["cluster"] for row in rows}
    members: dict[str, list[int]] = {}
    for number, track_id in enumerate(pairs.track_ids):
        members.setdefault(cluster_of[track_id], []).append(number)
    described: dict[str, set[int]] = {}
    for pair in pairs.pairs:
        described.setdefault(pair.caption, set()).update(members[cluster_of[pair.track_id]])
    return {caption: sorted(tracks) for caption, tracks in described.items()}


def queries_sha256(described: Mapping[str, Sequence[int]], track_ids: Sequence[str]) -> str:
    """Hash of what is asked and what counts as found, whatever encoder hears it: runs with the same are comparable."""
    return hashlib.sha256(json.dumps([list(described.items()), list(track_ids)]).encode()).hexdigest()
