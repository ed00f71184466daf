"""Pictures for reports, as PNG bytes."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile

from data_specs.arrow import from_dict
from data_specs.records import Structure
from tasks.reporting.attention import attention_picture


def structure_picture(shard: Path, track_id: str) -> bytes:
    """Self-similarity and sections of one track, read from the shard it is published in."""
    from tasks.structure.picture import picture

    with tarfile.open(shard) as tar:
        samples, _ = soundfile.read(io.BytesIO(_member(tar, f"{track_id}.flac")), dtype="float32")
        return picture(_structure(tar, track_id), samples)


def attended_picture(shard: Path, track_id: str, moments: Mapping[str, Sequence[tuple[float, float, float]]]) -> bytes:
    """``attention_picture`` of a track whose sections are read from the shard it is published in."""
    with tarfile.open(shard) as tar:
        return attention_picture(_structure(tar, track_id), moments)


def _structure(tar: tarfile.TarFile, track_id: str) -> Structure:
    facts = json.loads(_member(tar, f"{track_id}.json"))
    return from_dict(Structure, {"track_id": track_id, **facts["structure"]})


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is not a file in {tar.name!r}"
    return file.read()


def loss_curve(log: Sequence[Mapping[str, Any]]) -> bytes:
    """Loss and in-batch accuracy over the steps of ``log.jsonl``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left = figure.add_subplot()
    right = left.twinx()
    steps = [line["step"] for line in log]
    left.plot(steps, [line["loss"] for line in log], color="tab:blue")
    right.plot(steps, [line["accuracy"] for line in log], color="tab:orange")
    left.set_xlabel("step")
    left.set_ylabel("loss", color="tab:blue")
    right.set_ylabel("in-batch accuracy", color="tab:orange")
    right.set_ylim(0, 1)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def data_uri(png: bytes) -> str:
    """A picture inside an address: Prefect's UI shows it without any file server."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
