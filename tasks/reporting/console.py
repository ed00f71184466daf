"""What a terminal shows during a build, at its end, and after an evaluation."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from tasks.build import Build
from tasks.engine.parts import PartInfo
from tasks.reporting.card import BuildReport
from tasks.reporting.funnel import funnel_cells
from tasks.reporting.progress import Progress
from tasks.reporting.retrieval import retrieval_caption, retrieval_cells
from tasks.reporting.tables import plain_table


class Console:
    """A line every few seconds: how many tracks each stage has settled; and what deserves a line of its own."""

    EVERY_S = 5.0

    def __init__(self, build: Build) -> None:
        self.progress = Progress(build)
        self.started = self.told = time.monotonic()
        self.guard = threading.Lock()

    def row(self, stage: str, result: str) -> None:
        self.progress.row(stage, result)
        with self.guard:
            now = time.monotonic()
            if now - self.told < self.EVERY_S:
                return
            self.told = now
        self.detail(self.progress.line())

    def part(self, info: PartInfo) -> None:
        self.progress.part(info)

    def detail(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started:5.0f} s] {text}", flush=True)


def built(report: BuildReport) -> str:
    """The funnel with reasons, what was written, and where to look next."""
    if report.num_new == 0:
        head = f"{report.name}: nothing to do, everything was there already ({report.seconds:.1f} s)"
    else:
        head = f"{report.name}: built in {report.seconds:.0f} s"
    return f"""
{head}

{plain_table(funnel_cells(report.funnel))}

{report.num_samples} audio-text pairs, {report.hours:.2f} hours, {report.mean_words:.0f} words per caption on average, \
{report.num_shards} shards
  card      {report.workspace}/CARD.md
  captions  {report.workspace}/captions.html
  manifest  {report.workspace}/manifest.parquet
  failures  {report.workspace}/failures.parquet"""


def retrieved(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The retrieval table."""
    return f"\nRetrieval: {retrieval_caption(reports)}\n\n{plain_table(retrieval_cells(reports))}"
