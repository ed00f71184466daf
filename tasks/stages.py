"""Every stage of a build, in the order of the data.

    select -> harvest -> audio -> structure -> caption -------------> shards
                           |----> fingerprint -> duplicates (all) ----^
                           `----> features

A class here says what a stage reads, what decides its result and which room does the work.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data_specs.arrow import identity_fields
from data_specs.outcomes import Outcome, Status, failed
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Caption, Harvest, Structure
from data_specs.spec import AudioSettings, CaptionSettings, DatasetSpec, HarvestSettings, StructureSettings
from tasks.audio.accept import accept_audio
from tasks.caption.captioner import caption_track
from tasks.duplicates.stage import DuplicateStage, FingerprintStage
from tasks.engine.parts import Row
from tasks.engine.pools import PoolKind
from tasks.engine.stage import DatasetStage, KeepsRows, Known, PartitionStage, TrackStage
from tasks.engine.workspace import Workspace
from tasks.features.extract import FeatureStage
from tasks.harvest.fetch import harvest_track
from tasks.harvest.licenses import is_allowed
from tasks.harvest.network import Network
from tasks.shards.pack import ShardStage
from tasks.structure.analyse import analyse_track
from tasks.tombstones import TOMBSTONE


@dataclass(frozen=True, slots=True)
class HarvestStage(KeepsRows):
    """Fetch the media file of each track that nobody asked to forget."""

    harvest: HarvestSettings
    network: Network
    forgotten: frozenset[str] = frozenset()
    name: ClassVar[str] = "harvest"
    version: ClassVar[int] = 1
    record: ClassVar[type] = Harvest
    inputs: ClassVar[tuple[str, ...]] = ()
    pool: ClassVar[PoolKind] = "threads"

    def settings(self) -> Any:
        return self.harvest.model_dump(mode="json")

    def basis(self, known: Known) -> Any:
        return [known.track.url, known.track.revision, self.harvest.format]

    def keeps(self, row: Row, workspace: Workspace) -> bool:
        # Row keys leave duration bounds and licences out, so that new ones re-try only what they decide otherwise.
        if row.outcome.reason in (Reason.DURATION_OUT_OF_RANGE, Reason.LICENSE_REFUSED):
            return False
        record = row.outcome.record
        if record is None:
            return True
        stated_s = record.stated_duration_s
        within = stated_s is None or self.harvest.min_duration_s <= stated_s <= self.harvest.max_duration_s
        return within and is_allowed(record.license, self.harvest.licenses) and _has_file(row, workspace)

    def process(self, known: Known, workspace: Path) -> Outcome[Harvest]:
        if known.track.track_id in self.forgotten:
            return failed(Reason.FORGOTTEN, TOMBSTONE)
        return harvest_track(known.track, self.harvest, self.network, workspace)


@dataclass(frozen=True, slots=True)
class AudioStage(KeepsRows):
    """Decode everything once, measure, accept, leave a 16 kHz mono file."""

    audio: AudioSettings
    name: ClassVar[str] = "audio"
    version: ClassVar[int] = 1
    record: ClassVar[type] = AudioFacts
    inputs: ClassVar[tuple[str, ...]] = ("harvest",)
    pool: ClassVar[PoolKind] = "processes"

    def settings(self) -> Any:
        return self.audio.model_dump(mode="json")

    def basis(self, known: Known) -> Any:
        assert known.harvest
        return [self.settings(), known.harvest.sha256, known.harvest.stated_duration_s]

    def keeps(self, row: Row, workspace: Workspace) -> bool:
        return _has_file(row, workspace)

    def process(self, known: Known, workspace: Path) -> Outcome[AudioFacts]:
        assert known.harvest
        return accept_audio(known.track.track_id, known.harvest, self.audio, workspace)


@dataclass(frozen=True, slots=True)
class StructureStage(KeepsRows):
    """Tempo, key, beats and sections."""

    structure: StructureSettings
    name: ClassVar[str] = "structure"
    version: ClassVar[int] = 1
    record: ClassVar[type] = Structure
    inputs: ClassVar[tuple[str, ...]] = ("audio",)
    pool: ClassVar[PoolKind] = "processes"

    def settings(self) -> Any:
        return self.structure.model_dump(mode="json")

    def basis(self, known: Known) -> Any:
        assert known.audio
        return [self.settings(), known.audio.pcm_sha256]

    def process(self, known: Known, workspace: Path) -> Outcome[Structure]:
        assert known.audio
        return analyse_track(known.audio, self.structure, workspace)


@dataclass(frozen=True, slots=True)
class CaptionStage(KeepsRows):
    """Long text with time-bounded structure."""

    caption: CaptionSettings
    name: ClassVar[str] = "caption"
    version: ClassVar[int] = 1
    record: ClassVar[type] = Caption
    inputs: ClassVar[tuple[str, ...]] = ("audio", "structure")
    pool: ClassVar[PoolKind] = "processes"

    def settings(self) -> Any:
        return self.caption.model_dump(mode="json")

    def basis(self, known: Known) -> Any:
        assert known.audio and known.structure
        return [self.settings(), identity_fields(known.audio), identity_fields(known.structure)]

    def process(self, known: Known, workspace: Path) -> Outcome[Caption]:
        assert known.audio and known.structure
        return caption_track(known.audio, known.structure, self.caption)


def stages_of(
    spec: DatasetSpec, network: Network, forgotten: frozenset[str] = frozenset()
) -> tuple[TrackStage | PartitionStage | DatasetStage, ...]:
    """The stages that build a dataset, each after its inputs."""
    return (
        HarvestStage(spec.harvest, network, forgotten),
        AudioStage(spec.audio),
        StructureStage(spec.structure),
        CaptionStage(spec.caption),
        FingerprintStage(),
        DuplicateStage(spec.duplicates, spec.evaluation),
        ShardStage(),
        FeatureStage(spec.features),
    )


def _has_file(row: Row, workspace: Workspace) -> bool:
    """Whether the file that an ``ok`` row speaks of is still there in its full size."""
    record = row.outcome.record
    if row.outcome.status is not Status.OK or record is None:
        return True
    path = workspace.root / record.file
    return path.is_file() and path.stat().st_size == record.num_bytes
