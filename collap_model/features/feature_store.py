"""Durable per-second audio features: written once by frozen encoders, memory-mapped by training.

``features.parquet`` (one ``Features`` row per track) says which rows of which ``.npy`` belong to which
track; ``feature_files`` writes one file per partition and encoder, ``packed`` one for a whole workspace.
A vector is a mean of frames and its count of frames is kept, so means re-pool exactly: a clip of any
whole number of seconds is the mean of its frames, and clip lengths are compared without encoding again.

Shapes: S seconds, K clips, N encoders, E width of one encoder, D width of all side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from collap_model.features.feature_files import open_array
from data_specs.records import Encoding, Features

__all__ = ["FEATURES_FILE", "FeatureStore", "pool_clips"]

FEATURES_FILE = "features.parquet"

_Kind = tuple[tuple[str, int], ...]


class FeatureStore:
    """Random access to the features of a workspace. Opening reads the index only."""

    def __init__(self, workspace: Path, rows: Iterable[Features]) -> None:
        """Raises ``ValueError`` without rows, for a repeated track, or for rows of different encoders or widths."""
        self.workspace = workspace
        self.rows: dict[str, Features] = {}
        for row in rows:
            if row.track_id in self.rows:
                raise ValueError(f"{FEATURES_FILE}: track {row.track_id!r} occurs twice; write the index again")
            self.rows[row.track_id] = row
        kinds: dict[_Kind, str] = {}
        for row in self.rows.values():
            kinds.setdefault(tuple((item.encoder, item.dim) for item in row.encodings), row.track_id)
        self.encoders, self.dims = _one_kind(kinds, workspace)
        self.encoder = "+".join(self.encoders)
        """Identity of all encoders together, what a model is trained for."""
        self.dim = sum(self.dims)
        self._edges = np.cumsum([0, *self.dims])
        self._parts: dict[str, npt.NDArray[Any]] = {}

    @classmethod
    def open(cls, workspace: Path) -> FeatureStore:
        """Read ``workspace/features.parquet``, of a build or packed.

        Raises:
            ValueError: the index is missing, damaged, lacks a column, or see ``__init__``.
        """
        path = Path(workspace) / FEATURES_FILE
        if not path.is_file():
            raise ValueError(f"no feature index at {path}; run the features stage first")
        names = [item.name for item in fields(Features)]
        try:
            table: pa.Table = pq.read_table(path)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{path} is cut off or no Parquet ({error}); write the index again") from error
        missing = set(names) - set(table.column_names)
        if missing:
            raise ValueError(f"{path} lacks the columns {sorted(missing)}; write the index again")
        return cls(Path(workspace), map(_row, table.select(names).to_pylist()))

    def __contains__(self, track_id: str) -> bool:
        return track_id in self.rows

    def __len__(self) -> int:
        return len(self.rows)

    def vectors(self, track_id: str) -> npt.NDArray[np.float16]:
        """Per-second vectors ``[S, D]`` of a track, read-only, straight from the memory map where one file has all.

        Raises:
            ValueError: unknown track, a file that is missing, too short or of another form, NaN or infinity.
        """
        row = self._row(track_id)
        whole = self._whole(row)
        vectors_SD = np.concatenate(self._encoded(row), axis=1) if whole is None else whole
        _check_finite(row, vectors_SD)
        return vectors_SD

    def frames(self, track_id: str) -> npt.NDArray[np.int32]:
        """Frames behind each vector ``[S, N]``, by encoder.

        Raises:
            ValueError: unknown track, a file that is missing, too short or of another form, a count below 1.
        """
        row = self._row(track_id)
        return np.stack([self._frames(row, item) for item in row.encodings], axis=1)

    def clips(
        self, track_id: str, clip_seconds: int, heard: slice | npt.NDArray[np.integer] = slice(None)
    ) -> npt.NDArray[np.float32]:
        """Means over whole clips ``[K, D]`` of the heard seconds of a track, in any order, see ``pool_clips``."""
        row = self._row(track_id)
        encoded = zip(self._encoded(row), row.encodings, strict=True)
        clips_KD = np.concatenate(
            [
                pool_clips(vectors_SE[heard], self._frames(row, item)[heard], clip_seconds)
                for vectors_SE, item in encoded
            ],
            axis=1,
        )
        # Whatever is not finite in a second is not in its clip, of which there are a tenth as many to look at.
        _check_finite(row, clips_KD)
        return clips_KD

    def _row(self, track_id: str) -> Features:
        row = self.rows.get(track_id)
        if row is None:
            raise ValueError(f"track {track_id!r} has no features in {self.workspace / FEATURES_FILE}")
        return row

    def _whole(self, row: Features) -> npt.NDArray[np.float16] | None:
        """All encoders' vectors ``[S, D]`` where they lie side by side in one file."""
        first = row.encodings[0]
        together = [(first.file, first.offset, int(column)) for column in self._edges[:-1]]
        if [(item.file, item.offset, item.column) for item in row.encodings] != together:
            return None
        return self._rows_of(self._part(first.file, np.float16, self.dim), row, first)

    def _encoded(self, row: Features) -> list[npt.NDArray[np.float16]]:
        """The vectors ``[S, E]`` of each encoder."""
        whole = self._whole(row)
        if whole is not None:
            return np.split(whole, self._edges[1:-1], axis=1)
        return [self._rows_of(self._part(item.file, np.float16, item.dim), row, item) for item in row.encodings]

    def _frames(self, row: Features, item: Encoding) -> npt.NDArray[np.int32]:
        counts_S = self._rows_of(self._part(item.frames_file, np.int32, None), row, item)
        if (counts_S < 1).any():
            raise ValueError(
                f"frame counts of track {row.track_id!r} in {item.frames_file} must be at least 1; encode it again"
            )
        return counts_S

    def _rows_of(self, part: npt.NDArray[Any], row: Features, item: Encoding) -> npt.NDArray[Any]:
        end = item.offset + row.num_seconds
        if row.num_seconds < 1 or item.offset < 0 or end > len(part):
            raise ValueError(f"{item.file} has {len(part)} rows, track {row.track_id!r} claims {item.offset} to {end}")
        return part[item.offset : end]

    def _part(self, file: str, dtype: type, width: int | None) -> npt.NDArray[Any]:
        """A memory map ``width`` columns wide; one-dimensional for ``width`` None."""
        if file not in self._parts:
            path = self.workspace / file
            if not path.is_file():
                raise ValueError(f"feature file {path} is missing; run the features stage again")
            self._parts[file] = open_array(path)
        part = self._parts[file]
        fits = part.ndim == 1 if width is None else part.shape[1:] == (width,)
        if part.dtype != dtype or not fits:
            expected = "[total_seconds]" if width is None else f"[total_seconds, {width}]"
            raise ValueError(
                f"{self.workspace / file} is {part.dtype} {part.shape}, expected {np.dtype(dtype)} {expected}"
            )
        return part


