"""A bench with one network identity, and one with two."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.harvest import ytdlp
from tests.tasks.harvest.bench import ONE, TWO, Bench


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(ONE, tmp_path)
    monkeypatch.setattr(ytdlp, "probe", bench.probe)
    return bench


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(TWO, tmp_path)
    monkeypatch.setattr(ytdlp, "probe", bench.probe)
    return bench
