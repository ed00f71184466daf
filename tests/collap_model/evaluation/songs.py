"""Songs of six sections of 10 s, each of its own sound, and what their captions are: many sections to exchange."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from collap_model.evaluation.relevance import described_tracks
from collap_model.evaluation.told import Told, told_captions
from collap_model.pairs import Pairs
from tests.collap_model.captions import SECTION_S, SOUNDS, caption_of_sections, write_captions
from tests.collap_model.workspaces import feature_row, sample, write_tables, write_vectors


def make_songs(workspace: Path, *, num_songs: int = 5, noise: float = 0.0) -> Pairs:
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(SOUNDS)).tolist() for _ in range(num_songs)]
    captions = [caption_of_sections(f"song{number}", order) for number, order in enumerate(orders)]
    vectors = {}
    for caption, order in zip(captions, orders, strict=True):
        sounds = np.repeat(3 * np.eye(len(SOUNDS))[order], SECTION_S, axis=0)
        vectors[caption.track_id] = sounds + noise * rng.standard_normal(sounds.shape)
    workspace.mkdir(parents=True, exist_ok=True)
    file = write_vectors(workspace / "features" / "0.npy", vectors)
    samples = [sample(caption.track_id, "test", caption.long_text, at) for at, caption in enumerate(captions)]
    write_tables(workspace, samples, [feature_row(track_id, [file], workspace) for track_id in vectors])
    write_captions(workspace, captions)
    return Pairs.open(workspace, "test")


def told_of(pairs: Pairs) -> dict[str, Told]:
    return told_captions(pairs, described_tracks(pairs))
