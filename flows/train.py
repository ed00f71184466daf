"""``train``: one training run over a finished dataset."""

from __future__ import annotations

from prefect import flow

from flows.artifacts import training_artifacts
from tasks.doors import train_run
from tasks.training.job import TrainJob


@flow(name="train", flow_run_name="train {job.config.fusion} on {job.dataset}")
def train(job: TrainJob = TrainJob()) -> str:
    """Train CoLLAP, going on where an earlier run of the same name stopped; return the run's name."""
    folder = train_run(job)
    training_artifacts(folder)
    return folder.name


if __name__ == "__main__":
    train()
