"""Encode a workspace's shards by as many processes as there are GPUs; the next build finds it done.

    python -m collap_model.extract runs/demo --encoder beats=BEATs_iter3_plus_AS2M.pt
    torchrun --nproc-per-node 8 -m collap_model.extract runs/demo --encoder whisper=openai/whisper-large-v2

Writes the feature files that the build's own stage writes, see ``feature_files``. Every process takes
every N-th shard that still lacks something. Kill it at any moment and run it again: files that are there
are whole and are not made again.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import json
import os
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from pydantic import ValidationError

from collap_model.encoders.open import open_encoder
from collap_model.features.encode_tracks import Bench, all_devices, encode_tracks
from collap_model.features.encoder_keys import encoder_key
from collap_model.features.feature_files import Sound, feature_file_of, unheard
from collap_model.training.distributed import World, join_world
from data_specs.settings import explain
from data_specs.spec import EncoderSettings, FeatureSettings, Precision

__all__ = ["extract", "read_shard"]

_FIELDS = {"beats": "weights", "whisper": "model", "mert": "model"}


@dataclass(frozen=True, slots=True)
class Task:
    """One encoder over one shard."""

    shard: Path
    encoder: int
    """Position among the settings."""


def extract(workspace: Path, settings: FeatureSettings, world: World) -> int:
    """Encode this process's part of what the workspace's shards lack; return how many tracks failed.

    Raises:
        ValueError: no shards, weights that are missing, a shard of another form.
        OSError: as the file system says.
    """
    keys = [encoder_key(item, settings.precision) for item in settings.encoders]
    tasks = _share(workspace, keys, world)
    devices = all_devices()
    device = devices[world.local_rank % len(devices)]
    benches = [_bench(item, settings.precision, device) for item in settings.encoders]
    num_failed = 0
    for number, task in enumerate(tasks, 1):
        started = time.monotonic()
        sounds = read_shard(task.shard)
        partition = task.shard.stem.rpartition("-")[0]
        key, encode = keys[task.encoder], functools.partial(encode_tracks, benches[task.encoder])
        file, errors = feature_file_of(workspace / "features", partition, key, sounds, encode)
        for track_id, error in errors.items():
            print(f"{task.shard.name}: {track_id} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        num_failed += len(errors)
        heard_s, took_s = sum(track[3] for track in file.tracks) if file else 0, time.monotonic() - started
        print(
            f"process {world.rank}, {number} of {len(tasks)}: {partition} by {key}, "
            f"{heard_s} s of sound in {took_s:.1f} s on {device}",
            flush=True,
        )
    return num_failed


def read_shard(shard: Path) -> list[Sound]:
    """The tracks of a tar in order: ids and hashes from their ``.json``, and where their ``.flac`` lies in it.

    Raises:
        ValueError: no tar, or a sample without one of them.
    """
    audio: dict[str, tarfile.TarInfo] = {}
    facts: dict[str, dict[str, Any]] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                if suffix == "flac":
                    audio[key] = member
                elif suffix == "json":
                    stored = tar.extractfile(member)
                    facts[key] = json.load(stored) if stored is not None else {}
    except (tarfile.TarError, json.JSONDecodeError) as error:
        raise ValueError(f"{shard} is no shard of this project: {error}") from error
    lacking = sorted(audio.keys() ^ facts.keys()) + [key for key, values in facts.items() if "pcm_sha256" not in values]
    if lacking:
        raise ValueError(f"{shard}: sample {lacking[0]!r} lacks its .flac, its .json or pcm_sha256 in it")
    return [
        Sound(
            track_id=key, pcm_sha256=facts[key]["pcm_sha256"], path=shard, offset=item.offset_data, num_bytes=item.size
        )
        for key, item in audio.items()
    ]


def _share(workspace: Path, keys: Sequence[str], world: World) -> list[Task]:
    """Every N-th task, counted among those that were left when the first process looked: all must see the same."""
    tasks: list[list[Task]] = [_left(workspace, keys) if world.is_first else []]
    if world.size > 1:
        dist.broadcast_object_list(tasks, src=0)
    return tasks[0][world.rank :: world.size]


def _left(workspace: Path, keys: Sequence[str]) -> list[Task]:
    shards = sorted((workspace / "shards").glob("*.tar"))
    if not shards:
        raise ValueError(f"no shards in {workspace / 'shards'}; build the dataset first")
    sounds = {shard: read_shard(shard) for shard in shards}
    # All shards of one encoder, then the next: a process loads one encoder at a time.
    return [
        Task(shard, number)
        for number, key in enumerate(keys)
        for shard in shards
        if unheard(workspace / "features", key, sounds[shard])
    ]


def _bench(settings: EncoderSettings, precision: Precision, device: str) -> Bench:
    return Bench(lambda where: open_encoder(settings, precision, where), [device])


@contextmanager
def _beside_others(workspace: Path) -> Iterator[None]:
    """Keep builds out, which clean up what they take for leftovers; other extractions may work as well.

    Raises:
        ValueError: a build works in the workspace.
    """
    descriptor = os.open(workspace / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ValueError(f"workspace {workspace} is in use by a build; wait for it") from None
    finally:
        os.close(descriptor)


def _settings(encoders: Sequence[str], precision: str) -> FeatureSettings:
    items = []
    for text in encoders:
        name, _, value = text.partition("=")
        items.append({"encoder": name} | ({_FIELDS.get(name, "weights"): value} if value else {}))
    try:
        return FeatureSettings.model_validate({"encoders": items, "precision": precision})
    except ValidationError as error:
        raise ValueError(explain(error, "--encoder")) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line, see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument(
        "--encoder",
        action="append",
        required=True,
        metavar="NAME[=WEIGHTS]",
        help="spectral, beats=PATH, whisper=MODEL or mert=MODEL; once for each, as in the spec",
    )
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    options = parser.parse_args(arguments)
    workspace = options.workspace.resolve()
    if not workspace.is_dir():
        sys.exit(f"no workspace at {workspace}")
    try:
        settings = _settings(options.encoder, options.precision)
        with _beside_others(workspace), join_world("cpu") as world:
            if torch.cuda.is_available():
                torch.cuda.set_device(world.local_rank % torch.cuda.device_count())
            num_failed = extract(workspace, settings, world)
    except (ValueError, OSError) as error:  # a full disk is no fault of the code
        sys.exit(f"error: {error}")
    if num_failed:
        print(f"{num_failed} tracks failed and are tried again by the next run or build", file=sys.stderr)


if __name__ == "__main__":
    main()
