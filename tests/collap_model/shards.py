"""Small shards for tests: tars as the build writes them, of noise."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import soundfile


def noise(seed: int, seconds: float) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(int(16_000 * seconds))).astype(np.float32)


def write_shard(shards: Path, partition: str, tracks: dict[str, np.ndarray]) -> Path:
    shards.mkdir(parents=True, exist_ok=True)
    path = shards / f"{partition}-0123456789abcdef.tar"
    with tarfile.open(path, "w") as tar:
        for track_id, samples in tracks.items():
            flac = io.BytesIO()
            soundfile.write(flac, samples, 16_000, format="FLAC", subtype="PCM_16")
            facts = {"pcm_sha256": hashlib.sha256(samples.tobytes()).hexdigest()}
            for suffix, data in (("flac", flac.getvalue()), ("json", json.dumps(facts).encode())):
                member = tarfile.TarInfo(f"{track_id}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


def make_shards(workspace: Path, *, num_shards: int = 6, num_tracks: int = 3) -> Path:
    """Tracks of 20 to 24 seconds."""
    for shard in range(num_shards):
        tracks = {f"t{shard}-{n}": noise(10 * shard + n, 20 + n + 0.4 * shard) for n in range(num_tracks)}
        write_shard(workspace / "shards", f"train-{shard:05d}", tracks)
    return workspace
