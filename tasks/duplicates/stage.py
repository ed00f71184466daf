"""The stages ``fingerprint`` (each track by itself) and ``duplicates`` (all tracks at once)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.outcomes import Outcome, Status
from data_specs.records import Fingerprint, Recording, Track
from data_specs.spec import DuplicateSettings, EvaluationSettings
from tasks.duplicates.clusters import (
    Song,
    apart,
    clusters_of,
    exact_links,
    judge,
    near_links,
    same_recording,
    spread_leaks,
)
from tasks.duplicates.evaluation import (
    audio_leaks,
    evaluation_fingerprints,
    evaluation_identity,
    id_leaks,
    settle_leaks,
)
from tasks.duplicates.fingerprint import ALGORITHM, fingerprint_track
from tasks.duplicates.match import Fingerprints
from tasks.duplicates.passage import Values
from tasks.engine.parts import PartInfo
from tasks.engine.pools import PoolKind, Pools
from tasks.engine.stage import KeepsRows, Known, Partition
from tasks.engine.workspace import Workspace
from tasks.select.evaluation import youtube_id


@dataclass(frozen=True, slots=True)
class FingerprintStage(KeepsRows):
    """What each track sounds like, in a form that survives codecs."""

    name: ClassVar[str] = "fingerprint"
    version: ClassVar[int] = 1
    record: ClassVar[type] = Fingerprint
    inputs: ClassVar[tuple[str, ...]] = ("audio",)
    pool: ClassVar[PoolKind] = "processes"

    def settings(self) -> Any:
        return ALGORITHM

    def basis(self, known: Known) -> Any:
        assert known.audio
        return [self.settings(), known.audio.pcm_sha256]

    def process(self, known: Known, workspace: Path) -> Outcome[Fingerprint]:
        assert known.audio
        return fingerprint_track(known.audio, workspace)


@dataclass(frozen=True, slots=True)
class DuplicateStage:
    """Find the tracks that are one recording, keep them on one side of the splits and away from evaluation data."""

    duplicates: DuplicateSettings
    evaluation: EvaluationSettings
    name: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 1
    record: ClassVar[type] = Recording
    inputs: ClassVar[tuple[str, ...]] = ("audio", "fingerprint", "harvest")

    def settings(self) -> Any:
        on_match = self.evaluation.on_match
        return [self.duplicates.model_dump(mode="json"), on_match, evaluation_identity(self.evaluation)]

    def process_dataset(
        self,
        partitions: Sequence[Partition],
        parts: Mapping[str, Mapping[str, PartInfo]],
        workspace: Workspace,
        pools: Pools,
    ) -> dict[str, list[tuple[str, Outcome[Recording]]]]:
        """The outcome of every track that is ``ok`` in all inputs, by partition, whatever the order of those.

        Raises:
            BuildError: evaluation data cannot be read, or tracks to learn from are among them
                (``on_match: fail``; they stand in ``leakage.parquet``).
        """
        songs: list[Song] = []
        values: list[Values] = []
        samples: set[str] = set()
        slices = {}
        for partition in sorted(partitions, key=lambda partition: partition.name):
            begin = len(songs)
            for song, values_V in _read_songs(partition, parts[partition.name]):
                # Of equal samples the first stands for all.
                values.append(values_V if song.pcm_sha256 not in samples else values_V[:0])
                samples.add(song.pcm_sha256)
                songs.append(song)
            slices[partition.name] = slice(begin, len(songs))
        prints = Fingerprints.of(values)
        del values  # half a gigabyte for 50,000 tracks
        outcomes = self._outcomes(songs, prints, workspace, pools)
        return {
            name: [(song.track_id, outcome) for song, outcome in zip(songs[its], outcomes[its], strict=True)]
            for name, its in slices.items()
        }

    def _outcomes(
        self, songs: Sequence[Song], prints: Fingerprints, workspace: Workspace, pools: Pools
    ) -> list[Outcome[Recording]]:
        bounds = self.duplicates
        # First what costs little: a mistake in the evaluation data shows before the long comparison.
        leaks = id_leaks(songs, self.evaluation)
        clips = evaluation_fingerprints(self.evaluation, workspace, pools)
        leaks = audio_leaks(songs, prints, clips, bounds, pools.check) | leaks
        passages = near_links(prints, bounds, pools.check)
        links = exact_links(songs) + [link for link in passages if same_recording(songs, link, bounds.min_share)]
        quotes = [link for link in passages if not same_recording(songs, link, bounds.min_share)]
        clusters = clusters_of(songs, links)
        leaks = spread_leaks(songs, links, leaks, clusters)
        settle_leaks(songs, leaks, self.evaluation, workspace)
        return apart(songs, quotes, clusters, judge(songs, links, clusters, leaks, bounds.keep))


def _read_songs(partition: Partition, parts: Mapping[str, PartInfo]) -> Iterator[tuple[Song, Values]]:
    audio = _ok_rows(parts["audio"], "pcm_sha256", "duration_s", "bandwidth_hz")
    harvest = _ok_rows(parts["harvest"], "media_id", "webpage_url")
    prints = _fingerprints(parts["fingerprint"])
    for track in partition.tracks:
        if track.track_id in audio and track.track_id in harvest and track.track_id in prints:
            facts = audio[track.track_id]
            song = Song(
                track_id=track.track_id,
                split=track.split,
                pcm_sha256=facts["pcm_sha256"],
                duration_s=facts["duration_s"],
                bandwidth_hz=facts["bandwidth_hz"],
                site_ids=_site_ids(track, harvest[track.track_id]),
            )
            yield song, prints[track.track_id]


def _site_ids(track: Track, harvest: Mapping[str, Any]) -> frozenset[str]:
    page = harvest["webpage_url"]
    ids = {track.track_id, harvest["media_id"], youtube_id(track.url), None if page is None else youtube_id(page)}
    return frozenset(site_id for site_id in ids if site_id is not None)


def _ok_rows(part: PartInfo, *columns: str) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(part.path, columns=["track_id", "status", *columns]).to_pylist()
    return {row["track_id"]: row for row in rows if row["status"] == Status.OK}


def _fingerprints(part: PartInfo) -> dict[str, Values]:
    """By track id; the lists go from Arrow to numpy without becoming Python's."""
    table = pq.read_table(part.path, columns=["track_id", "status", "values"]).combine_chunks()
    if not table.num_rows:
        return {}
    lists = table["values"].chunk(0)
    assert isinstance(lists, pa.ListArray)
    flat_V = lists.values.to_numpy().astype(np.uint32)
    bounds = lists.offsets.to_numpy()
    return {
        track_id: flat_V[bounds[row] : bounds[row + 1]]
        for row, (track_id, status) in enumerate(
            zip(table["track_id"].to_pylist(), table["status"].to_pylist(), strict=True)
        )
        if status == Status.OK
    }
