"""Measure a model on a split with the scorer it was trained with, in tiles.

``python -m collap_model.evaluate --model DIR --workspace DIR --split test --out report.json``

Beside the report goes ``report.npz``: the figures of every query, for ``metrics.compare``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from collap_model.device import resolve_device
from collap_model.evaluation.attended import Attended, attended
from collap_model.evaluation.relevance import described_tracks, queries_sha256
from collap_model.evaluation.score_tiles import embedded
from collap_model.metrics import Measure, Measured, RankMetrics, RetrievalMetrics, measure
from collap_model.metrics.compare import write_figures
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs
from data_specs.publish import publish_bytes

__all__ = ["RetrievalReport", "evaluate", "evaluate_queries", "main"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalReport:
    """What was measured, on what; ``dataclasses.asdict`` makes it JSON."""

    version: int = 2
    """Of this form. 1 had neither nDCG nor groups, and took mid-ranks where 2 takes expectations."""
    split: str
    num_texts: int
    """Distinct captions."""
    num_tracks: int
    num_truncated: int
    """Texts that the text tower did not read whole."""
    data_sha256: str
    """Of captions and of where their features lie."""
    queries_sha256: str
    """Of captions, tracks and what belongs together: runs with the same can be compared."""
    text_tower: str
    fusion: str
    encoder: str
    metrics: RetrievalMetrics
    attended: tuple[Attended, ...]
    """Of a few tracks, for pictures."""


def evaluate(model_folder: Path, workspace: Path, split: str = "test", *, device: str = "auto") -> RetrievalReport:
    """Rank every track of the split for every caption, and the other way round.

    Raises:
        ValueError: no model, no such split, features of another encoder than the model hears, or scores that are
            not finite.
    """
    return evaluate_queries(model_folder, workspace, split, device=device)[0]


def evaluate_queries(
    model_folder: Path, workspace: Path, split: str, *, device: str
) -> tuple[RetrievalReport, Measured]:
    """As ``evaluate``, and the figures of every query, to compare runs by."""
    model = CoLLAP.from_pretrained(model_folder).to(resolve_device(device))
    pairs = Pairs.open(workspace, split)
    trained = [(encoder.identity, encoder.dim) for encoder in model.form.encoders]
    found = list(zip(pairs.store.encoders, pairs.store.dims, strict=True))
    if found != trained:
        raise ValueError(
            f"the model of {model_folder} was trained on features of {_named(trained)}, the workspace has those of "
            f"{_named(found)}; build it with the encoders in the model's config.json, or name other runs (--runs)"
        )
    described, tracks = described_tracks(pairs), pairs.track_ids
    with embedded(model, list(described), pairs, tracks) as seen:
        measured = measure(seen.scores, list(described.values()))
    report = RetrievalReport(
        split=split,
        num_texts=len(described),
        num_tracks=len(tracks),
        num_truncated=seen.num_truncated,
        data_sha256=pairs.fingerprint(),
        queries_sha256=queries_sha256(described, tracks),
        text_tower=model.form.text_tower,
        fusion=model.form.fusion,
        encoder=pairs.store.encoder,
        metrics=measured.metrics,
        attended=attended(model, pairs),
    )
    return report, measured


def _named(encoders: Sequence[tuple[str, int]]) -> str:
    return " + ".join(f"{identity} [{dim}]" for identity, dim in encoders)


def _table(report: RetrievalReport) -> str:
    """One line per metric: value, interval and chance, both directions."""
    lines = [f"{report.num_texts} texts, {report.num_tracks} tracks of split {report.split}"]
    for direction in fields(report.metrics):
        metrics: RankMetrics = getattr(report.metrics, direction.name)
        lines.append(direction.name.replace("_", " "))
        for item in fields(metrics):
            found = getattr(metrics, item.name)
            if isinstance(found, Measure):
                interval = f"{found.low:8.3f} .. {found.high:8.3f}"
                lines.append(f"  {item.name:13} {found.value:8.3f}  [{interval}]  chance {found.chance:8.3f}")
        lines.append(f"  tie rate      {metrics.tie_rate:8.3f}")
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
        report, measured = evaluate_queries(options.model, options.workspace, options.split, device=options.device)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    write_figures(options.out.with_suffix(".npz"), measured, queries_sha256=report.queries_sha256)
    publish_bytes(options.out, (json.dumps(asdict(report), indent=2) + "\n").encode())
    print(_table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
