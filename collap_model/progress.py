"""What a person and a curve see of a run: windows of steps, printed with the time left and logged."""

from __future__ import annotations

import time
from typing import Any

from collap_model.config import TrainConfig
from collap_model.loss import LossReport
from collap_model.run_folder import RunFolder
from collap_model.task import ContrastiveTask
from collap_model.text import TokenBatch

__all__ = ["Progress"]


class Progress:
    """Collects steps; every ``log_every`` of them, and after the last, says one line."""

    def __init__(self, config: TrainConfig, folder: RunFolder | None, first_step: int) -> None:
        """``folder`` None collects and says nothing, for all processes but the first."""
        self.config = config
        self.folder = folder
        self.first_step = first_step
        self.started = self.window_started = time.monotonic()
        self._clear()

    def _clear(self) -> None:
        self.losses: list[float] = []
        self.accuracies: list[float] = []
        self.grad_norms: list[float] = []
        self.num_texts = self.num_truncated = self.num_swapped = self.num_told_apart = 0

    def record(
        self, step: int, report: LossReport, grad_norm: float, tokens: TokenBatch, task: ContrastiveTask, rate: float
    ) -> None:
        """Take in step number ``step`` (the first is 1)."""
        self.losses.append(report.loss.item())
        self.accuracies.append(report.accuracy.item())
        self.grad_norms.append(grad_norm)
        self.num_texts += len(tokens.ids_IL)
        self.num_truncated += tokens.num_truncated
        self.num_swapped += len(report.told_apart_H)
        self.num_told_apart += int(report.told_apart_H.sum())
        if step % self.config.log_every == 0 or step == self.config.steps:
            if self.folder is not None:
                self._say(self.folder, step, task, rate)
            self._clear()
            self.window_started = time.monotonic()

    def _say(self, folder: RunFolder, step: int, task: ContrastiveTask, rate: float) -> None:
        now = time.monotonic()
        values: dict[str, Any] = {
            "step": step,
            "loss": _mean(self.losses),
            "accuracy": _mean(self.accuracies),
            "grad_norm": _mean(self.grad_norms),
            "lr": self.config.lr * rate,
            "truncated": self.num_truncated / self.num_texts,
            "seconds_per_step": (now - self.window_started) / len(self.losses),
        }
        if self.num_swapped:
            values["told_apart"] = self.num_told_apart / self.num_swapped
        folder.log(**values, **_learned(task))
        left = (self.config.steps - step) * (now - self.started) / (step - self.first_step)
        print(
            f"step {step}/{self.config.steps}  loss {values['loss']:.3f}  accuracy {values['accuracy']:.0%}  "
            f"{values['seconds_per_step']:.2f} s/step  {_spoken(left)} left",
            flush=True,
        )
        guessing = task.loss.of_guessing
        if step > self.config.warmup_steps + self.config.log_every and values["loss"] > 0.99 * guessing:
            print(f"warning: the loss {values['loss']:.3f} is still that of guessing, {guessing:.3f}")


def _learned(task: ContrastiveTask) -> dict[str, float]:
    """The numbers that training learns one by one."""
    model, scorer = task.model, task.model.scorer
    values = {"scale": model.scale().item()}
    if task.loss.name == "sigmoid":
        values["bias"] = task.loss.bias.item()
    if model.form.fusion in ("attention", "token", "ordered"):
        values |= {"tau": scorer.tau().item(), "lam": scorer.lam.item()}
    if model.form.fusion == "ordered":
        values |= {"width": scorer.width().item(), "strength": scorer.strength.item()}
    return values


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _spoken(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
