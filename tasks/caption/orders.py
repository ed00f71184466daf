"""Orders to caption tracks anew: ``recaption.csv`` in the workspace, one row per track it concerns.

A track that was asked for has a higher ``version`` and so other words. Where the settings have
changed since, the rest of the dataset is listed too: those captions *stand* under the settings that
they were written with, until an order asks for them.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from data_specs.hashing import file_sha256
from data_specs.publish import publish_bytes
from tasks.engine.errors import BuildError


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted of one track."""

    track_id: str
    version: int
    """How often the track is to have been captioned anew."""
    standing: str = ""
    """``Caption.settings`` of the caption that stands whatever the settings are now; empty for those of now."""
    query: str = ""
    """What was asked for, for people."""
    ordered_at: str = ""
    """ISO 8601, UTC."""


NO_ORDER = Order(track_id="", version=0)


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders of a workspace: small enough to travel to worker processes, which read the file themselves."""

    path: str
    sha256: str
    """Of the file; empty where there is none."""

    @classmethod
    def of(cls, path: Path) -> Orders:
        return cls(str(path), file_sha256(str(path)) if path.exists() else "")

    def __getitem__(self, track_id: str) -> Order:
        return _read(self.path, self.sha256).get(track_id, NO_ORDER) if self.sha256 else NO_ORDER


def read_orders(path: Path) -> dict[str, Order]:
    """Orders by track id.

    Raises:
        BuildError: the file is not as ``write_orders`` left it.
    """
    if not path.exists():
        return {}
    orders = {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                version = int(row.pop("version"))
                orders[row["track_id"]] = Order(version=version, **row)
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise BuildError(
            f"cannot read {path}: {error!r}; remove it to forget which tracks were to be captioned anew"
        ) from error
    return orders


def write_orders(path: Path, orders: Mapping[str, Order]) -> None:
    """Publish the orders, in the order of track ids."""
    names = [field.name for field in fields(Order)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(orders[track_id], name) for name in names] for track_id in sorted(orders))
    publish_bytes(path, text.getvalue().encode())


@functools.lru_cache(maxsize=2)
def _read(path: str, sha256: str) -> dict[str, Order]:
    return read_orders(Path(path))
