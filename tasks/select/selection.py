"""Selection: tracks of a source, their split, their order and their partitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_specs.records import Track
from data_specs.spec import AudioSetSource, DatasetSpec, EvaluationSettings, LocalSource, RenderedSource, UrlsSource
from tasks.engine.errors import BuildError
from tasks.engine.stage import Partition
from tasks.select.candidates import BY_HASH, Candidates, ListedTracks
from tasks.select.evaluation import read_evaluation_ids
from tasks.select.order import SPLITS, TEST, TRACK_ID, digests, order_of, splits_of

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The tracks of a dataset in their fixed order, cut into partitions of one split each."""

    partitions: tuple[Partition, ...]
    counts: dict[str, int]
    """What was read, what was left out and why, what was selected: in that order, by exact number."""

    @property
    def tracks(self) -> list[Track]:
        return [track for partition in self.partitions for track in partition.tracks]


def select(spec: DatasetSpec) -> Selection:
    """List the source, give every track its split, order the tracks and cut partitions.

    Order and split are hashes of the track id, so they do not depend on the order of the source,
    and a track that is added moves no other one to another split. Ids of ``evaluation.ids`` go to
    ``test``.

    Raises:
        BuildError: the source is missing, unreadable or has no track; an id is unusable or doubled;
            an evaluation list cannot be read or names a track that the source wants for training.
    """
    found = _list_source(spec)
    _check_ids(found.ids)
    counts = dict(found.counts)
    digests_N2 = digests(found.ids, spec.split.salt)
    splits_N = np.where(found.splits == BY_HASH, splits_of(digests_N2, spec.split), found.splits)
    rows = order_of(digests_N2)
    if spec.evaluation.ids:
        measured_N = _is_measured(found, spec.evaluation)
        rows = rows[~_contradictions(found, measured_N, spec.evaluation, counts)[rows]]
        splits_N[measured_N] = TEST
    if found.balance is not None:
        offered = len(rows)
        rows = found.balance.take(rows)
        counts["above the balance"] = offered - len(rows)
    if spec.limit is not None:
        counts["beyond the limit"] = max(0, len(rows) - spec.limit)
        rows = rows[: spec.limit]
    if not len(rows):
        raise BuildError(f"source '{spec.source.type}' of spec '{spec.name}' has no track: {_where(spec, counts)}")
    tracks = list(found.tracks(rows, [SPLITS[split] for split in splits_N[rows].tolist()]))
    of_split = Counter(track.split for track in tracks)
    counts |= {"selected": len(tracks)} | {split: of_split[split] for split in SPLITS}
    return Selection(partitions=tuple(cut(tracks, spec.partition_size)), counts=counts)


def cut(tracks: Sequence[Track], partition_size: int) -> list[Partition]:
    """Consecutive slices of each split, ``train`` first."""
    partitions = []
    for split in SPLITS:
        of_split = [track for track in tracks if track.split == split]
        for number, start in enumerate(range(0, len(of_split), partition_size)):
            members = tuple(of_split[start : start + partition_size])
            partitions.append(Partition(name=f"{split}-{number:05d}", split=split, tracks=members))
    return partitions


def _is_measured(found: Candidates, settings: EvaluationSettings) -> NDArray[np.bool_]:
    """Which tracks are on an evaluation list, by their own id or by the YouTube id of their address."""
    ids = pa.array(sorted(read_evaluation_ids(settings.ids)), pa.string())
    youtube_ids = found.youtube_ids()
    measured = pc.is_in(found.ids, value_set=ids)
    if youtube_ids is not found.ids:
        measured = pc.or_(measured, pc.is_in(youtube_ids, value_set=ids))
    return measured.to_numpy(zero_copy_only=False)


def _contradictions(
    found: Candidates, measured_N: NDArray[np.bool_], settings: EvaluationSettings, counts: dict[str, int]
) -> NDArray[np.bool_]:
    """Which tracks an evaluation list names though the source says ``train`` or ``valid``; counts both kinds."""
    wrong_N = measured_N & (found.splits != BY_HASH) & (found.splits != TEST)
    num_wrong = int(wrong_N.sum())
    if num_wrong and settings.on_match == "fail":
        ids = found.ids.filter(pa.array(wrong_N)).to_pylist()
        raise BuildError(
            f"{num_wrong} tracks are on the lists of evaluation.ids but the source gives them the split train or "
            f"valid: {', '.join(ids[:_SHOWN])}{' ...' if num_wrong > _SHOWN else ''}; correct their split, or set "
            "evaluation.on_match to drop to leave them out"
        )
    if settings.on_match == "drop":
        counts["evaluation ids in train or valid"] = num_wrong
    counts["evaluation ids (to test)"] = int(measured_N.sum()) - num_wrong
    return wrong_N


def _check_ids(ids: pa.StringArray) -> None:
    unusable = ids.filter(pc.invert(pc.match_substring_regex(ids, rf"\A{TRACK_ID}\z")))
    if len(unusable):
        raise BuildError(
            f"track id {unusable[0].as_py()!r} is unusable: 1 to 80 letters, digits, '-' and '_' (it names files)"
        )


def _list_source(spec: DatasetSpec) -> Candidates:
    # Imported here: a build of one source needs the code of that one only.
    match spec.source:
        case LocalSource():
            from tasks.select.local import local_tracks

            return ListedTracks(local_tracks(spec.source))
        case UrlsSource():
            from tasks.select.urls import url_tracks

            return ListedTracks(url_tracks(spec.source))
        case AudioSetSource():
            from tasks.select.audioset import AudioSetVideos

            return AudioSetVideos(spec.source)
        case RenderedSource():
            from tasks.demo.catalogue import demo_tracks

            return ListedTracks([replace(track, split="") for track in demo_tracks(spec.source)])


def _where(spec: DatasetSpec, counts: dict[str, int]) -> str:
    if counts.get("evaluation ids in train or valid"):
        return "every one was left out: " + ", ".join(f"{what} {count}" for what, count in counts.items())
    match spec.source:
        case LocalSource(folder=folder, suffixes=suffixes):
            return f"no file in {folder} ends in one of {', '.join(suffixes)}; set source.folder to a folder of music"
        case UrlsSource(table=table):
            return f"{table} has no rows"
        case AudioSetSource(segments=segments):
            numbers = ", ".join(f"{what} {count}" for what, count in counts.items())
            return f"no row of {', '.join(segments)} passes source.root, require and forbid ({numbers})"
        case RenderedSource():
            return "source.num_songs is 0"
