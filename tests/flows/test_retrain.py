"""What ``retrain`` does after a ruling; no server, hand-made runs in place of builds, trainings and evaluations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from collap_model.training.config import TrainConfig
from flows.retrain import RetrainConfig, retrain
from tasks.evaluation.job import EvaluateJob
from tasks.promotion.decide import decide
from tasks.promotion.rule import PromotionRule
from tasks.reporting.runs.comparison import Comparison, compare_runs
from tests.collap_model.workspaces import make_workspace
from tests.tasks.promotion.runs import make_run, write_report

FAIR, GOOD = 1.2, 4.0


def test_pages_are_of_the_figures_that_were_decided_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make_workspace(tmp_path / "work", num_train=4, num_test=40)
    old = make_run(workspace, 1, skill=FAIR)
    decide(workspace, old, PromotionRule(figure="mrr"))
    make_workspace(workspace, num_train=4, num_test=45)
    new = make_run(workspace, 1, skill=GOOD)

    def measure_anew(job: EvaluateJob, on_line: Callable[[str], None]) -> dict[str, Any]:
        assert job.runs == (old,)
        write_report(workspace, workspace / "models" / old, FAIR, 1)
        return {old: json.loads((workspace / "models" / old / "retrieval-test.json").read_text())}

    pages: list[Comparison] = []
    monkeypatch.setattr("tasks.promotion.measured.evaluate", measure_anew)
    monkeypatch.setattr("flows.retrain.build_dataset", lambda build: SimpleNamespace(workspace=str(workspace)))
    monkeypatch.setattr("flows.retrain.train", lambda job: job.folder().name)
    monkeypatch.setattr("flows.retrain.decide_promotion", decide)
    monkeypatch.setattr("flows.retrain.promotion_artifact", lambda workspace, ruling: None)
    monkeypatch.setattr(
        "flows.retrain.evaluation_artifacts",
        lambda job, evaluations: pages.append(compare_runs(Path(job.workspace), job.split)),
    )
    config = RetrainConfig(
        train=TrainConfig(text_tower="tiny", seed=1), baselines=(), promotion=PromotionRule(figure="mrr")
    )
    done = retrain.fn(config)
    assert done["promotion"].decision.action == "promoted by rule"
    (page,) = pages
    assert page.reference == new
    assert [run.name for run in page.runs] == [new, old]
    assert page.apart == {}
    # Again: nothing is decided, so the pages stand.
    assert not retrain.fn(config)["promotion"].is_new
    assert len(pages) == 1
