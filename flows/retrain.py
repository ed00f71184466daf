"""``retrain``: build (or update) a dataset, train on it, evaluate, and promote what is better than the model in use."""

from __future__ import annotations

from typing import Any

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from collap_model.choices import FusionName
from collap_model.training.config import TrainConfig
from flows.build_dataset import build_dataset
from flows.evaluate import evaluate
from flows.evaluation import evaluation_artifacts
from flows.promotion import promotion_artifact
from flows.train import train
from tasks.build import BuildConfig
from tasks.doors import decide_promotion
from tasks.evaluation.job import EvaluateJob
from tasks.promotion.measured import reports_on_file
from tasks.promotion.rule import PromotionRule
from tasks.training.job import TrainJob


class RetrainConfig(BaseModel):
    """A dataset, a model, the fusions it is compared with under the same budget, and when it is put in use."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Retraining")

    build: BuildConfig = Field(BuildConfig(), title="Build")
    train: TrainConfig = Field(TrainConfig(), title="Training configuration")
    processes: int = Field(1, ge=1, le=64, description="Training processes, one per GPU")
    baselines: tuple[FusionName, ...] = Field(
        ("mean",), description="Also train and evaluate these fusions with otherwise the same configuration"
    )
    promotion: PromotionRule | None = Field(
        PromotionRule(), description="When the model is put in use; never, where null. Baselines are not"
    )


@flow(name="retrain", flow_run_name="retrain {config.build.spec}")
def retrain(config: RetrainConfig = RetrainConfig()) -> dict[str, Any]:
    """Build, train, evaluate and decide: the build's report, the retrieval reports by run name, and the ruling.

    What is unchanged is neither built, trained, measured nor decided again.
    """
    built = build_dataset(config.build)
    fusions = dict.fromkeys((config.train.fusion, *config.baselines))
    runs = []
    for fusion in fusions:
        candidate = config.train.model_copy(update={"fusion": fusion})
        runs.append(train(TrainJob(workspace=built.workspace, processes=config.processes, config=candidate)))
    job = EvaluateJob(workspace=built.workspace, runs=tuple(runs))
    retrieval = reports_on_file(built.workspace, runs) or evaluate(job)
    ruling = None
    if config.promotion is not None:
        ruling = decide_promotion(built.workspace, runs[0], config.promotion)
        promotion_artifact(built.workspace, ruling)
        if ruling.is_new:  # it may have measured the model in use, or put another one in its place
            evaluation_artifacts(job, retrieval)
    return {"build": built, "retrieval": retrieval, "promotion": ruling}


if __name__ == "__main__":
    retrain()
