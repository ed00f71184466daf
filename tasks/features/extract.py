"""The stage that runs the frozen encoders over a partition's accepted audio."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet as pq

from collap_model.features.encode_tracks import Bench, all_devices, encode_tracks, read_sound
from collap_model.features.encoder_keys import encoder_key
from collap_model.features.feature_files import FeatureFile, Heard, Sound, check_seconds, feature_file_of
from data_specs.outcomes import Outcome, ok
from data_specs.records import Encoding, Features
from data_specs.spec import EncoderSettings, FeatureSettings, Precision, SpectralEncoding
from tasks.engine.errors import BuildError
from tasks.engine.parts import PartInfo, Row
from tasks.engine.pools import Pools
from tasks.engine.stage import Known, Partition, failure_of
from tasks.engine.workspace import Workspace


@dataclass(frozen=True, slots=True)
class FeatureStage:
    """Writes ``features/<partition>-<key>.npy`` and its companions for every encoder, see ``feature_files``."""

    features: FeatureSettings
    name: ClassVar[str] = "features"
    version: ClassVar[int] = 2
    record: ClassVar[type] = Features
    inputs: ClassVar[tuple[str, ...]] = ("audio",)

    def settings(self) -> Any:
        """Keys of the encoders; raises ``BuildError`` where weights are missing."""
        try:
            keys = [encoder_key(item, self.features.precision) for item in self.features.encoders]
        except ValueError as error:
            raise BuildError(str(error)) from error
        if len(set(keys)) < len(keys):
            raise BuildError(f"two of features.encoders are the same encoder with the same weights: {keys}")
        return keys

    def basis(self, known: Known) -> Any:
        assert known.audio
        return [self.settings(), known.audio.pcm_sha256]

    def keeps(self, row: Row, workspace: Workspace) -> bool:
        return False  # a row points into files of the partition

    def is_whole(self, part: Path, info: PartInfo) -> bool:
        if not info.counts.get("ok"):
            return True
        root = part.parent.parent
        column = pq.read_table(part, columns=["encodings"])["encodings"].to_pylist()
        encodings = [item for of_track in column if of_track is not None for item in of_track]
        return all((root / file).is_file() for file in {e[name] for e in encodings for name in ("file", "frames_file")})

    def process_partition(
        self, partition: Partition, tracks: Sequence[Known], key: str, workspace: Workspace, pools: Pools
    ) -> list[Outcome]:
        sounds = [_sound(known, workspace) for known in tracks]
        files: list[FeatureFile] = []
        errors: dict[str, Exception] = {}
        for settings, name in zip(self.features.encoders, self.settings(), strict=True):
            encode = self._encode(settings, name, pools)
            # What one encoder failed on the next one need not hear.
            left = [sound for sound in sounds if sound.track_id not in errors]
            file, failed = feature_file_of(workspace.root / self.name, partition.name, name, left, encode)
            errors |= failed
            files += [file] if file is not None else []
        if len({file.encoder for file in files}) < len(files):  # files that differ may hold the same weights
            raise BuildError(f"two of features.encoders have the same weights: {[file.encoder for file in files]}")
        places = {file.path: {track[0]: track[2:] for track in file.tracks} for file in files}
        return [
            failure_of(errors[sound.track_id])
            if sound.track_id in errors
            else ok(_features(sound.track_id, files, places, workspace.root))
            for sound in sounds
        ]

    def _encode(
        self, settings: EncoderSettings, key: str, pools: Pools
    ) -> Callable[[Sequence[Sound]], Iterator[tuple[Sound, Heard | Exception]]]:
        if isinstance(settings, SpectralEncoding):  # no weights to share: heard where it is decoded
            return lambda sounds: pools.map("processes", _hear_spectral, sounds)

        def encode(sounds: Sequence[Sound]) -> Iterator[tuple[Sound, Heard | Exception]]:
            if not sounds:
                return
            try:
                for result in encode_tracks(_bench(settings, self.features.precision, key), sounds):
                    pools.check()
                    yield result
            except ValueError as error:  # not of a track, but of the checkpoint
                raise BuildError(str(error)) from error

        return encode


def _sound(known: Known, workspace: Workspace) -> Sound:
    assert known.audio
    return Sound(
        track_id=known.track.track_id,
        pcm_sha256=known.audio.pcm_sha256,
        path=workspace.root / known.audio.file,
    )


def _features(
    track_id: str, files: Sequence[FeatureFile], places: dict[Path, dict[str, tuple[int, int]]], root: Path
) -> Features:
    encodings = tuple(
        Encoding(
            encoder=file.encoder,
            file=str(file.path.relative_to(root)),
            frames_file=str(file.frames_path.relative_to(root)),
            offset=places[file.path][track_id][0],
            dim=file.dim,
        )
        for file in files
    )
    return Features(track_id=track_id, num_seconds=places[files[0].path][track_id][1], encodings=encodings)


def _hear_spectral(sound: Sound) -> Heard:
    from collap_model.encoders.spectral import SpectralEncoder  # torch loads with it: not for every start

    encoder = SpectralEncoder()
    [seconds] = encoder.encode([read_sound(sound)])
    check_seconds(seconds, sound)
    return Heard(encoder=encoder.identity, seconds=seconds)


_opening = threading.Lock()


def _bench(settings: EncoderSettings, precision: Precision, key: str) -> Bench:
    """The process's own open encoders: partitions share them. The key is of the weights as they are now."""
    with _opening:
        return _new_bench(settings, precision, key)


@functools.cache
def _new_bench(settings: EncoderSettings, precision: Precision, key: str) -> Bench:
    from collap_model.encoders.open import open_encoder

    return Bench(lambda device: open_encoder(settings, precision, device), all_devices())
