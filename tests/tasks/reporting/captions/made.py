"""Captions made up for the tests of the caption report."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.outcomes import Outcome, failed, ok, rejected
from data_specs.reasons import Reason
from data_specs.records import Attributes, Caption, SectionCaption
from tasks.caption.assemble import assemble
from tasks.caption.draft import Draft
from tasks.engine.parts import Row, write_part

_WORDS = (
    "warm bright guitar drums piano slowly rises falls softly under over chorus voices enter and the a melody".split()
)
_LABELS = ("intro", "verse", "chorus", "section", "outro")


def sentence(rng: random.Random, length: int = 8) -> str:
    return " ".join(rng.choices(_WORDS, k=length)).capitalize() + "."


def made_up(
    number: int,
    bounds_s: Sequence[float] | None = None,
    opening: str = "",
    flaws: tuple[str, ...] = (),
    repairs: tuple[str, ...] = (),
) -> Caption:
    """A caption that its number decides, but for what is given."""
    rng = random.Random(number)
    if bounds_s is None:
        bounds_s = [0.0]
        for _ in range(rng.randint(1, 7)):
            bounds_s.append(round(bounds_s[-1] + rng.uniform(5, 40), 2))
    sections = tuple(
        SectionCaption(
            start_s=start_s,
            end_s=end_s,
            label=rng.choice(_LABELS),
            letter=rng.choice("ABC"),
            description=f"{sentence(rng)} {sentence(rng, 5)}",
            writer=rng.choice(("model", "rules")),
        )
        for start_s, end_s in pairwise(bounds_s)
    )
    draft = Draft(
        global_text=f"{opening} {sentence(rng, 12)} {sentence(rng)}".strip(),
        attributes=Attributes(genres=(rng.choice(("rock", "jazz")),), moods=("calm", "calm"), vocals="female"),
        sections=sections,
        anchored=True,
    )
    return assemble(
        f"track-{number:04d}",
        draft,
        captioner="model-1",
        model="some/model",
        prompt="v1/both/one",
        version=number % 2,
        seed=0,
        flaws=flaws,
        repairs=repairs,
    )


def outcomes(count: int) -> list[tuple[str, Outcome[Caption]]]:
    """Tracks of which every tenth was rejected and every eleventh failed."""
    made: list[tuple[str, Outcome[Caption]]] = []
    for number in range(count):
        flaws = ("words_min", "key") if number % 3 == 0 else ("json",) if number % 5 == 0 else ()
        repairs = ("refill:3", "refill:global", "drop_sentence:lyrics", "rules:5") if number % 4 == 0 else ()
        opening = "This is a song that opens like many." if number % 2 else ""
        caption = made_up(number, opening=opening, flaws=flaws, repairs=repairs)
        if number % 11 == 10:
            made.append((caption.track_id, failed(Reason.CAPTION_REFUSED, "no")))
        elif number % 10 == 9:
            made.append((caption.track_id, rejected(caption, Reason.CAPTION_INVALID, "key: C major")))
        else:
            made.append((caption.track_id, ok(caption)))
    return made


def write(folder: Path, made: Sequence[tuple[str, Outcome[Caption]]], size: int = 16) -> list[Path]:
    """The parts of a caption stage."""
    paths = []
    for first in range(0, len(made), size) or [0]:
        rows = [
            Row(track_id=track_id, row_key="k", outcome=outcome) for track_id, outcome in made[first : first + size]
        ]
        paths.append(folder / f"train-{first:05d}-0.parquet")
        write_part(paths[-1], "caption", f"train-{first:05d}", "0", Caption, rows)
    return paths


def write_manifest(path: Path, rows: Sequence[tuple[str, str, float]]) -> Path:
    """The columns of a manifest that the audit reads: track, split and duration."""
    columns = [
        {
            "track_id": name,
            "split": split,
            "shard": f"{split}-00000.tar",
            "url": f"https://x.org/{name}",
            "duration_s": s,
        }
        for name, split, s in rows
    ]
    pq.write_table(pa.Table.from_pylist(columns), path)
    return path
