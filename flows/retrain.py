"""``retrain``: build (or update) a dataset, train on it, evaluate; each step a subflow."""

from __future__ import annotations

from typing import Any

from prefect import flow
from pydantic import BaseModel, ConfigDict, Field

from collap_model.choices import FusionName
from collap_model.training.config import TrainConfig
from flows.build_dataset import build_dataset
from flows.evaluate import evaluate
from flows.train import train
from tasks.build import BuildConfig
from tasks.evaluation.job import EvaluateJob
from tasks.training.job import TrainJob


class RetrainConfig(BaseModel):
    """A dataset, a model, and the fusions it is compared with under the same budget."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Retraining")

    build: BuildConfig = Field(BuildConfig(), title="Build")
    train: TrainConfig = Field(TrainConfig(), title="Training configuration")
    processes: int = Field(1, ge=1, le=64, description="Training processes, one per GPU")
    baselines: tuple[FusionName, ...] = Field(
        ("mean",), description="Also train and evaluate these fusions with otherwise the same configuration"
    )


@flow(name="retrain", flow_run_name="retrain {config.build.spec}")
def retrain(config: RetrainConfig = RetrainConfig()) -> dict[str, Any]:
    """Build, train and evaluate; return the build's report and the retrieval reports by run name."""
    built = build_dataset(config.build)
    fusions = dict.fromkeys((config.train.fusion, *config.baselines))
    runs = []
    for fusion in fusions:
        candidate = config.train.model_copy(update={"fusion": fusion})
        runs.append(train(TrainJob(workspace=built.workspace, processes=config.processes, config=candidate)))
    retrieval = evaluate(EvaluateJob(workspace=built.workspace, runs=tuple(runs)))
    return {"build": built, "retrieval": retrieval}


if __name__ == "__main__":
    retrain()
