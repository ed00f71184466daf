"""The summary of a build for machines (``build.json``) and for people (``CARD.md``)."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from typing import Any

import pyarrow.parquet as pq
import yaml

from data_specs.arrow import from_dict, from_table, to_dict
from data_specs.music_llms import presets
from data_specs.publish import publish_bytes
from data_specs.records import Sample
from data_specs.spec import DatasetSpec, ModelCaptions
from tasks.engine.workspace import CAPTION_PAGES, Workspace
from tasks.harvest.licenses import NOT_STATED
from tasks.reporting.funnel import FunnelRow, funnel_cells
from tasks.reporting.tables import markdown_table

_TOOLS = ("collap", "yt-dlp", "av", "soundfile", "soxr", "numpy", "scipy", "pyarrow")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What a build left behind."""

    name: str
    workspace: str
    selection: dict[str, int]
    """How the source's rows became the selected tracks, see ``Selection.counts``."""
    funnel: tuple[FunnelRow, ...]
    num_samples: int
    num_shards: int
    hours: float
    """Of audio in the shards."""
    mean_words: float
    num_new: int
    """Rows computed in this run, over all stages: 0 says that everything was there."""
    seconds: float


def read_summary(workspace: Workspace, mark: str) -> BuildReport | None:
    """What the last build left, if it was made of the very parts that ``mark`` names."""
    tables = (workspace.manifest, workspace.shards, workspace.features, workspace.failures, workspace.captions)
    pages = [workspace.root / name for name in CAPTION_PAGES]
    if not all(path.exists() for path in (workspace.summary, *tables, *pages)):
        return None
    try:
        for table in tables:
            pq.read_metadata(table)
        summary = json.loads(workspace.summary.read_bytes())
        if summary["parts"] != mark:
            return None
        return from_dict(BuildReport, {field.name: summary[field.name] for field in fields(BuildReport)})
    except (ValueError, KeyError, TypeError):  # somebody damaged one of them: as good as missing, and made again
        return None


def dataset_name(workspace: Workspace) -> str | None:
    """Of which dataset the workspace holds a finished build, as far as it can be read."""
    try:
        return str(json.loads(workspace.summary.read_bytes())["name"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_summary(
    spec: DatasetSpec,
    workspace: Workspace,
    selection: dict[str, int],
    rows: Sequence[FunnelRow],
    seconds: float,
    mark: str,
    captions: str,
) -> BuildReport:
    """Write both files and return what they say.

    Args:
        mark: names the parts they were made of.
        captions: what the captions are like, as markdown.
    """
    samples = from_table(Sample, pq.read_table(workspace.manifest))
    report = BuildReport(
        name=spec.name,
        workspace=str(workspace.root),
        selection=selection,
        funnel=tuple(rows),
        num_samples=len(samples),
        num_shards=len({sample.shard for sample in samples}),
        hours=round(sum(sample.duration_s for sample in samples) / 3600, 3),
        mean_words=round(statistics.fmean(sample.num_words for sample in samples), 1),
        num_new=sum(row.num_new for row in rows),
        seconds=seconds,
    )
    versions = {tool: version(tool) for tool in _TOOLS}
    summary = {**to_dict(report), "parts": mark, "spec": spec.model_dump(mode="json"), "versions": versions}
    publish_bytes(workspace.card, _card(spec, samples, report, captions, versions).encode())
    publish_bytes(workspace.summary, json.dumps(summary, indent=1, sort_keys=True).encode())
    return report


def _front_matter(spec: DatasetSpec, splits: Sequence[str]) -> dict[str, Any]:
    """What the Hugging Face hub reads of a dataset card."""
    return {
        "pretty_name": spec.name,
        "task_categories": ["audio-classification", "text-retrieval"],
        "tags": ["music", "long-form", "webdataset"],
        "configs": [
            {"config_name": "default", "data_files": [{"split": s, "path": f"shards/{s}-*.tar"} for s in splits]}
        ],
    }


def _card(
    spec: DatasetSpec, samples: Sequence[Sample], report: BuildReport, captions: str, versions: dict[str, str]
) -> str:
    durations = [sample.duration_s for sample in samples]
    words = [sample.num_words for sample in samples]
    splits = Counter(sample.split for sample in samples)
    licences = Counter(sample.license or NOT_STATED for sample in samples)
    facts = [
        {"quantity": "pairs", "value": f"{len(samples)}"},
        {"quantity": "hours of audio", "value": f"{report.hours}"},
        {"quantity": "seconds per track, mean (min to max)", "value": _spread(durations)},
        {"quantity": "words per caption, mean (min to max)", "value": _spread(words)},
        {"quantity": "shards", "value": f"{report.num_shards}"},
        *({"quantity": f"split {name}", "value": f"{count}"} for name, count in sorted(splits.items())),
    ]
    return f"""---
{yaml.safe_dump(_front_matter(spec, list(splits)), sort_keys=False).strip()}
---

# {spec.name}

{spec.description}

{markdown_table(facts)}

## Selection

{markdown_table([{"step": step, "count": str(count)} for step, count in report.selection.items()])}

## Funnel

{markdown_table([{k: v for k, v in cells.items() if k != "new"} for cells in funnel_cells(report.funnel)])}

`failures.parquet` has a row per dropped track: stage, reason, its class and the raw message.

## Captions

{markdown_table(_writers(spec, samples))}

{captions}

`captions.html` has the rest, `captions.parquet` every caption, `caption_audit.csv` a sample to be judged by people.

## Licences stated by the sources

{markdown_table([{"licence": name, "tracks": str(count)} for name, count in licences.most_common(20)])}

## Reading it

Every sample is `<track_id>.flac` (16 kHz mono), `<track_id>.txt` (the caption) and `<track_id>.json` (structure,
sections, provenance). `manifest.parquet` lists the samples, `shards.parquet` the tars with their SHA-256.

```python
import pandas as pd, webdataset as wds

shards = pd.read_parquet("shards.parquet")
urls = [f"shards/{{name}}" for name in shards[shards.split == "train"].shard]
for sample in wds.WebDataset(urls, shardshuffle=False):
    print(sample["__key__"], len(sample["flac"]), sample["txt"][:80])
```

## Made with

{", ".join(f"{tool} {number}" for tool, number in versions.items())}
"""


def _writers(spec: DatasetSpec, samples: Sequence[Sample]) -> list[dict[str, str]]:
    """Who wrote how many captions, and under which licence: a model's may forbid to sell what it wrote."""
    licences = {model.source: model for model in presets().values()}
    if isinstance(spec.caption, ModelCaptions):
        licences[spec.caption.music_llm.source] = spec.caption.music_llm
    counts = Counter((sample.captioner, sample.caption_model) for sample in samples)
    rows = []
    for (captioner, source), count in counts.most_common():
        model = licences.get(source or "")
        licence = "" if model is None else model.license + ("" if model.commercial_use else ", not for commercial use")
        rows.append({"captioner": captioner, "model": source or "", "licence": licence, "tracks": str(count)})
    return rows


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.1f} ({min(values):.1f} to {max(values):.1f})"
