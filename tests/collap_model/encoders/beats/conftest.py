from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.beats_golden import CASES, official_weights

SMALL = CASES[0].config


@pytest.fixture
def content() -> dict[str, Any]:
    """What a published checkpoint of a small pre-trained BEATs holds."""
    cfg = SMALL.to_official() | {"dropout": 0.1, "encoder_layerdrop": 0.05, "finetuned_model": False}
    return {"cfg": cfg, "model": official_weights(SMALL)}


@pytest.fixture
def published(content: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "beats.pt"
    torch.save(content, path)
    return path
