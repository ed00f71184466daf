"""Small workspaces for tests: songs of few numbers whose captions are true of their features."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from collap_model.encoders.encoder import Seconds
from collap_model.features.feature_files import FeatureFile, Heard, Sound, write_feature_file
from data_specs.records import Encoding, Features, Sample

DIM = 6
_WORDS = ("dark", "bright", "slow", "fast", "soft", "loud")


def caption_of(values: np.ndarray) -> str:
    """A paragraph about the whole song, then one about a section."""
    named = [word for word, value in zip(_WORDS, values, strict=True) if value > 0]
    return f"This song is {', '.join(named) or 'plain'}. It plays at {100 + 20 * len(named)} BPM.\n\nIt ends."


def sample(track_id: str, split: str, caption: str, index: int = 0) -> Sample:
    return Sample(
        track_id=track_id,
        split=split,
        shard="demo-000000.tar",
        index=index,
        duration_s=60.0,
        num_words=len(caption.split()),
        num_sections=1,
        caption=caption,
        captioner="rules-2",
        caption_model=None,
        audio_sha256="0" * 64,
        audio_num_bytes=1,
        source="rendered",
        url="http://localhost/",
        title=None,
        artist=None,
        channel=None,
        cluster=track_id,
        license=None,
        labels=(),
        tempo_bpm=120.0,
        key="C major",
    )


def write_tables(workspace: Path, samples: list[Sample], features: list[Features]) -> None:
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in samples]), workspace / "manifest.parquet")
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in features]), workspace / "features.parquet")


def write_vectors(path: Path, vectors: dict[str, np.ndarray], encoder: str = "toy-1") -> FeatureFile:
    """A feature file of vectors ``[S, E]`` by track id, each the mean of 100 frames."""
    heard = [
        (
            Sound(track_id=track_id, pcm_sha256=track_id, path=Path("none")),
            Heard(encoder=encoder, seconds=Seconds(np.asarray(of_track), np.full(len(of_track), 100, np.int32))),
        )
        for track_id, of_track in vectors.items()
    ]
    return write_feature_file(path, encoder, heard)


def feature_row(track_id: str, files: list[FeatureFile], workspace: Path) -> Features:
    """Where a track lies in feature files."""
    places = [next(track for track in file.tracks if track[0] == track_id) for file in files]
    encodings = tuple(
        Encoding(
            encoder=file.encoder,
            file=str(file.path.relative_to(workspace)),
            frames_file=str(file.frames_path.relative_to(workspace)),
            offset=place[2],
            dim=file.dim,
        )
        for file, place in zip(files, places, strict=True)
    )
    return Features(track_id=track_id, num_seconds=places[0][3], encodings=encodings)


def make_workspace(workspace: Path, *, num_train: int = 12, num_test: int = 6, seed: int = 0) -> Path:
    """A workspace of songs of 15 to 40 seconds; song i is in ``train`` while i < num_train."""
    rng = np.random.default_rng(seed)
    samples, vectors = [], []
    for index in range(num_train + num_test):
        values = rng.choice([-1.0, 1.0], DIM)
        vectors.append(values + 0.1 * rng.standard_normal((int(rng.integers(15, 41)), DIM)))
        split = "train" if index < num_train else "test"
        samples.append(sample(f"song{index:03d}", split, caption_of(values), index))
    workspace.mkdir(parents=True, exist_ok=True)
    ids = [item.track_id for item in samples]
    file = write_vectors(workspace / "features" / "0.npy", dict(zip(ids, vectors, strict=True)))
    rows = [feature_row(track_id, [file], workspace) for track_id in ids]
    write_tables(workspace, samples, rows)
    return workspace
