"""A WebDataset shard as a pure function of its samples.

Same samples, same bytes: members in the order given, every header with the same owner, mode and
time, and no padding that depends on the writer. (webdataset's own ``ShardWriter`` opens the final
name at once, leaves a valid-looking short shard behind an exception, and stamps the clock.)

Layout: https://github.com/webdataset/webdataset#the-webdataset-format -- a POSIX tar in which
consecutive members that share the name up to the first dot are one sample.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from data_specs.publish import Published, publish


@dataclass(frozen=True, slots=True, kw_only=True)
class TarSample:
    """One sample: ``<key>.flac``, ``<key>.json``, ``<key>.txt``."""

    key: str
    audio: Path
    text: str
    facts: dict[str, Any]


def write_shard(path: Path, samples: Iterable[TarSample]) -> Published:
    """Publish a shard; it exists under ``path`` whole or not at all.

    Raises:
        OSError: an audio file cannot be read, or the shard cannot be written.
    """
    with publish(path) as (file, published):
        for sample in samples:
            _add(file, f"{sample.key}.flac", sample.audio.read_bytes())
            _add(file, f"{sample.key}.json", json.dumps(sample.facts, ensure_ascii=False, sort_keys=True).encode())
            _add(file, f"{sample.key}.txt", sample.text.encode())
        file.write(bytes(2 * tarfile.BLOCKSIZE))  # the end mark
        file.write(bytes(-published.num_bytes % tarfile.RECORDSIZE))
    return published


def _add(file: BinaryIO, name: str, content: bytes) -> None:
    """One member, written as it is: ``TarFile.addfile`` would copy the content in 16 kB pieces."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    header.mode = 0o444
    header.mtime = 0
    file.write(header.tobuf(tarfile.USTAR_FORMAT))
    file.write(content)
    file.write(bytes(-len(content) % tarfile.BLOCKSIZE))
