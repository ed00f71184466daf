"""A benchmark as a workspace: its audio decoded and encoded as a build does it, its own texts beside.

    list -> audio files -> harvest -> audio -> features
      `------------------------------------------------> manifest.parquet or labels.parquet

Structure, captions, duplicates and shards are of training data; a benchmark's tracks are taken as they are. A baseline
hears the files themselves and needs no features: for it the audio stage is the last, which says what can be heard.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from data_specs.arrow import to_table
from data_specs.benchmark import BenchmarkSpec
from data_specs.network import NetworkSettings
from data_specs.outcomes import Status
from data_specs.reasons import ReasonClass
from data_specs.records import AudioFacts, Features, Harvest, Track
from data_specs.spec import AudioSettings, FeatureSettings, HarvestSettings
from tasks.engine.parts import PartInfo, read_rows
from tasks.engine.pools import Pools
from tasks.engine.stage import Partition, StageRun, run_stage
from tasks.engine.workspace import Workspace
from tasks.evaluation.benchmarks.listed import Recording
from tasks.features.extract import FeatureStage
from tasks.harvest.network import Network
from tasks.select.selection import cut
from tasks.shards.publish import publish_failures, write_if_changed
from tasks.stages import AudioStage, HarvestStage

LABELS_FILE = "labels.parquet"
_PARTITION_SIZE = 256
_Stage = HarvestStage | AudioStage | FeatureStage
_RECORDS: dict[str, type] = {"harvest": Harvest, "audio": AudioFacts, "features": Features}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What of the recordings can be measured."""

    track_ids: frozenset[str]
    refused: dict[str, int]
    """Tracks with a file that cannot be used, by ``stage: reason``."""


def make_workspace(
    spec: BenchmarkSpec,
    recordings: Sequence[Recording],
    files: Mapping[str, Path],
    features: FeatureSettings | None,
    workspace: Workspace,
    *,
    processes: int | None = None,
    on_detail: Callable[[str], None] = lambda text: None,
) -> Measured:
    """Decode and encode the files, and publish what evaluation reads. What was done before is not done again.

    Args:
        recordings: of the benchmark; those without a file in ``files`` are left out.
        files: audio by track id.
        features: how the model's encoders are opened; None for a baseline.
        processes: for decoding; one per core when None.

    Raises:
        BuildError: the workspace is in use or cannot be written, an encoder's weights are missing.
    """
    tracks = [_track(recording, files[recording.track_id]) for recording in recordings if recording.track_id in files]
    network = Network(NetworkSettings())  # never asked: every track is a file
    stages: list[_Stage] = [HarvestStage(HarvestSettings(), network), AudioStage(_accept_all(spec))]
    if features is not None:
        stages.append(FeatureStage(features))
    parts: dict[str, dict[str, PartInfo]] = {}
    with workspace.locked(), Pools(4, processes or os.cpu_count() or 1) as pools, network:
        # What failed before is tried again: a benchmark has few of these, and each one costs comparability.
        run = StageRun(workspace=workspace, pools=pools, on_detail=on_detail, retry=frozenset(ReasonClass))
        for partition in cut(tracks, _PARTITION_SIZE):
            parts[partition.name] = _run(stages, partition, run)
            counts = parts[partition.name][stages[-1].name].counts
            done = "decoded" if features is None else "encoded"
            on_detail(f"{partition.name}: {counts.get('ok', 0)} of {len(partition.tracks)} tracks {done}")
        return _publish(recordings, tracks, parts, workspace)


def _track(recording: Recording, path: Path) -> Track:
    status = path.stat()
    return Track(
        track_id=recording.track_id,
        source="local",
        url=path.as_uri(),
        split=recording.split,
        labels=recording.labels,
        revision=f"{status.st_size}-{status.st_mtime_ns}",
    )


def _accept_all(spec: BenchmarkSpec) -> AudioSettings:
    """A benchmark's quiet, clipped or narrow recordings are part of it; only what has no sound is not."""
    return AudioSettings(
        min_duration_s=0,
        max_duration_s=spec.max_duration_s,
        max_silence_ratio=1,
        max_clipping_ratio=1,
        min_bandwidth_hz=0,
        max_gap_s=spec.max_duration_s,
    )


def _run(stages: Sequence[_Stage], partition: Partition, run: StageRun) -> dict[str, PartInfo]:
    parts: dict[str, PartInfo] = {}
    for stage in stages:
        parts[stage.name] = run_stage(stage, partition, parts, run)
    return parts


def _publish(
    recordings: Sequence[Recording],
    tracks: Sequence[Track],
    parts: Mapping[str, Mapping[str, PartInfo]],
    workspace: Workspace,
) -> Measured:
    run = {name: record for name, record in _RECORDS.items() if all(name in of for of in parts.values())}
    address = {track.track_id: track.url for track in tracks}
    publish_failures(parts, run, {track.track_id: (track.split, track.url) for track in tracks}, workspace)
    last, record = list(run.items())[-1]
    rows = [row for of_partition in parts.values() for row in read_rows(of_partition[last].path, record)]
    records = [row.outcome.record for row in rows if row.outcome.status is Status.OK]
    measured = frozenset(record.track_id for record in records if record is not None)
    if record is Features:  # those of a model measured before are not a baseline's to take away
        write_if_changed(workspace.features, to_table(Features, records))
    kept = [recording for recording in recordings if recording.track_id in measured]
    write_if_changed(workspace.manifest, _pairs(kept, address))
    write_if_changed(workspace.root / LABELS_FILE, _labels(kept))
    refused: Counter[str] = Counter()
    for of_partition in parts.values():
        for name in run:
            counts = of_partition[name].counts.items()
            refused.update({f"{name}: {reason}": count for reason, count in counts if reason != "ok"})
    return Measured(track_ids=measured, refused=dict(refused))


def _pairs(recordings: Sequence[Recording], address: Mapping[str, str]) -> pa.Table:
    """A row per caption, for ``collap_model.pairs.Pairs`` and for baselines. Every recording is one of its own."""
    schema = pa.schema([(name, pa.string()) for name in ("track_id", "split", "caption", "cluster", "url")])
    rows = [
        {
            "track_id": recording.track_id,
            "split": recording.split,
            "caption": text,
            "cluster": recording.track_id,
            "url": address[recording.track_id],
        }
        for recording in recordings
        for text in recording.texts
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _labels(recordings: Sequence[Recording]) -> pa.Table:
    """A row per recording: what classification reads."""
    schema = pa.schema([("track_id", pa.string()), ("split", pa.string()), ("labels", pa.list_(pa.string()))])
    rows = [
        {"track_id": recording.track_id, "split": recording.split, "labels": list(recording.labels)}
        for recording in recordings
    ]
    return pa.Table.from_pylist(rows, schema=schema)
