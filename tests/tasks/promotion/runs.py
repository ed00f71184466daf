"""Finished runs made by hand: models that nobody trained, with figures of scores that somebody chose."""

from __future__ import annotations

import json
from dataclasses import asdict
from inspect import signature
from pathlib import Path

import numpy as np
import torch

from collap_model.evaluate import RetrievalReport
from collap_model.evaluation.relevance import described_tracks, queries_sha256
from collap_model.metrics import TiledScores, measure
from collap_model.metrics.compare import write_figures
from collap_model.pairs import Pairs
from collap_model.training.config import TrainConfig
from tasks.training.job import TrainJob
from tests.collap_model.models import form
from tests.collap_model.workspaces import DIM

ENCODERS = [{"identity": "toy-1", "dim": DIM}]


def make_run(workspace: Path, seed: int = 0, *, skill: float | None = None, noise: int | None = None) -> str:
    """A finished run on the dataset as it is, whose scores are ``skill`` where it is right, plus noise of 1.

    Without ``skill`` it has no figures; ``noise`` draws its noise, its own seed if None.
    """
    config = TrainConfig(text_tower="tiny", seed=seed)
    run = TrainJob(workspace=str(workspace), config=config).folder()
    (run / "model").mkdir(parents=True)
    (run / "model" / "config.json").write_text(form(encoders=ENCODERS).model_dump_json())
    (run / "config.json").write_text(config.model_dump_json())
    if skill is not None:
        write_report(workspace, run, skill, seed if noise is None else noise)
    return run.name


def write_report(workspace: Path, run: Path, skill: float, noise: int) -> None:
    """As the evaluation program writes it, of the dataset as it is."""
    pairs = Pairs.open(workspace, "test")
    described, tracks = described_tracks(pairs), pairs.track_ids
    scores_IJ = np.random.default_rng(noise).standard_normal((len(described), len(tracks)))
    for row, relevant in enumerate(described.values()):
        scores_IJ[row, relevant] += skill
    measured = measure(TiledScores.of(torch.from_numpy(scores_IJ)), list(described.values()))
    queries = queries_sha256(described, tracks)
    report = {
        "version": signature(RetrievalReport).parameters["version"].default,
        "split": "test",
        "num_texts": len(described),
        "num_tracks": len(tracks),
        "data_sha256": pairs.fingerprint(),
        "queries_sha256": queries,
        "metrics": asdict(measured.metrics),
    }
    path = run / "retrieval-test.json"
    write_figures(path.with_suffix(".npz"), measured, queries_sha256=queries)
    path.write_text(json.dumps(report))
