"""Small workspaces for tests: songs of few numbers whose captions are true of their features."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from collap_model.feature_store import write_feature_part
from data_specs.records import Features, Sample

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
    offsets = write_feature_part(workspace / "features" / "0.npy", vectors)
    rows = [
        Features(
            track_id=item.track_id, file="features/0.npy", offset=offset, num_seconds=len(v), dim=DIM, encoder="toy-1"
        )
        for item, offset, v in zip(samples, offsets, vectors, strict=True)
    ]
    write_tables(workspace, samples, rows)
    return workspace
