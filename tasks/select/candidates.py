"""What a source offers before anything is chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_specs.records import Track
from tasks.engine.errors import BuildError
from tasks.select.balance import Balance
from tasks.select.evaluation import youtube_id
from tasks.select.order import SPLITS

BY_HASH = -1
"""In ``Candidates.splits``: the source leaves the split to the hash of the id."""


class Candidates(Protocol):
    """Distinct tracks as columns; ``Track`` objects are made for the chosen ones only."""

    @property
    def ids(self) -> pa.StringArray: ...

    @property
    def splits(self) -> NDArray[np.int8]:
        """What the source says of each: an index into ``SPLITS`` or ``BY_HASH``."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What was read and left out so far, in that order."""

    @property
    def balance(self) -> Balance | None: ...

    def youtube_ids(self) -> pa.StringArray:
        """YouTube ids of the addresses; null where an address is none of YouTube's."""

    def tracks(self, rows: NDArray[np.intp], splits: Sequence[str]) -> Iterable[Track]:
        """The tracks of some rows, in that order, with the splits given for them."""


class ListedTracks:
    """Candidates of a source that lists its tracks one by one; a split may be empty.

    Raises:
        BuildError: a split is not one of ``SPLITS``; an id occurs twice.
    """

    balance = None

    def __init__(self, tracks: Sequence[Track]) -> None:
        _check_distinct(tracks)
        index = {"": BY_HASH} | {split: number for number, split in enumerate(SPLITS)}
        for track in tracks:
            if track.split not in index:
                raise BuildError(f"track {track.track_id}: split {track.split!r} is not one of {', '.join(SPLITS)}")
        self._tracks = tracks
        self.ids = pa.array([track.track_id for track in tracks], pa.string())
        self.splits = np.array([index[track.split] for track in tracks], dtype=np.int8)
        self.counts = {"tracks listed": len(tracks)}

    def youtube_ids(self) -> pa.StringArray:
        return pa.array([youtube_id(track.url) for track in self._tracks], pa.string())

    def tracks(self, rows: NDArray[np.intp], splits: Sequence[str]) -> Iterable[Track]:
        return (replace(self._tracks[row], split=split) for row, split in zip(rows, splits, strict=True))


def _check_distinct(tracks: Sequence[Track]) -> None:
    counts = Counter(track.track_id for track in tracks)
    doubled = sorted(track_id for track_id, count in counts.items() if count > 1)
    if doubled:
        urls = sorted({track.url for track in tracks if track.track_id == doubled[0]})
        raise BuildError(
            f"{len(doubled)} track ids occur more than once (first: {doubled[0]!r}, for {', '.join(urls[:3])}); "
            "list every track once"
        )
