"""Workspaces of songs whose captions tell the order of their sections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_specs.arrow import record_schema, to_dict
from data_specs.records import Attributes, Caption, SectionCaption
from data_specs.renderings import clock_free, order_free, timestamped
from tests.collap_model.workspaces import feature_row, sample, write_tables, write_vectors

SOUNDS = ("horns", "reeds", "bells", "harps", "drums", "choirs")
SECTION_S = 10


def caption_of_sections(track_id: str, sounds: list[int]) -> Caption:
    """One section per sound; equal sounds have equal letters."""
    sections = tuple(
        SectionCaption(
            start_s=float(SECTION_S * place),
            end_s=float(SECTION_S * (place + 1)),
            label="section",
            letter="ABCDEF"[sound],
            description=f"The {SOUNDS[sound]} play.",
            writer="rules",
        )
        for place, sound in enumerate(sounds)
    )
    texts = [render("A song.", sections, track_id) for render in (timestamped, clock_free, order_free)]
    return Caption(
        track_id=track_id,
        captioner="rules-2",
        model=None,
        prompt=None,
        version=0,
        settings="",
        anchored=True,
        global_text="A song.",
        attributes=Attributes(),
        sections=sections,
        long_text=texts[0],
        clock_free_text=texts[1],
        order_free_text=texts[2],
        num_words=len(texts[0].split()),
        repetition=0.0,
    )


def write_captions(workspace: Path, captions: list[Caption]) -> None:
    """``captions.parquet`` with a row of a track whose captioner failed."""
    schema = pa.schema([field.with_nullable(True) for field in record_schema(Caption)])
    rows = [*map(to_dict, captions), {"track_id": "failed"}]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), workspace / "captions.parquet")


def make_ordered_workspace(workspace: Path, *, num_train: int = 12, num_test: int = 6, seed: int = 0) -> Path:
    """Songs of four sections of 10 s, each of another sound."""
    rng = np.random.default_rng(seed)
    captions, vectors = [], {}
    for index in range(num_train + num_test):
        sounds = rng.permutation(len(SOUNDS))[:4].tolist()
        captions.append(caption_of_sections(f"song{index:03d}", sounds))
        vectors[f"song{index:03d}"] = np.repeat(3 * np.eye(len(SOUNDS))[sounds], SECTION_S, axis=0)
    workspace.mkdir(parents=True, exist_ok=True)
    file = write_vectors(workspace / "features" / "0.npy", vectors)
    samples = [
        sample(caption.track_id, "train" if index < num_train else "test", caption.long_text, index)
        for index, caption in enumerate(captions)
    ]
    write_tables(workspace, samples, [feature_row(track_id, [file], workspace) for track_id in vectors])
    write_captions(workspace, captions)
    return workspace
