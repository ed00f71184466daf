"""How long a build takes that has nothing to do, over 51,300 finished tracks.

    python -m benchmarks.rerun [--tracks 51300]

The parts are written by the engine's own code from made-up records (a real build of this size takes days); the
re-run is the product's ``build`` over them. Design target: a few seconds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import pandas as pd

from data_specs.outcomes import ok
from data_specs.publish import publish_bytes
from data_specs.records import (
    Attributes,
    AudioFacts,
    Caption,
    Encoding,
    Features,
    Fingerprint,
    Harvest,
    Recording,
    Sample,
    SectionCaption,
    Structure,
)
from tasks.build import Build, BuildConfig, build, open_build
from tasks.caption.assemble import assemble
from tasks.caption.draft import Draft
from tasks.engine.dataset_stage import dataset_key
from tasks.engine.parts import PartInfo, Parts, Row, write_part
from tasks.engine.schedule import AnyStage
from tasks.engine.stage import DatasetStage, Partition, PartitionStage, TrackStage, part_key
from tasks.shards.pack import sidecar

T = TypeVar("T")


def record(stage: str, track_id: str, partition: str) -> object:
    """A plausible record, as small as its type allows."""
    audio = {"file": f"audio/flac/{track_id}.flac", "sha256": "0" * 64, "pcm_sha256": track_id, "num_bytes": 1}
    levels = {"loudness_lufs": -14.0, "peak_dbfs": -1.0, "silence_ratio": 0.0, "longest_silence_s": 0.0}
    levels |= {"loudness_range_lu": 6.0, "side_db": -9.0, "container_duration_s": 288.0, "gap_s": 0.0}
    rhythm = {"tempo_bpm": 120.0, "tempo_confidence": 1.0, "tempo_alternatives": (), "beats_per_bar": 4}
    rhythm |= {"meter_confidence": 1.0}
    match stage:
        case "harvest":
            return Harvest(track_id=track_id, file=f"harvest/{track_id}", sha256="0" * 64, num_bytes=1, container="m4a")
        case "audio":
            source = {"source_sample_rate_hz": 44_100, "source_channels": 2, "clipping_ratio": 0.0}
            return AudioFacts(track_id=track_id, duration_s=288.0, bandwidth_hz=16e3, **audio, **levels, **source)
        case "structure":
            where = {"engine": "none", "duration_s": 288.0, "beats_s": (), "downbeats_s": (), "tuning_cents": 0.0}
            where |= {"tuning_confidence": 1.0, "chords": ()}
            more = {"key": "C major", "key_confidence": 1.0, "sections": (), "sections_confidence": 0.0}
            return Structure(track_id=track_id, **where, **rhythm, **more)
        case "caption":
            return _caption(track_id)
        case "fingerprint":
            return Fingerprint(track_id=track_id, algorithm="none", values=())
        case "duplicates":
            alone = {"cluster_size": 1, "match": None, "error_rate": None, "overlap_s": None}
            return Recording(track_id=track_id, cluster=track_id, **alone)
        case "features":
            files = {"file": f"features/{partition}.npy", "frames_file": f"features/{partition}.frames.npy"}
            encoding = Encoding(encoder="none", offset=0, dim=160, **files)
            return Features(track_id=track_id, num_seconds=288, encodings=(encoding,))
    about = {"source": "urls", "url": "https://example.org", "title": None, "artist": None, "license": None}
    about |= {"channel": None, "cluster": track_id, "captioner": "none", "caption_model": None}
    size = {"index": 0, "duration_s": 288.0, "num_words": 256, "num_sections": 9, "audio_num_bytes": 1}
    facts = {"caption": "word " * 256, "audio_sha256": "0" * 64, "labels": (), "tempo_bpm": 120.0, "key": "C major"}
    return Sample(track_id=track_id, split=partition[:-6], shard=f"{partition}.tar", **about, **size, **facts)


def _caption(track_id: str) -> Caption:
    whole = {"start_s": 0.0, "end_s": 288.0, "label": "section", "letter": "A", "writer": "rules"}
    section = SectionCaption(description="word " * 200, **whole)
    draft = Draft(global_text="word " * 56, attributes=Attributes(), sections=(section,), anchored=True)
    return assemble(track_id, draft, captioner="none", model=None, prompt=None, version=0, seed=0)


class _Pretend:
    """Writes the part of a stage instead of running it."""

    def __init__(self, build: Build) -> None:
        self.build = build

    def part(
        self, stage: TrackStage | PartitionStage, partition: Partition, parts: Mapping[str, PartInfo]
    ) -> Future[PartInfo]:
        return _done(self._write(stage, partition, part_key(stage, partition, parts)))

    def dataset(self, stage: DatasetStage, parts: Parts) -> Future[list[PartInfo]]:
        partitions = self.build.selection.partitions
        key = dataset_key(stage, partitions, parts)
        return _done([self._write(stage, partition, key) for partition in partitions])

    def _write(self, stage: AnyStage, partition: Partition, key: str) -> PartInfo:
        path = self.build.workspace.part(stage.name, partition.name, key)
        records = [record(stage.name, t.track_id, f"{partition.name}-{key}") for t in partition.tracks]
        rows = [
            Row(track_id=t.track_id, row_key="x", outcome=ok(r)) for t, r in zip(partition.tracks, records, strict=True)
        ]
        for suffix in {"shards": [".tar"], "features": [".npy", ".frames.npy"]}.get(stage.name, []):
            publish_bytes(path.with_suffix(suffix), b"")
        if stage.name == "shards":
            entry = {"shard": f"{path.stem}.tar", "split": partition.split, "sha256": "0" * 64, "num_bytes": 1}
            more = {"num_samples": len(rows), "duration_s": 288.0 * len(rows)}
            publish_bytes(sidecar(path.with_suffix(".tar")), json.dumps(entry | more).encode())
        return write_part(path, stage.name, partition.name, key, stage.record, rows)


def _done(result: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(result)
    return future


def pretend(config: BuildConfig) -> None:
    """Write every part of a finished build."""
    with open_build(config) as opened:
        opened.finish(opened.stream(_Pretend(opened), lambda info: None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=51_300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "urls.csv")
        pd.DataFrame({"url": [f"https://example.org/{i}" for i in range(options.tracks)]}).to_csv(table, index=False)
        spec = Path(folder, "spec.yaml")
        spec.write_text("name: many\nsource: {type: urls, table: urls.csv}\n")
        config = BuildConfig(spec=str(spec), workspace=str(Path(folder, "work")), processes=1)
        started = time.monotonic()
        pretend(config)
        print(f"{options.tracks} tracks pretended in {time.monotonic() - started:.1f} s")
        for _ in range(3):
            wall, cpu = time.monotonic(), time.process_time()
            report = build(config)
            assert report.num_new == 0
            print(f"nothing to do: {time.monotonic() - wall:.2f} s wall, {time.process_time() - cpu:.2f} CPU s")


if __name__ == "__main__":
    main()
