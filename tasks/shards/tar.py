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
from io import BytesIO
from pathlib import Path
from typing import Any

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
    with publish(path) as (file, published), tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            _add(tar, f"{sample.key}.flac", sample.audio.read_bytes())
            _add(tar, f"{sample.key}.json", json.dumps(sample.facts, ensure_ascii=False, sort_keys=True).encode())
            _add(tar, f"{sample.key}.txt", sample.text.encode())
    return published


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o444
    member.mtime = 0
    tar.addfile(member, BytesIO(content))
