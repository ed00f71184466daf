"""The stage that packs a partition's captioned tracks into one shard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data_specs.arrow import identity_fields, to_dict
from data_specs.outcomes import Outcome, ok
from data_specs.publish import publish_bytes
from data_specs.records import AudioFacts, Caption, Harvest, Recording, Sample, ShardEntry, Structure
from tasks.engine.parts import PartInfo, Row
from tasks.engine.pools import Pools
from tasks.engine.stage import Known, Partition
from tasks.engine.workspace import Workspace
from tasks.shards.tar import TarSample, write_shard

SAMPLE_FORMAT = 2
"""Version of the JSON member; it stands in every sample."""


@dataclass(frozen=True, slots=True)
class ShardStage:
    """Writes ``shards/<partition>-<key>.tar``; its rows are the dataset's manifest."""

    name: ClassVar[str] = "shards"
    version: ClassVar[int] = 1
    record: ClassVar[type] = Sample
    inputs: ClassVar[tuple[str, ...]] = ("harvest", "audio", "structure", "caption", "duplicates")

    def settings(self) -> Any:
        return {"format": SAMPLE_FORMAT}

    def basis(self, known: Known) -> Any:
        return [identity_fields(record) for record in (known.track, *_records(known))]

    def keeps(self, row: Row, workspace: Workspace) -> bool:
        return False  # a row belongs to one tar

    def is_whole(self, part: Path, info: PartInfo) -> bool:
        return not info.counts.get("ok") or (part.with_suffix(".tar").exists() and sidecar(part).exists())

    def process_partition(
        self, partition: Partition, tracks: Sequence[Known], key: str, workspace: Workspace, pools: Pools
    ) -> list[Outcome]:
        if not tracks:
            return []
        name = f"{partition.name}-{key}.tar"
        path = workspace.root / self.name / name
        published = write_shard(path, (_tar_sample(known, workspace) for known in tracks))
        entry = ShardEntry(
            shard=name,
            split=partition.split,
            sha256=published.sha256,
            num_bytes=published.num_bytes,
            num_samples=len(tracks),
            duration_s=round(sum(_records(known)[1].duration_s for known in tracks), 2),
        )
        publish_bytes(sidecar(path), json.dumps(to_dict(entry), indent=1).encode())
        return [ok(_sample(known, name, index)) for index, known in enumerate(tracks)]


def sidecar(shard: Path) -> Path:
    """The JSON file beside a shard: its ``ShardEntry``, with the hash taken while it was written."""
    return shard.with_suffix(".json")


def _records(known: Known) -> tuple[Harvest, AudioFacts, Structure, Caption, Recording]:
    assert known.harvest and known.audio and known.structure and known.caption and known.duplicates
    return known.harvest, known.audio, known.structure, known.caption, known.duplicates


def _public_url(url: str) -> str:
    """A dataset that is given away does not tell the folders of its maker's disk."""
    return f"file:{url.rsplit('/', 1)[1]}" if url.startswith("file:") else url


def _tar_sample(known: Known, workspace: Workspace) -> TarSample:
    """Every sample has the same JSON keys: readers that infer columns from the first ones rely on it."""
    harvest, audio, structure, caption, recording = _records(known)
    track = known.track
    facts = {
        "format": SAMPLE_FORMAT,
        "track_id": track.track_id,
        "split": track.split,
        "source": track.source,
        "url": _public_url(track.url),
        "labels": list(track.labels),
        "title": track.title or harvest.title,
        "artist": harvest.artist,
        "album": harvest.album,
        "channel": harvest.channel,
        "channel_id": harvest.channel_id,
        "upload_date": harvest.upload_date,
        "license": harvest.license,
        "cluster": recording.cluster,
        "sample_rate_hz": 16_000,
        "duration_s": audio.duration_s,
        "audio_sha256": audio.sha256,
        "pcm_sha256": audio.pcm_sha256,
        "loudness_lufs": audio.loudness_lufs,
        "structure": {name: value for name, value in to_dict(structure).items() if name != "track_id"},
        "caption": {name: value for name, value in to_dict(caption).items() if name != "track_id"},
    }
    return TarSample(key=track.track_id, audio=workspace.root / audio.file, text=caption.long_text, facts=facts)


def _sample(known: Known, shard: str, index: int) -> Sample:
    harvest, audio, structure, caption, recording = _records(known)
    return Sample(
        track_id=known.track.track_id,
        split=known.track.split,
        shard=shard,
        index=index,
        duration_s=audio.duration_s,
        num_words=caption.num_words,
        num_sections=len(caption.sections),
        caption=caption.long_text,
        captioner=caption.captioner,
        caption_model=caption.model,
        audio_sha256=audio.sha256,
        audio_num_bytes=audio.num_bytes,
        source=known.track.source,
        url=_public_url(known.track.url),
        title=known.track.title or harvest.title,
        artist=harvest.artist,
        channel=harvest.channel,
        license=harvest.license,
        labels=known.track.labels,
        cluster=recording.cluster,
        tempo_bpm=structure.tempo_bpm,
        key=structure.key,
    )
