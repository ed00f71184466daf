"""Where the curves of a run go beside ``log.jsonl``: TensorBoard, Weights & Biases, or nowhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from collap_model.training.config import TrainConfig

__all__ = ["Tracker", "open_tracker"]


class Tracker(Protocol):
    """Takes numbers by name and step."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


@contextmanager
def open_tracker(config: TrainConfig, run: Path, first_step: int) -> Iterator[Tracker]:
    """The tracker that ``config.log_to`` names, for the time of the block; the run goes on after ``first_step`` steps.

    Raises:
        ValueError: the one asked for is not installed.
    """
    target = config.log_to
    if target == "auto":
        target = "none" if find_spec("tensorboard") is None else "tensorboard"
    if target != "none" and find_spec(target) is None:
        raise ValueError(f"log_to is {target!r}, but {target} is not installed; install it, or use 'none'")
    tracker = _TRACKERS[target](config, run, first_step)
    try:
        yield tracker
    finally:
        tracker.close()


class _Nowhere:
    def __init__(self, config: TrainConfig, run: Path, first_step: int) -> None:
        pass

    def log(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def close(self) -> None:
        pass


class _TensorBoard:
    """Event files in ``run/tensorboard``."""

    def __init__(self, config: TrainConfig, run: Path, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # needs the tensorboard package

        # What a kill undid is taken off the curves.
        purge = first_step + 1 if first_step else None
        self.writer = SummaryWriter(log_dir=str(run / "tensorboard"), purge_step=purge)
        if not first_step:
            self.writer.add_text("config", f"```json\n{config.model_dump_json(indent=1)}\n```")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()  # a killed run shows all it did

    def close(self) -> None:
        self.writer.close()


class _WandB:
    """One run of the project ``collap``; resumed under the same id. Offline with ``WANDB_MODE=offline``."""

    def __init__(self, config: TrainConfig, run: Path, first_step: int) -> None:
        mark = hashlib.sha256((run / "config.json").read_bytes() + (run / "data.json").read_bytes())
        self.run: Any = import_module("wandb").init(
            project="collap",
            name=run.name,
            id=f"{run.name}-{mark.hexdigest()[:8]}",
            resume="allow",
            dir=str(run),
            config=config.model_dump(mode="json"),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.run.log(dict(values), step=step)

    def close(self) -> None:
        self.run.finish()


_TRACKERS: dict[str, Callable[[TrainConfig, Path, int], Tracker]] = {
    "none": _Nowhere,
    "tensorboard": _TensorBoard,
    "wandb": _WandB,
}
