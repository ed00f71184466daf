"""Vectors that another program made: any model with one vector a text and one a track, CLaMP 3 for one.

A folder holds ``tracks.npy`` ``[J, D]`` with ``tracks.json`` (track ids), ``texts.npy`` ``[I, D]`` with ``texts.json``
(the texts themselves), rows in the order of the names, and ``about.json``: ``{"name": "CLaMP 3 saas", "version": ...,
"hears": ..., "num_truncated": ...}``. There may be more rows than a split asks for.

Shapes: I texts, J tracks, D joint width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from collap_model.baselines.windows import unit

__all__ = ["About", "read_vectors"]

_FILES = ("tracks", "texts")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the maker of the vectors says of them."""

    name: str
    version: str
    hears: str
    """E.g. ``whole, 640 s at most``."""
    num_truncated: int | None
    """Texts that were cut; None where that was not counted."""


def read_vectors(folder: Path, texts: Sequence[str], track_ids: Sequence[str]) -> tuple[About, Tensor, Tensor]:
    """What is known of the vectors, and unit vectors of the texts ``[I, D]`` and of the tracks ``[J, D]``.

    Raises:
        ValueError: a file is missing or of another form, a text or track has no vector, or a vector is not finite
            or zero.
    """
    tracks_JD = _rows(folder, "tracks", track_ids)
    texts_ID = _rows(folder, "texts", texts)
    if tracks_JD.shape[1] != texts_ID.shape[1]:
        raise ValueError(f"{folder}: tracks have {tracks_JD.shape[1]} numbers, texts {texts_ID.shape[1]}")
    return _about(folder), texts_ID, tracks_JD


def _rows(folder: Path, what: str, wanted: Sequence[str]) -> Tensor:
    names = _json(folder / f"{what}.json")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{folder / what}.json is no list of strings")
    path = folder / f"{what}.npy"
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if vectors.ndim != 2 or len(vectors) != len(names):
        raise ValueError(f"{path} has shape {list(vectors.shape)}, {what}.json has {len(names)} names")
    row_of = {name: row for row, name in enumerate(names)}
    if len(row_of) < len(names):
        raise ValueError(f"{folder / what}.json names one of the {what} twice")
    lacking = [name for name in wanted if name not in row_of]
    if lacking:
        raise ValueError(f"{path} lacks {len(lacking)} of {len(wanted)} {what}, the first is {lacking[0][:80]!r}")
    rows = torch.from_numpy(np.asarray(vectors[[row_of[name] for name in wanted]], np.float32))
    lengths = rows.norm(dim=1)
    if not (lengths.isfinite() & (lengths > 0)).all():
        raise ValueError(f"{path} holds vectors that are zero or not finite")
    return unit(rows)


def _about(folder: Path) -> About:
    found = _json(folder / "about.json")
    try:
        return About(
            name=str(found["name"]),
            version=f"{found['version']}, vectors {_sha256(folder)[:16]}",
            hears=str(found["hears"]),
            num_truncated=None if found["num_truncated"] is None else int(found["num_truncated"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder / 'about.json'} must give name, version, hears and num_truncated (a number or null): {error!r}"
        ) from error


def _sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for what in _FILES:
        digest.update((folder / f"{what}.npy").read_bytes())
    return digest.hexdigest()


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"cannot read {path}: {error}; docs/baselines.md says what a folder of vectors holds"
        ) from error
