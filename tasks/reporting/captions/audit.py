"""The sample of captions that people or a language model judge by listening, and the rubric for it."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from data_specs.leads import clock
from data_specs.records import Caption
from tasks.engine.parts import Row
from tasks.reporting.captions.diversity import rank

NUM_AUDITED = 100
DURATION_EDGES_S = (120.0, 240.0, 480.0)
"""Between the strata of length: short, song, long, very long."""

RUBRIC = (
    ("claim", "One statement about the music that can be right or wrong: an instrument, a mood, a tempo, a change "
     "at a boundary, a part that returns. Cut every sentence into its claims and count each once."),
    ("correct", "You hear it, in the section that says so; within 10 % for a tempo, within 3 s for a boundary."),
    ("unsupported", "The sound does not decide it: use, history, quality of the recording, words of a song you "
     "cannot make out, an instrument that may be there."),
    ("contradicted", "You hear something else: another instrument, no voice where one is claimed, louder for softer, "
     "a return of music that never came before."),
    ("comment", "What went wrong in your words, with the section's start. Leave it empty where nothing did."),
)  # fmt: skip
"""What the empty columns of the table mean."""

_COLUMNS = ("track_id", "split", "duration", "shard", "url", "caption", "sections", "flaws")
_JUDGED = ("correct", "unsupported", "contradicted", "comment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """One published caption to be judged."""

    split: str
    shard: str
    url: str
    duration_s: float
    caption: Caption


def audit_sample(paths: Iterable[str | Path], manifest: Path, count: int = NUM_AUDITED, seed: int = 0) -> list[Audited]:
    """A sample of the published captions, spread over splits and durations in proportion, at least one of each.

    The same seed draws the same tracks as long as they are there; a build that grew keeps most of them.

    Args:
        paths: caption parts; what is not in the manifest is left out.

    Raises:
        ValueError: the manifest has a track that the parts have no caption of.
    """
    columns = ["track_id", "split", "shard", "url", "duration_s"]
    samples = {row["track_id"]: row for row in pq.read_table(manifest, columns=columns).to_pylist()}
    strata: dict[tuple[str, int], list[str]] = defaultdict(list)
    for track_id, row in samples.items():
        band = sum(row["duration_s"] >= edge for edge in DURATION_EDGES_S)
        strata[row["split"], band].append(track_id)
    sizes = shares([len(strata[stratum]) for stratum in sorted(strata)], count)
    chosen = []
    for stratum, size in zip(sorted(strata), sizes, strict=True):
        chosen += sorted(strata[stratum], key=lambda track_id: rank(str(seed), track_id))[:size]
    captions = _read(paths, chosen) if chosen else {}
    missing = [track_id for track_id in chosen if track_id not in captions]
    if missing:
        raise ValueError(f"no caption of {missing[0]} in the parts, but in {manifest}; give the parts it was made of")
    return [
        Audited(
            split=samples[track_id]["split"],
            shard=samples[track_id]["shard"],
            url=samples[track_id]["url"],
            duration_s=samples[track_id]["duration_s"],
            caption=captions[track_id],
        )
        for track_id in chosen
    ]


def shares(sizes: Sequence[int], count: int) -> list[int]:
    """How many to take of each stratum: in proportion by largest remainder, and one of each where ``count`` allows."""
    count = min(count, sum(sizes))
    taken = [int(count >= len(sizes))] * len(sizes)
    exact = [count * size / max(1, sum(sizes)) for size in sizes]
    while sum(taken) < count:
        furthest = max(range(len(sizes)), key=lambda index: (taken[index] < sizes[index], exact[index] - taken[index]))
        taken[furthest] += 1
    return taken


def _read(paths: Iterable[str | Path], track_ids: Sequence[str]) -> dict[str, Caption]:
    captions = {}
    for path in paths:
        for values in pq.read_table(path, filters=[("track_id", "in", track_ids)]).to_pylist():
            row: Row[Caption] = Row.from_dict(Caption, values)
            if row.outcome.record is not None:
                captions[row.track_id] = row.outcome.record
    return captions


def audit_csv(sample: Sequence[Audited]) -> bytes:
    """The sample as a table for a spreadsheet or a program, with empty columns to be filled in."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180
    writer.writerow([*_COLUMNS, *_JUDGED])
    for audited in sample:
        caption = audited.caption
        cells = [caption.track_id, audited.split, clock(audited.duration_s), audited.shard, audited.url]
        cells += [caption.long_text, section_table(caption), " ".join(caption.flaws)]
        writer.writerow([cells[0], *map(_inert, cells[1:]), *[""] * len(_JUDGED)])
    return text.getvalue().encode("utf-8-sig")  # the mark tells a spreadsheet that it is UTF-8


def section_table(caption: Caption) -> str:
    """One line per section: ``0:00 to 0:17 intro A``."""
    return "\n".join(f"{clock(s.start_s)} to {clock(s.end_s)} {s.label} {s.letter}".rstrip() for s in caption.sections)


def _inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV Injection)."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
