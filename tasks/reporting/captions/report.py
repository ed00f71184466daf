"""What a build publishes of its captions: a page, a table to audit, the figures as data, and a short text."""

from __future__ import annotations

import json
from collections.abc import Sequence

from data_specs.arrow import from_dict, to_dict
from data_specs.publish import publish_bytes
from tasks.engine.workspace import Workspace
from tasks.reporting.captions.audit import Audited, audit_csv
from tasks.reporting.captions.checks import checks, headlines
from tasks.reporting.captions.page import AUDIT, page
from tasks.reporting.captions.statistics import CaptionStatistics
from tasks.reporting.tables import markdown_table

PAGE, DATA = "captions.html", "captions.json"


def write_caption_report(
    name: str, statistics: CaptionStatistics, audit: Sequence[Audited], workspace: Workspace
) -> None:
    """Publish ``captions.html``, ``caption_audit.csv`` and ``captions.json``.

    Args:
        name: of the dataset.
        audit: see ``audit_sample``; some of it stands on the page.

    Raises:
        OSError: as ``publish``.
    """
    data = {**to_dict(statistics), "checks": [{**to_dict(c), "alarm": c.alarm} for c in checks(statistics)]}
    publish_bytes(workspace.root / AUDIT, audit_csv(audit))
    publish_bytes(workspace.root / PAGE, page(name, statistics, audit).encode())
    publish_bytes(workspace.root / DATA, json.dumps(data, indent=1).encode())  # last: it says that all are there


def markdown(statistics: CaptionStatistics) -> str:
    """Headline figures and alarms, short, for a dataset card; no word of any caption stands in it."""
    rows = [{"quantity": what, "value": value, "people": people} for what, value, people in headlines(statistics)]
    alarms = [
        {
            "alarm": check.name,
            "value": check.shown,
            "expected": check.expected,
            "what to do": check.advice,
        }
        for check in checks(statistics)
        if check.alarm
    ]
    return f"{markdown_table(rows)}\n\n{markdown_table(alarms) if alarms else 'No alarm.'}"


def read_markdown(workspace: Workspace) -> str:
    """``markdown`` of what the last build published."""
    data = json.loads((workspace.root / "captions.json").read_bytes())
    return markdown(from_dict(CaptionStatistics, {k: v for k, v in data.items() if k != "checks"}))
