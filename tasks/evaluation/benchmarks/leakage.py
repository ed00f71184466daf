"""Which of a benchmark's recordings a model was trained on, as far as YouTube ids tell."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from tasks.engine.errors import BuildError
from tasks.select.evaluation import youtube_id


def trained_ids(manifest: Path) -> frozenset[str]:
    """Ids of the tracks that a dataset trains on or chooses by: its splits ``train`` and ``valid``.

    A track is known by its own id (of AudioSet the YouTube id) and by the id in its address.

    Raises:
        BuildError: no manifest there, or one without the columns of a build.
    """
    try:
        rows = pq.read_table(manifest, columns=["track_id", "split", "url"]).to_pylist()
    except (OSError, ValueError, KeyError) as error:  # Arrow's errors are ValueErrors and KeyErrors
        raise BuildError(f"cannot read {manifest}, the manifest of what was trained on: {error}") from error
    seen = [row for row in rows if row["split"] != "test"]
    return frozenset({row["track_id"] for row in seen} | {youtube_id(row["url"]) or row["track_id"] for row in seen})
