"""Durable per-second audio features: written once by a frozen encoder, memory-mapped by training.

Each partition is one ``.npy`` ``[total_seconds, dim]`` float16; ``features.parquet`` (one
``Features`` row per track) says which rows belong to which track. Means re-pool exactly: a clip of
any whole number of seconds is the mean of its rows, so clip lengths are compared without
encoding again.

Shapes: S seconds, K clips, D encoder dim.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.publish import publish
from data_specs.records import Features

__all__ = ["FEATURES_FILE", "FeatureStore", "pool_clips", "write_feature_part"]

FEATURES_FILE = "features.parquet"


class FeatureStore:
    """Random access to the features of a workspace. Opening reads the index only."""

    def __init__(self, workspace: Path, rows: Iterable[Features]) -> None:
        """Raises ``ValueError`` without rows, for a repeated track, or for rows of several encoders or widths."""
        self.workspace = workspace
        self.rows: dict[str, Features] = {}
        for row in rows:
            if row.track_id in self.rows:
                raise ValueError(f"{FEATURES_FILE}: track {row.track_id!r} occurs twice; write the index again")
            self.rows[row.track_id] = row
        kinds = sorted({(row.encoder, row.dim) for row in self.rows.values()})
        if not kinds:
            raise ValueError(f"{workspace / FEATURES_FILE} holds no track; run the features stage first")
        if len(kinds) > 1:
            raise ValueError(f"{FEATURES_FILE} mixes encoders or widths {kinds}; encode every track with one encoder")
        self.encoder, self.dim = kinds[0]
        self._parts: dict[str, npt.NDArray[np.float16]] = {}

    @classmethod
    def open(cls, workspace: Path) -> FeatureStore:
        """Read ``workspace/features.parquet``.

        Raises:
            ValueError: the index is missing, lacks a column, or see ``__init__``.
        """
        path = Path(workspace) / FEATURES_FILE
        if not path.is_file():
            raise ValueError(f"no feature index at {path}; run the features stage first")
        names = [item.name for item in fields(Features)]
        missing = set(names) - set(pq.read_schema(path).names)
        if missing:
            raise ValueError(f"{path} lacks the columns {sorted(missing)}; write the index again")
        table: pa.Table = pq.read_table(path, columns=names)
        return cls(Path(workspace), (Features(**row) for row in table.to_pylist()))

    def __contains__(self, track_id: str) -> bool:
        return track_id in self.rows

    def __len__(self) -> int:
        return len(self.rows)

    def vectors(self, track_id: str) -> npt.NDArray[np.float16]:
        """Per-second vectors ``[S, D]`` of a track, read-only, straight from the memory map.

        Raises:
            ValueError: unknown track, a part that is missing, too short or of another form, NaN or infinity.
        """
        row = self.rows.get(track_id)
        if row is None:
            raise ValueError(f"track {track_id!r} has no features in {self.workspace / FEATURES_FILE}")
        part = self._part(row.file)
        end = row.offset + row.num_seconds
        if row.num_seconds < 1 or row.offset < 0 or end > len(part):
            raise ValueError(f"{row.file} has {len(part)} rows, track {track_id!r} claims {row.offset} to {end}")
        vectors_SD = part[row.offset : end]
        if not np.isfinite(vectors_SD).all():
            raise ValueError(f"features of track {track_id!r} in {row.file} hold NaN or infinity; encode it again")
        return vectors_SD

    def clips(self, track_id: str, clip_seconds: int) -> npt.NDArray[np.float32]:
        """Clip means ``[K, D]`` of a whole track, see ``pool_clips``."""
        return pool_clips(self.vectors(track_id), clip_seconds)

    def _part(self, file: str) -> npt.NDArray[np.float16]:
        if file not in self._parts:
            path = self.workspace / file
            if not path.is_file():
                raise ValueError(f"feature part {path} is missing; run the features stage again")
            part = np.load(path, mmap_mode="r")
            if part.dtype != np.float16 or part.ndim != 2 or part.shape[1] != self.dim:
                raise ValueError(f"{path} is {part.dtype} {part.shape}, expected float16 [total_seconds, {self.dim}]")
            self._parts[file] = part
        return self._parts[file]


def pool_clips(vectors_SD: npt.NDArray[np.floating], clip_seconds: int) -> npt.NDArray[np.float32]:
    """Means over whole clips ``[K, D]``, ``K = max(1, round(S / clip_seconds))``.

    The last clip takes what is left, between a half and one and a half clips: a tail of a second
    never weighs as much as a clip.
    """
    if clip_seconds < 1 or len(vectors_SD) == 0:
        raise ValueError(f"need clip_seconds >= 1 and at least one second, got {clip_seconds} and {len(vectors_SD)}")
    num_clips = max(1, int(len(vectors_SD) / clip_seconds + 0.5))
    starts = np.arange(num_clips) * clip_seconds
    counts = np.diff(np.append(starts, len(vectors_SD))).astype(np.float32)
    sums: npt.NDArray[np.float32] = np.add.reduceat(vectors_SD.astype(np.float32), starts, axis=0)
    return sums / counts[:, None]


def write_feature_part(path: Path, vectors: Sequence[npt.NDArray[np.floating]]) -> list[int]:
    """Write the tracks' ``[S, D]`` one below the other as float16 and return the first row of each.

    Atomic: a file of this name is either absent or whole, also across a power cut.

    Raises:
        ValueError: no track, a track without rows, different widths, or values float16 cannot hold.
    """
    if not vectors:
        raise ValueError(f"no vectors to write to {path}")
    shapes = [item.shape for item in vectors]
    if any(len(shape) != 2 or shape[0] == 0 or shape[1] != shapes[0][-1] for shape in shapes):
        raise ValueError(f"expected non-empty [seconds, dim] arrays of one dim, got shapes {sorted(set(shapes))}")
    with np.errstate(over="ignore"):  # reported below, by value
        part = np.concatenate(vectors).astype(np.float16)
    if not np.isfinite(part).all():
        raise ValueError(f"vectors for {path} hold NaN, infinity or values beyond float16's 65504")
    with publish(path) as (file, _):
        np.save(file, part)
    ends = np.cumsum([shape[0] for shape in shapes])
    return [0, *map(int, ends[:-1])]
