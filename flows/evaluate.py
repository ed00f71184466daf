"""``evaluate``: retrieval metrics of trained runs."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.evaluation import evaluation_artifacts
from tasks.doors import evaluate_runs
from tasks.evaluation.job import EvaluateJob


@flow(name="evaluate", flow_run_name="evaluate {job.dataset}")
def evaluate(job: EvaluateJob = EvaluateJob()) -> dict[str, dict[str, Any]]:
    """Rank every track for every caption and the other way round; return the reports by run name."""
    reports = evaluate_runs(job)
    evaluation_artifacts(job, reports)
    return reports


if __name__ == "__main__":
    evaluate()
