"""The stage that runs the frozen encoder over a partition's accepted audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import soundfile

from data_specs.outcomes import Outcome, ok
from data_specs.records import Features
from data_specs.spec import FeatureSettings
from tasks.engine.parts import PartInfo, Row
from tasks.engine.pools import Pools
from tasks.engine.stage import Known, Partition, failure_of
from tasks.engine.workspace import Workspace

_ENCODER_VERSIONS = {"spectral": 1}
"""Raise one when its encoder's code changes what it computes."""


@dataclass(frozen=True, slots=True)
class FeatureStage:
    """Writes ``features/<partition>-<key>.npy``: the tracks' per-second vectors, one below the other."""

    features: FeatureSettings
    name: ClassVar[str] = "features"
    version: ClassVar[int] = 1
    record: ClassVar[type] = Features
    inputs: ClassVar[tuple[str, ...]] = ("audio",)

    def settings(self) -> Any:
        return [self.features.model_dump(mode="json"), _ENCODER_VERSIONS[self.features.encoder]]

    def basis(self, known: Known) -> Any:
        assert known.audio
        return [self.settings(), known.audio.pcm_sha256]

    def keeps(self, row: Row, workspace: Workspace) -> bool:
        return False  # a row points into one file

    def is_whole(self, part: Path, info: PartInfo) -> bool:
        return not info.counts.get("ok") or part.with_suffix(".npy").exists()

    def process_partition(
        self, partition: Partition, tracks: Sequence[Known], key: str, workspace: Workspace, pools: Pools
    ) -> list[Outcome]:
        from collap_model.feature_store import write_feature_part  # torch loads with it: not for every start

        vectors: dict[str, npt.NDArray[np.float32]] = {}
        outcomes: dict[str, Outcome] = {}
        of_path = {_audio_path(known, workspace): known.track.track_id for known in tracks}
        for path, result in pools.map("processes", _encode, list(of_path)):
            if isinstance(result, Exception):
                outcomes[of_path[path]] = failure_of(result)
            else:
                vectors[of_path[path]] = result
        encoded = [known.track.track_id for known in tracks if known.track.track_id in vectors]
        if encoded:
            file = f"{self.name}/{partition.name}-{key}.npy"
            offsets = write_feature_part(workspace.root / file, [vectors[track_id] for track_id in encoded])
            for track_id, offset in zip(encoded, offsets, strict=True):
                outcomes[track_id] = ok(self._features(track_id, file, offset, vectors[track_id]))
        return [outcomes[known.track.track_id] for known in tracks]

    def _features(self, track_id: str, file: str, offset: int, vectors_SD: npt.NDArray[np.float32]) -> Features:
        return Features(
            track_id=track_id,
            file=file,
            offset=offset,
            num_seconds=vectors_SD.shape[0],
            dim=vectors_SD.shape[1],
            encoder=f"{self.features.encoder}-{_ENCODER_VERSIONS[self.features.encoder]}",
        )


def _audio_path(known: Known, workspace: Workspace) -> Path:
    assert known.audio
    return workspace.root / known.audio.file


def _encode(path: Path) -> npt.NDArray[np.float32]:
    from collap_model.spectral import spectral

    with open(path, "rb") as file:  # libsndfile would not say that a file is missing
        samples, _ = soundfile.read(file, dtype="float32")
    vectors_SD = spectral(samples)
    if not np.isfinite(vectors_SD.astype(np.float16)).all():
        raise ValueError("features hold NaN, infinity or values beyond float16")
    return vectors_SD
