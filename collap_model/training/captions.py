"""The captions of a workspace whose sections are known.

Crops with words of their own, texts without clock times and hard negatives are all made of these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from collap_model.pairs import Pair
from data_specs.arrow import from_table
from data_specs.records import Attributes, Caption

__all__ = ["CAPTIONS_FILE", "captions_sha256", "read_captions"]

CAPTIONS_FILE = "captions.parquet"
_ROWS_AT_ONCE = 1024
_NO_ATTRIBUTES = Attributes()


def read_captions(workspace: Path, used: Collection[Pair]) -> dict[Pair, Caption]:
    """The rows of ``workspace/captions.parquet`` that are in use and have sections; none without the table.

    What no draw looks at is emptied: there may be a hundred thousand.

    Args:
        used: as the manifest has them; a row with another text for its track is passed over.

    Raises:
        ValueError: the table lacks a column.
    """
    path = workspace / CAPTIONS_FILE
    if not path.is_file():
        return {}
    names = [item.name for item in fields(Caption)]
    missing = set(names) - set(pq.read_schema(path).names)
    if missing:
        raise ValueError(f"{path} lacks the columns {sorted(missing)}; build the dataset again")
    known = {pair: pair for pair in used}  # the strings that are held already
    found: dict[Pair, Caption] = {}
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=names):
            rows = pa.Table.from_batches([batch])
            for caption in from_table(Caption, rows.filter(pc.is_valid(rows["sections"]))):
                pair = known.get(Pair(caption.track_id, caption.long_text))
                if pair is not None and caption.sections:
                    found[pair] = _of_use(caption, pair)
    return found


def captions_sha256(captions: Mapping[Pair, Caption]) -> str:
    """Hash of everything that a draw depends on beside the pairs themselves."""
    digest = hashlib.sha256()
    for pair, caption in sorted(captions.items(), key=lambda item: (item[0].track_id, item[0].caption)):
        sections = [(s.start_s, s.end_s, s.label, s.letter, s.description) for s in caption.sections]
        entry = [pair.track_id, pair.caption, caption.global_text, caption.clock_free_text, sections]
        digest.update(json.dumps(entry).encode() + b"\n")
    return digest.hexdigest()


def _of_use(caption: Caption, pair: Pair) -> Caption:
    return replace(
        caption,
        track_id=pair.track_id,
        long_text=pair.caption,
        order_free_text="",
        attributes=_NO_ATTRIBUTES,
        flaws=(),
        repairs=(),
        warnings=(),
        answers=(),
    )