def pool_clips(
    vectors_SE: npt.NDArray[np.floating], frames_S: npt.NDArray[np.integer], clip_seconds: int
) -> npt.NDArray[np.float32]:
    """Means over the frames of whole clips ``[K, E]``, ``K = max(1, round(S / clip_seconds))``.

    The last clip takes what is left, between a half and one and a half clips: a tail of a second
    never weighs as much as a clip.

    Args:
        frames_S: how many frames each vector is the mean of.
    """
    if clip_seconds < 1 or len(vectors_SE) == 0:
        raise ValueError(f"need clip_seconds >= 1 and at least one second, got {clip_seconds} and {len(vectors_SE)}")
    num_clips = max(1, int(len(vectors_SE) / clip_seconds + 0.5))
    vectors_SE = vectors_SE.astype(np.float32)
    if (frames_S == frames_S[0]).all():
        totals_K = np.full(num_clips, clip_seconds, np.float32)
        totals_K[-1] = len(vectors_SE) - (num_clips - 1) * clip_seconds
    else:
        # In units of a whole second, so that equal counts leave the plain mean to the bit.
        weights_S = frames_S.astype(np.float32) / np.float32(frames_S[0])
        vectors_SE *= weights_S[:, None]
        totals_K = _sums(weights_S[:, None], clip_seconds, num_clips)[:, 0]
    return _sums(vectors_SE, clip_seconds, num_clips) / totals_K[:, None]


def _sums(values_SE: npt.NDArray[np.float32], clip_seconds: int, num_clips: int) -> npt.NDArray[np.float32]:
    """Of the seconds of each clip ``[K, E]``. ``np.add.reduceat`` takes ten times as long."""
    whole = (num_clips - 1) * clip_seconds
    sums_KE = np.empty((num_clips, values_SE.shape[1]), np.float32)
    values_SE[:whole].reshape(num_clips - 1, clip_seconds, values_SE.shape[1]).sum(axis=1, out=sums_KE[:-1])
    values_SE[whole:].sum(axis=0, out=sums_KE[-1])
    return sums_KE


def _check_finite(row: Features, values: npt.NDArray[np.floating]) -> None:
    if not np.isfinite(values).all():
        files = sorted({item.file for item in row.encodings})
        raise ValueError(f"features of track {row.track_id!r} in {files} hold NaN or infinity; encode it again")


def _one_kind(kinds: dict[_Kind, str], workspace: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Identities and widths that all rows share, given one track of every kind."""
    if not kinds:
        raise ValueError(f"{workspace / FEATURES_FILE} holds no track; run the features stage first")
    if len(kinds) > 1:
        named = "; ".join(f"{track_id!r} has {list(kind)}" for kind, track_id in list(kinds.items())[:2])
        raise ValueError(
            f"{FEATURES_FILE} mixes encoders or widths: {named}; encode every track with the same encoders"
        )
    kind = next(iter(kinds))
    encoders, dims = tuple(encoder for encoder, _ in kind), tuple(dim for _, dim in kind)
    if not encoders or len(set(encoders)) < len(encoders):
        raise ValueError(f"{FEATURES_FILE} names the encoders {list(encoders)}; expected one or more, each once")
    return encoders, dims


def _row(values: dict[str, Any]) -> Features:
    encodings = tuple(Encoding(**item) for item in values["encodings"])
    return Features(track_id=values["track_id"], num_seconds=values["num_seconds"], encodings=encodings)
