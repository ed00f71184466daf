"""Batches from the feature store against decoding the dataset's tars again each epoch, in one run on this machine.

    python -m benchmarks.training_data [--songs 32] [--seconds 288] [--rounds 5]

Ours: ``TrainingData.batch``, that is order, crops, texts, and means over clips of BEATs' and Whisper's 768 + 1280
values a second, float16, memory-mapped. Tars: webdataset reads the shard and soundfile decodes every FLAC. What the
encoders would then still have to do each epoch is left out, in favour of the tars; with ``spectral``, the cheapest
encoder here, is the last line. Medians of CPU seconds; the design's target is 20 times without encoding.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import torch
import webdataset

from benchmarks.shards import measure
from collap_model.encoders.encoder import SAMPLE_RATE_HZ, Seconds
from collap_model.encoders.spectral import SpectralEncoder
from collap_model.features.feature_files import FeatureFile, Heard, Sound, write_feature_file
from collap_model.pairs import Pairs
from collap_model.training.config import TrainConfig
from collap_model.training.data import TrainingData
from collap_model.training.distributed import World
from data_specs.records import Encoding, Features
from tasks.demo.encode import encode
from tasks.demo.song import compose
from tasks.demo.synth import render
from tasks.shards.tar import TarSample, write_shard

_WIDTHS = {"beats-random": 768, "whisper-random": 1280}
_SONGS_RENDERED = 4
"""The others have the same sound under other names: the decoder does not mind."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=288, help="of a song")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        shard = write_songs(workspace, options.songs, options.seconds)
        write_dataset(workspace, options.songs, options.seconds)
        data = TrainingData(
            Pairs.open(workspace, "train"), TrainConfig(batch_size=options.songs), World(rank=0, local_rank=0, size=1)
        )
        ways: dict[str, Callable[[], None]] = {
            "store": lambda: used(data.batch(0).clips_JKE),
            "tars, decoded": lambda: used(*decoded(shard)),
            "tars, decoded and encoded": lambda: encoded(shard),
        }
        seconds = measure(ways, options.rounds)
    for name, of_way in seconds.items():
        print(f"{name:26} {options.songs / of_way:9.1f} tracks per CPU second (median of {options.rounds})")
    print(f"store / tars, decoded              {seconds['tars, decoded'] / seconds['store']:7.1f}")
    print(f"store / tars, decoded and encoded  {seconds['tars, decoded and encoded'] / seconds['store']:7.1f}")


def decoded(shard: Path) -> list[np.ndarray]:
    """All samples of a tar, as a training loop on raw audio begins each epoch."""
    tracks = webdataset.WebDataset(str(shard), shardshuffle=False)
    return [soundfile.read(io.BytesIO(track["flac"]), dtype="float32")[0] for track in tracks]


def encoded(shard: Path) -> None:
    """One at a time, as they come."""
    encoder = SpectralEncoder()
    for samples in decoded(shard):
        used(encoder.encode([samples])[0].vectors_SE)


def used(*values: object) -> None:
    """Whatever it took to make them has been done."""
    assert all(len(value) for value in values)  # type: ignore[arg-type]


def write_songs(workspace: Path, num_songs: int, seconds: int) -> Path:
    """A shard of rendered songs as the dataset keeps them: 16 kHz mono FLAC."""
    files = []
    for index in range(min(num_songs, _SONGS_RENDERED)):
        song = render(compose(0, index, seconds, seconds), SAMPLE_RATE_HZ)
        mono = np.repeat(song.mean(1, keepdims=True), 2, axis=1) if song.ndim == 2 else song
        samples, rate = soundfile.read(io.BytesIO(encode(mono, SAMPLE_RATE_HZ, "flac")), dtype="float32")
        files.append(workspace / f"{index}.flac")
        soundfile.write(files[-1], samples.mean(1), rate, subtype="PCM_16")
    shard = workspace / "shard.tar"
    write_shard(
        shard,
        [TarSample(key=name(i), audio=files[i % len(files)], text=caption(i), facts={}) for i in range(num_songs)],
    )
    return shard


def write_dataset(workspace: Path, num_songs: int, seconds: int) -> None:
    """Manifest and features of random values."""
    rng = np.random.default_rng(0)
    files = []
    for encoder, width in _WIDTHS.items():
        heard = [
            (
                Sound(track_id=name(i), pcm_sha256=name(i), path=workspace / "none"),
                Heard(
                    encoder=encoder,
                    seconds=Seconds(rng.standard_normal((seconds, width), np.float32), np.full(seconds, 50, np.int32)),
                ),
            )
            for i in range(num_songs)
        ]
        files.append(write_feature_file(workspace / f"{encoder}.npy", encoder, heard))
    rows = [asdict(features(i, files)) for i in range(num_songs)]
    pq.write_table(pa.Table.from_pylist(rows), workspace / "features.parquet")
    manifest = [
        {"track_id": name(i), "split": "train", "caption": caption(i), "cluster": name(i)} for i in range(num_songs)
    ]
    pq.write_table(pa.Table.from_pylist(manifest), workspace / "manifest.parquet")


def features(song: int, files: list[FeatureFile]) -> Features:
    """Where a song lies in the files."""
    places = [file.tracks[song] for file in files]
    encodings = tuple(
        Encoding(
            encoder=file.encoder, file=file.path.name, frames_file=file.frames_path.name, offset=place[2], dim=file.dim
        )
        for file, place in zip(files, places, strict=True)
    )
    return Features(track_id=name(song), num_seconds=places[0][3], encodings=encodings)


def name(song: int) -> str:
    return f"song{song:04d}"


def caption(song: int) -> str:
    """As long as captions are."""
    return " ".join(f"Sentence {number} of song {song} says something of its music." for number in range(35))


if __name__ == "__main__":
    main()
