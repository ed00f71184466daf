"""Every stage of a build, in the order of the data.

    select -> harvest -> audio -> structure -> caption -------------> shards
                           |----> fingerprint -> duplicates (all) ----^
                           `----> features

A class here says what a stage reads, what decides its result and which room does the work.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from data_specs.arrow import identity_fields
from data_specs.hashing import digest
from data_specs.outcomes import Outcome, Status, failed
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Caption, Harvest, Structure
from data_specs.spec import (
    AudioSettings,
    CaptionSettings,
    DatasetSpec,
    HarvestSettings,
    ImportCaptions,
    ModelCaptions,
    StructureSettings,
)
from tasks.audio.accept import accept_audio
from tasks.caption.captioner import Captioner
from tasks.caption.imported.source import records_identity, track_identity
from tasks.caption.orders import Orders
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
from tasks.structure.engines.choose import engines_identity
from tasks.structure.engines.choose import track_identity as results_identity
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
    pool: ClassVar[PoolKind] = "downloads"

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
    version: ClassVar[int] = 2
    record: ClassVar[type] = Structure
    inputs: ClassVar[tuple[str, ...]] = ("audio",)
    pool: ClassVar[PoolKind] = "processes"

    def settings(self) -> Any:
        return [self._settings(), engines_identity(self.structure)]

    def basis(self, known: Known) -> Any:
        assert known.audio
        return [self._settings(), results_identity(known.track.track_id, self.structure), known.audio.pcm_sha256]

    def _settings(self) -> Any:
        """Where other engines' results lie decides nothing; what they say does."""
        folders = {"beats": self.structure.beats is not None, "sections": self.structure.sections is not None}
        return self.structure.model_dump(mode="json") | folders

    def process(self, known: Known, workspace: Path) -> Outcome[Structure]:
        assert known.audio
        return analyse_track(known.audio, self.structure, workspace)


@dataclass(frozen=True, slots=True)
class CaptionStage(KeepsRows):
    """Long text with time-bounded structure."""

    caption: CaptionSettings
    captioner: Captioner | None
    """None for one that only looks at what is there."""
    orders: Orders
    name: ClassVar[str] = "caption"
    version: ClassVar[int] = 2
    record: ClassVar[type] = Caption
    inputs: ClassVar[tuple[str, ...]] = ("audio", "structure")

    @property
    def pool(self) -> PoolKind:
        return "requests" if isinstance(self.caption, ModelCaptions) else "processes"

    def settings(self) -> Any:
        table = records_identity(self.caption) if isinstance(self.caption, ImportCaptions) else None
        return [settings_name(self.caption), self.orders.sha256, table]

    def basis(self, known: Known) -> Any:
        return self._basis(known, settings_of(known.track.track_id, self.caption))

    def standing(self, known: Known) -> Any:
        standing = self.orders[known.track.track_id].standing
        return self._basis(known, standing) if standing else None

    def _basis(self, known: Known, settings: str) -> Any:
        assert known.audio and known.structure
        version = self.orders[known.track.track_id].version
        return [settings, version, identity_fields(known.audio), identity_fields(known.structure)]

    def process(self, known: Known, workspace: Path) -> Outcome[Caption]:
        assert known.audio and known.structure and self.captioner
        version = self.orders[known.track.track_id].version
        outcome = self.captioner.caption(known.audio, known.structure, version, workspace)
        if outcome.record is None:
            return outcome
        settings = settings_of(known.track.track_id, self.caption)
        return replace(outcome, record=replace(outcome.record, settings=settings))


def settings_name(caption: CaptionSettings) -> str:
    """Digest of what decides the words: not where a file lies, nor which way leads to the model."""
    plain = caption.model_dump(mode="json", exclude={"captioner", "model", "path"})
    if isinstance(caption, ModelCaptions):
        return digest("model", plain, caption.music_llm.identity())
    return digest(caption.captioner, plain)


def settings_of(track_id: str, caption: CaptionSettings) -> str:
    """``Caption.settings``: what decides one track's words beside its sound, an imported record included."""
    name = settings_name(caption)
    return digest(name, track_identity(track_id, caption)) if isinstance(caption, ImportCaptions) else name


def stages_of(
    spec: DatasetSpec,
    network: Network,
    orders: Orders,
    captioner: Captioner | None = None,
    forgotten: frozenset[str] = frozenset(),
) -> tuple[TrackStage | PartitionStage | DatasetStage, ...]:
    """The stages that build a dataset, each after its inputs; without a captioner they can only be looked at."""
    return (
        HarvestStage(spec.harvest, network, forgotten),
        AudioStage(spec.audio),
        StructureStage(spec.structure),
        CaptionStage(spec.caption, captioner, orders),
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
