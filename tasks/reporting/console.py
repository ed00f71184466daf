"""What a terminal shows at the end of a build and of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.reporting.card import BuildReport
from tasks.reporting.funnel import funnel_cells
from tasks.reporting.retrieval import retrieval_caption, retrieval_cells
from tasks.reporting.tables import plain_table


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
  manifest  {report.workspace}/manifest.parquet
  failures  {report.workspace}/failures.parquet"""


def retrieved(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """The retrieval table."""
    return f"\nRetrieval: {retrieval_caption(reports)}\n\n{plain_table(retrieval_cells(reports))}"
