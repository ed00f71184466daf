"""Feature files: what one encoder heard of one partition, found again by what it was and what it heard.

``<partition>-<key>.npy`` holds the tracks' vectors one below the other (float16), ``.frames.npy`` the
frames behind each vector (int32) and ``.json``, written first so that nothing lies there whose owner is
unknown, whose rows are whose. It counts where all three are there. The key is of the encoder's key and
of the tracks with hashes of their sound: a stage and a program that reads shards give one file one
name, and another encoder makes files of its own and touches none of these.

Shapes: S seconds, E encoder dim.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from collap_model.encoders.encoder import Seconds
from data_specs.hashing import digest
from data_specs.publish import publish, publish_bytes

__all__ = [
    "FeatureFile",
    "Heard",
    "Sound",
    "check_seconds",
    "feature_file_of",
    "files_of",
    "holding",
    "open_array",
    "write_feature_file",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A track's accepted audio: a 16 kHz mono file, or a member of a tar, which is a stretch of one."""

    track_id: str
    pcm_sha256: str
    """As ``AudioFacts.pcm_sha256``: equal for equal samples."""
    path: Path
    offset: int = 0
    num_bytes: int = -1
    """From ``offset``; -1 for all of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What an encoder made of a track."""

    encoder: str
    """Identity of the encoder."""
    seconds: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFile:
    """The index of a feature file that is there."""

    path: Path
    """Of the vectors."""
    encoder_key: str
    encoder: str
    dim: int
    tracks: tuple[tuple[str, str, int, int], ...]
    """``track_id, pcm_sha256, first row, number of rows``, in order."""

    @property
    def frames_path(self) -> Path:
        return files_of(self.path)[1]


Encode = Callable[[Sequence[Sound]], Iterator[tuple[Sound, Heard | Exception]]]


def files_of(vectors: Path) -> tuple[Path, Path, Path]:
    """Vectors, frames and index of a feature file."""
    return vectors, vectors.with_suffix(".frames.npy"), vectors.with_suffix(".json")


def feature_file_of(
    folder: Path, partition: str, encoder_key: str, sounds: Sequence[Sound], encode: Encode
) -> tuple[FeatureFile | None, dict[str, Exception]]:
    """The feature file of a partition, found or made, and why tracks are not in it, by their ids.

    What any earlier file holds of the same encoder and the same sound is taken over, so that one more
    track costs the encoding of one. None where no track could be encoded.

    Args:
        encode: yields every sound that it is given once, in any order.

    Raises:
        ValueError: see ``write_feature_file``.
        OSError: as the file system says; nothing half-written is left behind.
    """
    existing = _read(_path(folder, partition, encoder_key, sounds))
    if existing is not None:
        return existing, {}
    earlier = _earlier(folder, encoder_key, {sound.pcm_sha256 for sound in sounds})
    results: dict[str, Heard | Exception] = {
        sound.track_id: earlier[sound.pcm_sha256] for sound in sounds if sound.pcm_sha256 in earlier
    }
    results |= _by_id(encode([sound for sound in sounds if sound.pcm_sha256 not in earlier]))
    if len({item.encoder for item in results.values() if isinstance(item, Heard)}) > 1:
        results = _by_id(encode(sounds))  # the key does not tell these encoders apart, but vectors are never mixed
    errors = {track_id: item for track_id, item in results.items() if isinstance(item, Exception)}
    heard = [(sound, item) for sound in sounds if isinstance(item := results[sound.track_id], Heard)]
    if not heard:
        return None, errors
    path = _path(folder, partition, encoder_key, [sound for sound, _ in heard])
    return _read(path) or write_feature_file(path, encoder_key, heard), errors


def write_feature_file(path: Path, encoder_key: str, heard: Sequence[tuple[Sound, Heard]]) -> FeatureFile:
    """Write the index, vectors and frames, each of them whole or not at all.

    Raises:
        ValueError: no track, different encoders or widths, a track without rows, rows without frames, or
            values that float16 cannot hold.
    """
    kinds = {(item.encoder, item.seconds.vectors_SE.shape[-1]) for _, item in heard}
    if len(kinds) != 1:
        raise ValueError(f"{path} must be of one encoder and width, got {sorted(kinds)}")
    for sound, item in heard:
        check_seconds(item.seconds, sound)
    vectors_file, frames_file, index_file = files_of(path)
    counts = [len(item.seconds.vectors_SE) for _, item in heard]
    starts = [sum(counts[:index]) for index in range(len(counts))]
    tracks = [
        (sound.track_id, sound.pcm_sha256, start, count)
        for (sound, _), start, count in zip(heard, starts, counts, strict=True)
    ]
    [(encoder, dim)] = kinds
    written = FeatureFile(path=path, encoder_key=encoder_key, encoder=encoder, dim=dim, tracks=tuple(tracks))
    publish_bytes(index_file, json.dumps(asdict(written) | {"path": path.name}).encode())
    with publish(vectors_file) as (file, _):
        np.save(file, np.concatenate([item.seconds.vectors_SE for _, item in heard]).astype(np.float16))
    with publish(frames_file) as (file, _):
        np.save(file, np.concatenate([item.seconds.frames_S for _, item in heard]).astype(np.int32))
    return written


