"""Writing shards: ours against ``webdataset.ShardWriter`` with the read-back that its hash needs, in one run.

    python -m benchmarks.shards [--samples 300] [--rounds 7]

Ours writes the same members, hashes them on the way, flushes to disk and renames; ``ShardWriter`` is shown bare and
with a SHA-256 of the finished file, which is what it takes to know what was written.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import webdataset

from tasks.shards.tar import TarSample, write_shard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder, "song.flac")
        audio.write_bytes(os.urandom(6_200_000))  # a 288 s song as 16 kHz mono FLAC
        text, facts = "word " * 256, {"sections": [{"start_s": float(i), "letter": "A"} for i in range(10)]}
        samples = [TarSample(key=f"song{i}", audio=audio, text=text, facts=facts) for i in range(options.samples)]

        def ours() -> None:
            write_shard(Path(folder, "ours.tar"), samples)

        def bare() -> None:
            with webdataset.ShardWriter(
                str(Path(folder, "wds-%d.tar")), maxcount=10**9, maxsize=1e12, verbose=0
            ) as out:
                for sample in samples:
                    members = {
                        "flac": sample.audio.read_bytes(),
                        "txt": sample.text,
                        "json": json.dumps(facts).encode(),
                    }
                    out.write({"__key__": sample.key, **members})

        def hashed() -> None:
            bare()
            with open(Path(folder, "wds-0.tar"), "rb") as file:
                hashlib.file_digest(file, "sha256")

        figures = measure({"ours": ours, "ShardWriter": bare, "ShardWriter + hash": hashed}, options.rounds)
        megabytes = options.samples * 6.2
        for name, seconds in figures.items():
            print(f"{name:20} {megabytes / seconds:7.0f} MB per CPU second (median of {options.rounds})")
        print(f"ours / ShardWriter         {figures['ShardWriter'] / figures['ours']:.2f}")
        print(f"ours / ShardWriter + hash  {figures['ShardWriter + hash'] / figures['ours']:.2f}")


def measure(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each way, in turns, so that noise meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            way()
            seconds[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


if __name__ == "__main__":
    main()
