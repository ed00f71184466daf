"""Hard negatives of a workspace: captions without times, with two of their sections exchanged.

Shuffled words make a negative that a bag of words can tell (Yuksekgonul et al. 2023); here every
word stays and only the order of what happens is false.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_specs.arrow import from_table
from data_specs.records import Caption
from data_specs.renderings import swappable, swapped

__all__ = ["Swap", "Swaps"]

_CAPTIONS_FILE = "captions.parquet"


@dataclass(frozen=True, slots=True)
class Swap:
    """A true text and a false one of the same words."""

    true: str
    false: str


class Swaps:
    """Draws hard negatives for the tracks whose captions have two sections to exchange."""

    def __init__(self, captions: Collection[Caption], longest_s: float) -> None:
        """``longest_s`` is what is heard of a track: nobody can tell an exchange beyond it.

        Raises:
            ValueError: a caption's text is not one paragraph per section.
        """
        self.captions: dict[str, tuple[Caption, list[tuple[int, int]]]] = {}
        for caption in captions:
            pairs = [(i, j) for i, j in swappable(caption) if caption.sections[j].end_s <= longest_s]
            for i, j in pairs:  # now, and not after hours of training
                try:
                    swapped(caption, i, j)
                except ValueError as error:
                    raise ValueError(f"the caption of {caption.track_id!r} cannot be exchanged: {error}") from error
            if pairs:  # without what no draw looks at: there may be a hundred thousand
                caption = replace(caption, long_text="", order_free_text="", answers=())
                self.captions[caption.track_id] = (caption, pairs)

    @classmethod
    def open(cls, workspace: Path, used: Collection[tuple[str, str]], longest_s: float) -> Swaps:
        """The captions in ``workspace/captions.parquet`` that are in use.

        Args:
            used: track id and caption, as the manifest has them; other rows are passed over.

        Raises:
            ValueError: the table is missing or lacks a column, or no caption has two sections to exchange.
        """
        path = workspace / _CAPTIONS_FILE
        if not path.is_file():
            raise ValueError(
                f"swap_negatives needs the captions with their sections, and there is no {path}: "
                "build the dataset again, or set swap_negatives to 0"
            )
        names = [item.name for item in fields(Caption)]
        missing = set(names) - set(pq.read_schema(path).names)
        if missing:
            raise ValueError(f"{path} lacks the columns {sorted(missing)}; build the dataset again")
        table = pq.read_table(path, columns=names)
        table = table.filter(pc.is_valid(table["sections"]))
        rows = zip(table["track_id"].to_pylist(), table["long_text"].to_pylist(), strict=True)
        table = table.filter(pa.array([row in used for row in rows], pa.bool_()))
        swaps = cls(from_table(Caption, table), longest_s)
        if not swaps.captions:
            raise ValueError(
                f"swap_negatives is above 0, but none of the {len(used)} captions has two sections to exchange "
                f"within the {longest_s:g} s that are heard; set swap_negatives to 0"
            )
        return swaps

    def __len__(self) -> int:
        return len(self.captions)

    def draw(self, rng: np.random.Generator, track_id: str) -> Swap | None:
        """One exchange, each as likely; None where the track's caption has none."""
        if track_id not in self.captions:
            return None
        caption, pairs = self.captions[track_id]
        i, j = pairs[int(rng.integers(len(pairs)))]
        return Swap(caption.clock_free_text, swapped(caption, i, j))

    def fingerprint(self) -> str:
        """Hash of everything that a draw depends on."""
        digest = hashlib.sha256()
        for track_id, (caption, pairs) in sorted(self.captions.items()):
            descriptions = [section.description for section in caption.sections]
            digest.update(json.dumps([track_id, caption.clock_free_text, descriptions, pairs]).encode() + b"\n")
        return digest.hexdigest()
