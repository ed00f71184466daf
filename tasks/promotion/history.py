"""The decisions of a workspace, and the link that follows them.

models/promotions.jsonl  the truth: a line for each decision that changed the model in use
models/refusals.jsonl    a line for each run that the rule did not promote
models/in-use            relative link to RUN/model; replaced in one step, after the file

Files are written whole or not at all. A kill between file and link leaves a link that is one decision behind;
whoever opens the history next mends it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from data_specs.publish import publish_bytes
from tasks.engine.errors import BuildError
from tasks.engine.workspace import hold
from tasks.promotion.record import Decision
from tasks.training.job import IN_USE

__all__ = ["IN_USE", "PROMOTIONS", "REFUSALS", "History", "models_of"]

PROMOTIONS, REFUSALS = "promotions.jsonl", "refusals.jsonl"
_NEXT = f".{IN_USE}.next"
"""One name for all: only the holder of the lock writes it, so a kill leaves one at most."""


def models_of(workspace: Path | str) -> Path:
    """Raises ``BuildError`` for a workspace in which nothing was trained."""
    models = Path(workspace).expanduser().resolve() / "models"
    if not models.is_dir():
        raise BuildError(f"no trained run in {models}; train one first")
    return models


class History:
    """What was decided so far. Open it with ``held`` to add to it, with ``read`` to look."""

    def __init__(self, models: Path, promotions: Sequence[Decision], refusals: Sequence[Decision]) -> None:
        self.models = models
        self.promotions = list(promotions)
        self.refusals = list(refusals)
        self.stack = _replayed(self.promotions, models / PROMOTIONS)
        """The runs that were put in use, without those that were taken back; the last one is in use."""

    @classmethod
    def read(cls, workspace: Path | str) -> History:
        """The history as it is, nothing mended.

        Raises:
            BuildError: nothing was trained; a line is no decision, or does not follow from those above.
        """
        models = models_of(workspace)
        return cls(models, _read(models / PROMOTIONS), _read(models / REFUSALS))

    @classmethod
    @contextmanager
    def held(cls, workspace: Path | str) -> Iterator[History]:
        """Keep every other process from deciding, and mend the link if a kill left it behind.

        Raises:
            BuildError: another process decides, or see ``read``.
        """
        with hold(models_of(workspace), "folder of models"):
            history = cls.read(workspace)
            history.mend()
            yield history

    @classmethod
    def mended(cls, workspace: Path | str) -> History:
        """As ``read``, for people who look; waits for nobody unless a kill left the link behind."""
        history = cls.read(workspace)
        if history.follows():
            return history
        with cls.held(workspace) as history:
            return history

    @property
    def in_use(self) -> str | None:
        """Name of the run; None until one is promoted."""
        return self.stack[-1] if self.stack else None

    @property
    def decisions(self) -> list[Decision]:
        """All of them, the oldest first."""
        return sorted([*self.promotions, *self.refusals], key=lambda decision: decision.at)

    def taken_back(self, run: str) -> Decision | None:
        """A person's decision that took a run out of use, unless it was put in use again since."""
        back = None
        for decision in self.promotions:
            if decision.run == run:
                back = None
            elif decision.action in ("rolled back", "promoted by hand") and decision.before == run:
                back = decision
        return back

    def add(self, decision: Decision) -> None:
        """Write a decision down, then let the link follow it."""
        if not decision.changes:
            _write(self.models / REFUSALS, [*self.refusals, decision])
            self.refusals.append(decision)
            return
        promotions = [*self.promotions, decision]
        stack = _replayed(promotions, self.models / PROMOTIONS)
        _write(self.models / PROMOTIONS, promotions)
        self.promotions, self.stack = promotions, stack
        self.mend()

    def follows(self) -> bool:
        """Whether the link says what the file says."""
        return self._linked() == self._wanted()

    def mend(self) -> None:
        """Let the link say what the file says; the lock must be held.

        Raises:
            BuildError: the link is no link, or there is one although the file names no model.
        """
        if self.follows():
            return
        link, wanted = self.models / IN_USE, self._wanted()
        if wanted is None:
            raise BuildError(
                f"{link} is there, but {self.models / PROMOTIONS} names no model in use: bring the file back, or "
                "remove the link and promote a run by hand (collap promote)"
            )
        new = self.models / _NEXT
        new.unlink(missing_ok=True)
        new.symlink_to(wanted, target_is_directory=True)
        os.replace(new, link)
        _sync(self.models)

    def _wanted(self) -> str | None:
        return None if self.in_use is None else f"{self.in_use}/model"

    def _linked(self) -> str | None:
        link = self.models / IN_USE
        if link.is_symlink():
            return os.readlink(link)
        if link.exists():
            raise BuildError(f"{link} is no link but a file or folder, e.g. a run of that name; rename it")
        return None


def _replayed(promotions: Sequence[Decision], path: Path) -> list[str]:
    stack: list[str] = []
    for number, decision in enumerate(promotions, 1):
        in_use = stack[-1] if stack else None
        back = decision.action == "rolled back"
        after = stack[:-1] if back else [*stack, decision.run]
        if decision.before != in_use or not decision.changes or after[-1:] != [decision.run]:
            raise BuildError(
                f"{path}, line {number}: '{decision.action}' of {decision.run} in place of {decision.before} does not "
                f"follow from the lines above, after which {in_use} is in use; undo the edit"
            )
        stack = after
    return stack


def _read(path: Path) -> list[Decision]:
    decisions = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else (), 1):
        try:
            decisions.append(Decision.model_validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the line"
            raise BuildError(f"{path}, line {number}: {where}: {first['msg']}; undo the edit") from error
    return decisions


def _write(path: Path, decisions: Sequence[Decision]) -> None:
    publish_bytes(path, "".join(f"{decision.model_dump_json()}\n" for decision in decisions).encode())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
