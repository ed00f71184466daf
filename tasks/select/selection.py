"""Selection: tracks of a source, their split, their order and their partitions."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from data_specs.records import Track
from data_specs.spec import AudioSetSource, DatasetSpec, LocalSource, RenderedSource, SplitSettings, UrlsSource
from tasks.engine.errors import BuildError
from tasks.engine.stage import Partition

SPLITS = ("train", "valid", "test")
_TRACK_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The tracks of a dataset in their fixed order, cut into partitions of one split each."""

    partitions: tuple[Partition, ...]

    @property
    def tracks(self) -> list[Track]:
        return [track for partition in self.partitions for track in partition.tracks]


def select(spec: DatasetSpec) -> Selection:
    """List the source, give every track its split, order the tracks and cut partitions.

    Order and split are hashes of the track id, so they do not depend on the order of the source,
    and a track that is added moves no other one to another split.

    Raises:
        BuildError: the source is missing, unreadable or has no track; an id is unusable or doubled.
    """
    tracks = _list_source(spec)
    if not tracks:
        raise BuildError(f"source '{spec.source.type}' of spec '{spec.name}' has no track: {_where(spec)}")
    _check_ids(tracks)
    tracks = [track if track.split else replace(track, split=split_of(track.track_id, spec.split)) for track in tracks]
    tracks.sort(key=lambda track: (_hash(spec.split.salt, "order", track.track_id), track.track_id))
    return Selection(partitions=tuple(cut(tracks[: spec.limit], spec.partition_size)))


def split_of(track_id: str, settings: SplitSettings) -> str:
    """``test``, ``valid`` or ``train``, by a uniform hash of the id."""
    percent = 100 * _hash(settings.salt, "split", track_id) / 2**64
    if percent < settings.test_percent:
        return "test"
    return "valid" if percent < settings.test_percent + settings.valid_percent else "train"


def cut(tracks: Sequence[Track], partition_size: int) -> list[Partition]:
    """Consecutive slices of each split, ``train`` first."""
    partitions = []
    for split in SPLITS:
        of_split = [track for track in tracks if track.split == split]
        for number, start in enumerate(range(0, len(of_split), partition_size)):
            members = tuple(of_split[start : start + partition_size])
            partitions.append(Partition(name=f"{split}-{number:05d}", split=split, tracks=members))
    return partitions


def _hash(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")


def _check_ids(tracks: Sequence[Track]) -> None:
    for track in tracks:
        if not _TRACK_ID.fullmatch(track.track_id):
            raise BuildError(
                f"track id {track.track_id!r} is unusable: 1 to 80 letters, digits, '-' and '_' (it names files)"
            )
        if track.split and track.split not in SPLITS:
            raise BuildError(f"track {track.track_id}: split {track.split!r} is not one of {', '.join(SPLITS)}")
    counts = Counter(track.track_id for track in tracks)
    doubled = sorted(track_id for track_id, count in counts.items() if count > 1)
    if doubled:
        urls = sorted({track.url for track in tracks if track.track_id == doubled[0]})
        raise BuildError(
            f"{len(doubled)} track ids occur more than once (first: {doubled[0]!r}, for {', '.join(urls[:3])}); "
            "list every track once"
        )


def _list_source(spec: DatasetSpec) -> list[Track]:
    # Imported here: a build of one source needs the code of that one only.
    match spec.source:
        case LocalSource():
            from tasks.select.local import local_tracks

            return local_tracks(spec.source)
        case UrlsSource():
            from tasks.select.urls import url_tracks

            return url_tracks(spec.source)
        case AudioSetSource():
            from tasks.select.audioset import audioset_tracks

            return audioset_tracks(spec.source)
        case RenderedSource():
            from tasks.demo.catalogue import demo_tracks

            return [replace(track, split="") for track in demo_tracks(spec.source)]


def _where(spec: DatasetSpec) -> str:
    match spec.source:
        case LocalSource(folder=folder, suffixes=suffixes):
            return f"no file in {folder} ends in one of {', '.join(suffixes)}; set source.folder to a folder of music"
        case UrlsSource(table=table):
            return f"{table} has no rows"
        case AudioSetSource(segments=segments, root=root):
            return f"no row of {', '.join(segments)} has a label at or below {root}"
        case RenderedSource():
            return "source.num_songs is 0"
