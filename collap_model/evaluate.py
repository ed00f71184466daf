"""Measure a model on a split with the scorer it was trained with, in chunks.

``python -m collap_model.evaluate --model DIR --workspace DIR --split test --out report.json``

Shapes: I texts, J tracks, K clips, D joint dim, E encoder dim.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from collap_model.attended import Attended, attended
from collap_model.data import pad_clips
from collap_model.metrics import Measure, RankMetrics, RetrievalMetrics, retrieval_metrics
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs
from collap_model.trainer import resolve_device
from data_specs.publish import publish_bytes

__all__ = ["RetrievalReport", "evaluate", "main", "score_matrix"]

_TEXTS_AT_ONCE, _TRACKS_AT_ONCE = 64, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalReport:
    """What was measured, on what; ``dataclasses.asdict`` makes it JSON."""

    split: str
    num_texts: int
    """Distinct captions."""
    num_tracks: int
    num_truncated: int
    """Texts that the text tower did not read whole."""
    data_sha256: str
    text_tower: str
    fusion: str
    encoder: str
    metrics: RetrievalMetrics
    attended: tuple[Attended, ...]
    """Of a few tracks, for pictures."""


def evaluate(model_folder: Path, workspace: Path, split: str = "test", *, device: str = "auto") -> RetrievalReport:
    """Rank every track of the split for every caption, and the other way round.

    Raises:
        ValueError: no model, no such split, or features of another encoder than the model hears.
    """
    target = resolve_device(device)
    model = CoLLAP.from_pretrained(model_folder).to(target)
    pairs = Pairs.open(workspace, split)
    trained = [(encoder.identity, encoder.dim) for encoder in model.form.encoders]
    found = list(zip(pairs.store.encoders, pairs.store.dims, strict=True))
    if found != trained:
        raise ValueError(
            f"the model of {model_folder} was trained on features of {_named(trained)}, the workspace has those of "
            f"{_named(found)}; build it with the encoders in the model's config.json, or name other runs (--runs)"
        )
    texts = list(dict.fromkeys(pairs.captions))
    tracks = pairs.track_ids
    track_number = {track_id: number for number, track_id in enumerate(tracks)}
    described: dict[str, list[int]] = {text: [] for text in texts}
    for pair in pairs.pairs:
        described[pair.caption].append(track_number[pair.track_id])
    scores_IJ, num_truncated = score_matrix(model, texts, pairs, tracks)
    return RetrievalReport(
        split=split,
        num_texts=len(texts),
        num_tracks=len(tracks),
        num_truncated=num_truncated,
        data_sha256=pairs.fingerprint(),
        text_tower=model.form.text_tower,
        fusion=model.form.fusion,
        encoder=pairs.store.encoder,
        metrics=retrieval_metrics(scores_IJ.numpy(), [described[text] for text in texts]),
        attended=attended(model, pairs),
    )


def _named(encoders: Sequence[tuple[str, int]]) -> str:
    return " + ".join(f"{identity} [{dim}]" for identity, dim in encoders)


@torch.inference_mode()
def score_matrix(model: CoLLAP, texts: Sequence[str], pairs: Pairs, tracks: Sequence[str]) -> tuple[Tensor, int]:
    """``scores_IJ`` on the CPU, and how many texts were shortened."""
    tracks_at_once = []
    for first in range(0, len(tracks), _TRACKS_AT_ONCE):
        clips_JKE, mask_JK = pad_clips(
            [
                pairs.clips(track_id, clip_seconds=model.form.clip_seconds, longest=model.form.max_track_seconds)
                for track_id in tracks[first : first + _TRACKS_AT_ONCE]
            ]
        )
        clips_JKE, mask_JK = clips_JKE.to(model.device), mask_JK.to(model.device)
        tracks_at_once.append((model.embed_clips(clips_JKE, mask_JK), mask_JK))
    # Clips are kept and texts pass by: with all its tokens a text is larger than a track.
    rows, num_truncated = [], 0
    for first in range(0, len(texts), _TEXTS_AT_ONCE):
        tokens = model.tower.tokenize(texts[first : first + _TEXTS_AT_ONCE])
        num_truncated += tokens.num_truncated
        few = model.embed_texts(tokens.to(model.device))
        rows.append(torch.cat([model.scorer(few, *clips_and_mask).cpu() for clips_and_mask in tracks_at_once], dim=1))
    return torch.cat(rows), num_truncated


def _table(report: RetrievalReport) -> str:
    """One line per metric: value, interval and chance, both directions."""
    lines = [f"{report.num_texts} texts, {report.num_tracks} tracks of split {report.split}"]
    for direction in fields(report.metrics):
        metrics: RankMetrics = getattr(report.metrics, direction.name)
        lines.append(direction.name.replace("_", " "))
        for item in fields(metrics):
            measure = getattr(metrics, item.name)
            if isinstance(measure, Measure):
                interval = f"{measure.low:8.3f} .. {measure.high:8.3f}"
                lines.append(f"  {item.name:13} {measure.value:8.3f}  [{interval}]  chance {measure.chance:8.3f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """0 when the report is written, 2 for a mistake of the user."""
    parser = argparse.ArgumentParser(prog="collap_model.evaluate", description="Measure a trained CoLLAP model.")
    parser.add_argument("--model", type=Path, required=True, help="folder of CoLLAP.save_pretrained, e.g. RUN/model")
    parser.add_argument("--workspace", type=Path, required=True, help="holds manifest.parquet and features.parquet")
    parser.add_argument("--split", default="test", help="split of the manifest (default: test)")
    parser.add_argument("--out", type=Path, required=True, help="where the JSON report goes")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    options = parser.parse_args(arguments)
    try:
        report = evaluate(options.model, options.workspace, options.split, device=options.device)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    publish_bytes(options.out, (json.dumps(asdict(report), indent=2) + "\n").encode())
    print(_table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