def check_seconds(seconds: Seconds, sound: Sound) -> None:
    """Raise ``ValueError`` for what cannot be kept: no rows, no frames, or values beyond float16."""
    vectors_SE, frames_S = seconds.vectors_SE, seconds.frames_S
    if vectors_SE.ndim != 2 or not vectors_SE.size or frames_S.shape != vectors_SE.shape[:1] or frames_S.min() < 1:
        raise ValueError(
            f"features of track {sound.track_id!r}: expected vectors [seconds, dim] and a count of frames from 1 "
            f"for each, got {vectors_SE.shape} and {frames_S.shape}"
        )
    if not (np.abs(vectors_SE) <= np.finfo(np.float16).max).all():  # NaN compares as false
        raise ValueError(f"features of track {sound.track_id!r} hold NaN, infinity or values beyond float16's 65504")


def open_array(path: Path) -> npt.NDArray[Any]:
    """A memory map of a ``.npy``.

    Raises:
        ValueError: cut off, or no array of numbers.
        OSError: as the file system says.
    """
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r")
    except (ValueError, EOFError):  # whose texts name no file, and propose to unpickle it
        raise ValueError(f"feature file {path} is cut off or damaged; remove it and encode again") from None
    return array


def unheard(folder: Path, encoder_key: str, sounds: Sequence[Sound]) -> list[Sound]:
    """The sounds that no feature file of the encoder holds."""
    held = {track[1] for item in _all(folder) if item.encoder_key == encoder_key for track in item.tracks}
    return [sound for sound in sounds if sound.pcm_sha256 not in held]


def holding(folder: Path, track_ids: frozenset[str]) -> list[Path]:
    """The files, as far as they are there, of all feature files with one of the tracks, in the order to remove them."""
    indices = [path for path in folder.glob("*.json") if not track_ids.isdisjoint(_ids(path))]
    files = [path for index in indices for path in files_of(index.with_suffix(".npy"))]
    return [path for path in files if path.exists()]


def _ids(index: Path) -> set[str]:
    return {track[0] for track in json.loads(index.read_bytes())["tracks"]}


def _path(folder: Path, partition: str, encoder_key: str, sounds: Sequence[Sound]) -> Path:
    key = digest(encoder_key, [(sound.track_id, sound.pcm_sha256) for sound in sounds])
    return folder / f"{partition}-{key}.npy"


def _by_id(results: Iterator[tuple[Sound, Heard | Exception]]) -> dict[str, Heard | Exception]:
    return {sound.track_id: item for sound, item in results}


def _earlier(folder: Path, encoder_key: str, wanted: set[str]) -> dict[str, Heard]:
    """Vectors of wanted sounds that some file holds, by hash of the sound."""
    found: dict[str, Heard] = {}
    for item in _all(folder):
        if item.encoder_key != encoder_key or wanted.isdisjoint(track[1] for track in item.tracks):
            continue
        vectors_SE, frames_S = open_array(item.path), open_array(item.frames_path)
        for _, pcm_sha256, start, count in item.tracks:
            if pcm_sha256 in wanted:
                seconds = Seconds(np.array(vectors_SE[start : start + count], np.float32), frames_S[start:][:count])
                found[pcm_sha256] = Heard(encoder=item.encoder, seconds=seconds)
    return found


def _all(folder: Path) -> list[FeatureFile]:
    read = (_read(path.with_suffix(".npy")) for path in sorted(folder.glob("*.json")))
    return [item for item in read if item is not None]


def _read(path: Path) -> FeatureFile | None:
    vectors, frames, index = files_of(path)
    if not (vectors.is_file() and frames.is_file() and index.is_file()):
        return None
    stat = index.stat()
    return _parse(index, vectors, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=16_384)
def _parse(index: Path, vectors: Path, mtime_ns: int, size: int) -> FeatureFile:
    """Of an index as it was at that time: a stage looks at all of them for every partition."""
    try:
        values = json.loads(index.read_bytes())
    except ValueError as error:
        raise ValueError(f"feature index {index} is damaged ({error}); remove it and encode again") from error
    tracks = tuple((track_id, audio, start, count) for track_id, audio, start, count in values.pop("tracks"))
    return FeatureFile(**values | {"path": vectors, "tracks": tracks})
