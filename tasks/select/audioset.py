"""AudioSet as a source: videos of its segment lists whose labels fall into a part of its ontology.

Lists have up to two million rows but far fewer distinct label texts, so labels are looked at once
per distinct set, and everything per row is a column.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_specs.records import Track
from data_specs.spec import AudioSetSource
from tasks.engine.errors import BuildError
from tasks.select.balance import Balance
from tasks.select.candidates import BY_HASH
from tasks.select.order import TEST
from tasks.select.segments import read_segments

LabelSets = list[tuple[str, ...]]


class AudioSetVideos:
    """Candidates: one track per video with a label at or below ``source.root``, in the order of the lists.

    Labels of a video that stands in several rows are united. A list whose file name begins with
    ``eval`` gives the split ``test``, for good: AudioSet's evaluation videos never train a model.

    Raises:
        BuildError: a file is missing or not of the published format; a label id is unknown.
    """

    def __init__(self, source: AudioSetSource) -> None:
        self._source = source
        self._ontology = read_ontology(Path(source.ontology))
        for mid in (source.root, *source.require, *source.forbid):
            if mid not in self._ontology:
                raise BuildError(f"label {mid!r} is not in {source.ontology}; ids look like /m/04rlf (Music)")
        wanted = subtree(self._ontology, source.root)
        videos, video_of_row, rows, in_eval = _read(source.segments)
        self._sets, set_of_video = unite(video_of_row, rows, len(videos))
        self.counts = {"rows read": len(video_of_row), "distinct tracks": len(videos)}
        kept = self._filter(set_of_video, wanted)
        self.ids = videos.take(pa.array(kept))
        self.splits = np.where(in_eval[kept], TEST, BY_HASH).astype(np.int8)
        self._set_of_row = set_of_video[kept]
        self.balance = None
        if source.max_per_label is not None:
            below = wanted - {source.root}
            counted = [tuple(mid for mid in mids if mid in below) or (source.root,) for mids in self._sets]
            self.balance = Balance(source.max_per_label, counted, self._set_of_row)

    def _filter(self, set_of_video: NDArray[np.int32], wanted: set[str]) -> NDArray[np.intp]:
        """The videos with the labels that the source asks for; counts those without."""
        kept = np.flatnonzero(self._has_one_of(wanted)[set_of_video])
        self.counts["with a wanted label"] = len(kept)
        if self._source.require:
            with_it = self._has_one_of(self._source.require)[set_of_video[kept]]
            self.counts["without a required label"] = int((~with_it).sum())
            kept = kept[with_it]
        if self._source.forbid:
            with_it = self._has_one_of(self._source.forbid)[set_of_video[kept]]
            self.counts["with a forbidden label"] = int(with_it.sum())
            kept = kept[~with_it]
        return kept

    def _has_one_of(self, labels: Iterable[str]) -> NDArray[np.bool_]:
        labels = frozenset(labels)
        return np.array([not labels.isdisjoint(mids) for mids in self._sets], dtype=bool)

    def youtube_ids(self) -> pa.StringArray:
        return self.ids

    def tracks(self, rows: NDArray[np.intp], splits: Sequence[str]) -> Iterable[Track]:
        names: dict[int, tuple[str, ...]] = {}
        videos = self.ids.take(pa.array(rows)).to_pylist()
        for video, label_set, split in zip(videos, self._set_of_row[rows].tolist(), splits, strict=True):
            if label_set not in names:
                mids = self._sets[label_set]
                names[label_set] = tuple(self._ontology[m]["name"] if m in self._ontology else m for m in mids)
            url = self._source.url_template.format(track_id=video)
            yield Track(track_id=video, source="audioset", url=url, split=split, labels=names[label_set])


def _read(paths: Sequence[str]) -> tuple[pa.StringArray, NDArray[np.int32], pa.DictionaryArray, NDArray[np.bool_]]:
    """Distinct videos, the video and the labels of every row, and which videos an ``eval`` list has."""
    tables = [read_segments(Path(path)) for path in paths]
    rows = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    videos, video_of_row = number_distinct(rows["video"].combine_chunks())
    in_eval = np.zeros(len(videos), dtype=bool)
    start = 0
    for path, table in zip(paths, tables, strict=True):
        if Path(path).name.startswith("eval"):
            in_eval[video_of_row[start : start + len(table)]] = True
        start += len(table)
    return videos, video_of_row, rows["labels"].combine_chunks(), in_eval


def number_distinct(ids: pa.StringArray) -> tuple[pa.StringArray, NDArray[np.int32]]:
    """Distinct ids in order of first appearance, and for every row the index of its id.

    Hashing two million strings would cost more than reading them, and the published lists name no
    video twice. Equal ids have equal mixes of their bytes, so where no two mixes are equal all ids
    are distinct and there is nothing to hash.
    """
    mixes_N = _mixes(ids)
    if mixes_N is not None:
        mixes_N.sort()
        if not (mixes_N[1:] == mixes_N[:-1]).any():
            return ids, np.arange(len(ids), dtype=np.int32)
    encoded = ids.dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy()


def _mixes(ids: pa.StringArray) -> NDArray[np.uint64] | None:
    """A multilinear hash per id (Lemire and Kaser, arXiv 1202.4961); None where ids differ in length."""
    _, offsets, data = ids.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
    if len(ids) == 0 or (np.diff(ends) != ends[1] - ends[0]).any():
        return None
    width = int(ends[1] - ends[0])
    padded_NB = np.zeros((len(ids), -(-width // 8) * 8), dtype=np.uint8)
    padded_NB[:, :width] = np.frombuffer(data, dtype=np.uint8)[ends[0] : ends[-1]].reshape(len(ids), width)
    factors_W = np.random.default_rng(0).integers(2**64, size=padded_NB.shape[1] // 8, dtype=np.uint64) | np.uint64(1)
    return padded_NB.view(np.uint64) @ factors_W


def unite(
    video_of_row: NDArray[np.int32], labels: pa.DictionaryArray, num_videos: int
) -> tuple[LabelSets, NDArray[np.int32]]:
    """The distinct label sets, and which of them each video has; rows of one video are united in their order."""
    sets: LabelSets = [tuple(dict.fromkeys(text.strip('"').split(","))) for text in labels.dictionary.to_pylist()]
    set_of_row = labels.indices.to_numpy()
    set_of_video = np.zeros(num_videos, dtype=np.int32)
    set_of_video[video_of_row] = set_of_row  # of any of its rows, which only matters where they differ
    differing = np.unique(video_of_row[set_of_row != set_of_video[video_of_row]])
    if len(differing):
        rows_of = np.flatnonzero(np.isin(video_of_row, differing))
        rows_of = rows_of[np.argsort(video_of_row[rows_of], kind="stable")]
        starts = np.searchsorted(video_of_row[rows_of], differing)
        united: dict[tuple[int, ...], int] = {}
        for video, rows in zip(differing.tolist(), np.split(rows_of, starts[1:]), strict=True):
            parts = tuple(dict.fromkeys(set_of_row[rows].tolist()))
            if parts not in united:
                united[parts] = len(sets)
                sets.append(tuple(dict.fromkeys(mid for part in parts for mid in sets[part])))
            set_of_video[video] = united[parts]
    return sets, set_of_video


def read_ontology(path: Path) -> dict[str, dict[str, Any]]:
    """The ontology's nodes by label id.

    Raises:
        BuildError: the file cannot be read; a node (named) lacks a field or has a child that is not there.
    """
    fix = "set source.ontology to AudioSet's ontology.json"
    try:
        nodes = {node["id"]: node for node in json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BuildError(f"cannot read {path}: {error}; {fix}") from error
    for mid, node in nodes.items():
        for field, kind in (("name", str), ("child_ids", list)):
            if not isinstance(node.get(field), kind):
                raise BuildError(f"{path}: node {mid!r} has no {field}; {fix}")
        for child in node["child_ids"]:
            if child not in nodes:
                raise BuildError(f"{path}: node {mid!r} has the child {child!r}, which is not in it; {fix}")
    return nodes


def subtree(ontology: dict[str, dict[str, Any]], root: str) -> set[str]:
    """The label ids at or below a node."""
    found: set[str] = set()
    open_ids = [root]
    while open_ids:
        mid = open_ids.pop()
        if mid not in found:
            found.add(mid)
            open_ids += ontology[mid]["child_ids"]
    return found
