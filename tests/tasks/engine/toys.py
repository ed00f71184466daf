"""Small real stages for the engine's tests: they write to disk what they were asked to do."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from data_specs.outcomes import Outcome, failed, ok, rejected
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Harvest, Recording, Track
from tasks.engine.parts import PartInfo, Row, read_rows
from tasks.engine.pools import PoolKind, Pools
from tasks.engine.stage import KeepsRows, Known, Partition
from tasks.engine.workspace import Workspace


def track(track_id: str, split: str = "train") -> Track:
    return Track(track_id=track_id, source="toy", url=f"toy:{track_id}", split=split)


def partition(*track_ids: str, name: str = "train-00000") -> Partition:
    return Partition(name=name, split="train", tracks=tuple(track(track_id) for track_id in track_ids))


def calls(workspace: Path, stage: str) -> list[str]:
    """The track ids that a toy stage was asked to process, in order, over all runs."""
    path = workspace / f"{stage}.calls"
    return path.read_text().split() if path.exists() else []


def note(workspace: Path, stage: str, track_id: str) -> None:
    with open(workspace / f"{stage}.calls", "a") as file:
        file.write(f"{track_id}\n")


@dataclass(frozen=True, slots=True)
class ToyHarvest(KeepsRows):
    """Ids that begin with ``net`` fail until ``<id>.up`` exists in the workspace; ``gone`` ones for good."""

    format: str = "best"
    name: ClassVar[str] = "harvest"
    version: ClassVar[int] = 1
    record: ClassVar[type] = Harvest
    inputs: ClassVar[tuple[str, ...]] = ()
    pool: ClassVar[PoolKind] = "downloads"

    def settings(self) -> Any:
        return self.format

    def basis(self, known: Known) -> Any:
        return [known.track.url, self.format]

    def process(self, known: Known, workspace: Path) -> Outcome[Harvest]:
        track_id = known.track.track_id
        note(workspace, "harvest", track_id)
        if track_id.startswith("net") and not (workspace / f"{track_id}.up").exists():
            return failed(Reason.NETWORK, "connection reset")
        if track_id.startswith("gone"):
            return failed(Reason.REMOVED, "this video is no longer available")
        if track_id.startswith("full"):
            raise OSError(errno.ENOSPC, "No space left on device", str(workspace / "x"))
        if track_id.startswith("bug"):
            raise KeyError("surprise")
        if track_id.startswith("kill"):
            time.sleep(0.3)  # long enough for the journal to hold what was finished before
            os.kill(os.getpid(), signal.SIGKILL)
        return ok(Harvest(track_id=track_id, file=f"{track_id}.bin", sha256=track_id, num_bytes=1, container="bin"))


@dataclass(frozen=True, slots=True)
class ToyAudio(KeepsRows):
    """Runs in processes; ``crash`` kills its worker, ``quiet`` is rejected with its measurements."""

    threshold: float = 0.5
    name: ClassVar[str] = "audio"
    version: ClassVar[int] = 1
    record: ClassVar[type] = AudioFacts
    inputs: ClassVar[tuple[str, ...]] = ("harvest",)
    pool: ClassVar[PoolKind] = "processes"

    def settings(self) -> Any:
        return self.threshold

    def basis(self, known: Known) -> Any:
        assert known.harvest
        return [self.threshold, known.harvest.sha256]

    def process(self, known: Known, workspace: Path) -> Outcome[AudioFacts]:
        track_id = known.track.track_id
        note(workspace, "audio", track_id)
        if track_id.startswith("crash"):
            os.kill(os.getpid(), signal.SIGKILL)
        facts = AudioFacts(
            track_id=track_id,
            file="",
            sha256="",
            pcm_sha256=track_id,
            num_bytes=0,
            duration_s=60.0,
            container_duration_s=None,
            gap_s=0.0,
            source_sample_rate_hz=44_100,
            source_channels=2,
            loudness_lufs=None,
            loudness_range_lu=None,
            peak_dbfs=-1.0,
            side_db=None,
            silence_ratio=0.9 if track_id.startswith("quiet") else 0.0,
            longest_silence_s=0.0,
            clipping_ratio=0.0,
            bandwidth_hz=8000.0,
        )
        if facts.silence_ratio > self.threshold:
            return rejected(facts, Reason.SILENT, f"silence ratio {facts.silence_ratio} > {self.threshold}")
        return ok(facts)


@dataclass(frozen=True, slots=True)
class ToyFile:
    """A partition stage that joins the ids into one file."""

    name: ClassVar[str] = "file"
    version: ClassVar[int] = 1
    record: ClassVar[type] = Track
    inputs: ClassVar[tuple[str, ...]] = ("harvest", "audio")

    def settings(self) -> Any:
        return None

    def basis(self, known: Known) -> Any:
        return known.track.url

    def keeps(self, row: Row, workspace: Workspace) -> bool:
        return False

    def is_whole(self, part: Path, info: PartInfo) -> bool:
        return True

    def process_partition(
        self, partition: Partition, tracks: Sequence[Known], key: str, workspace: Workspace, pools: Pools
    ) -> list[Outcome]:
        (workspace.root / f"{partition.name}.txt").write_text(" ".join(known.track.track_id for known in tracks))
        return [ok(known.track) for known in tracks]


@dataclass(frozen=True, slots=True)
class ToyTwins:
    """A stage over the dataset: of tracks whose ids end alike the first one stays."""

    name: ClassVar[str] = "duplicates"
    version: ClassVar[int] = 1
    record: ClassVar[type] = Recording
    inputs: ClassVar[tuple[str, ...]] = ("audio",)

    def settings(self) -> Any:
        return None

    def process_dataset(
        self,
        partitions: Sequence[Partition],
        parts: Mapping[str, Mapping[str, PartInfo]],
        workspace: Workspace,
        pools: Pools,
    ) -> dict[str, list[tuple[str, Outcome]]]:
        note(workspace.root, "duplicates", "all")
        first: dict[str, str] = {}
        outcomes: dict[str, list[tuple[str, Outcome]]] = {}
        for of in partitions:
            rows = [row for row in read_rows(parts[of.name]["audio"].path, AudioFacts) if row.outcome.reason is None]
            outcomes[of.name] = []
            for row in rows:
                cluster = first.setdefault(row.track_id[-1], row.track_id)
                twin = None if cluster == row.track_id else cluster
                record = Recording(
                    track_id=row.track_id, cluster=cluster, cluster_size=1, match=twin, error_rate=None, overlap_s=None
                )
                outcome = ok(record) if twin is None else rejected(record, Reason.DUPLICATE, f"as {twin}")
                outcomes[of.name].append((row.track_id, outcome))
        return outcomes
