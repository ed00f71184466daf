"""What the Prefect UI shows of an evaluation: runs side by side; of each its curves, order test and confusions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from flows.artifacts import artifact_key
from tasks.evaluation.job import EvaluateJob
from tasks.reporting.pictures import data_uri
from tasks.reporting.retrieval import retrieval_caption, retrieval_cells
from tasks.reporting.runs.comparison_page import comparison_markdown
from tasks.reporting.runs.markdown import confusion_rows, run_markdown
from tasks.reporting.runs.pictures import probes_picture
from tasks.reporting.runs.report import RunReport, write_reports
from tasks.reporting.tables import markdown_table


def evaluation_artifacts(job: EvaluateJob, evaluations: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the pages of all runs; publish the tables, and the pictures of the runs that were measured just now."""
    reports = write_reports(job.workspace, job.split)
    dataset = job.dataset if job.split == "test" else f"{job.dataset}-{job.split}"  # as pages are named
    create_markdown_artifact(
        markdown=f"# Retrieval\n\n{retrieval_caption(evaluations)}\n\n{markdown_table(retrieval_cells(evaluations))}",
        key=artifact_key("retrieval", dataset),
        description="Retrieval beside chance",
    )
    create_markdown_artifact(
        markdown=f"# Runs side by side\n\n{comparison_markdown(reports.comparison)}\n\nPage: `{reports.path}`",
        key=artifact_key("comparison", dataset),
        description=f"All evaluated runs of {job.dataset}, split {job.split}, against {reports.comparison.reference}",
    )
    for name in evaluations:
        _run_artifacts(dataset, reports.runs[name])


def _run_artifacts(dataset: str, report: RunReport) -> None:
    name, found = report.run.name, report.run.evaluation
    create_markdown_artifact(
        markdown=f"# {name}\n\n{run_markdown(report.run)}\n\nPage: `{report.path}`",
        key=artifact_key("report", dataset, name),
        description=f"What {name} came to: retrieval, long text, long music, order",
    )
    if found is None:
        return
    create_table_artifact(
        table=confusion_rows(found),
        key=artifact_key("confusions", dataset, name),
        description=f"The captions that {name} ranks their own track worst for",
    )
    if found["probes"]:
        create_image_artifact(
            image_url=data_uri(probes_picture(found["probes"])),
            key=artifact_key("curves", dataset, name),
            description=f"What {name} makes of long text, long music and order",
        )
    for number, track in enumerate((track for track in report.attended if track.png), 1):
        create_image_artifact(
            image_url=data_uri(track.png),
            key=artifact_key("attention", dataset, name, str(number)),
            description=f"Where {name} looks in {track.track_id} for the paragraphs of its caption",
        )
