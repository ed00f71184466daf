"""One line of ``promotions.jsonl``: a decision on the model in use, with the figures it rests on."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tasks.promotion.rule import Direction, Interval

__all__ = ["BY_RULE", "Action", "Decision", "Evidence", "now", "operator"]

Action = Literal["promoted by rule", "promoted by hand", "rolled back", "refused by rule"]
BY_RULE: tuple[Action, ...] = ("promoted by rule", "refused by rule")


class Evidence(BaseModel):
    """What a decision rests on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    figure: str
    """Of the rule, see ``PromotionRule``."""
    split: str
    data_sha256: str
    """Of the texts and of where the features lie, as in a retrieval report."""
    queries_sha256: str
    """Of texts, tracks and what belongs together."""
    num_texts: int
    num_tracks: int
    figures: dict[Direction, Interval]
    """Of the run."""
    differences: dict[Direction, Interval] = {}
    """To the model in use, or to chance where there is none; empty where the two could not be compared."""


class Decision(BaseModel):
    """Something was put in use, taken back, or refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: AwareDatetime
    action: Action
    run: str = Field(min_length=1)
    """The run that is decided on; of a roll-back, the one that is in use after it."""
    before: str | None
    """The run in use until then."""
    who: str
    """Login name of the process."""
    why: str
    evidence: Evidence | None = None

    @property
    def changes(self) -> bool:
        """Whether another model is in use after it."""
        return self.action != "refused by rule"

    def answers(self, other: Decision) -> bool:
        """Whether this one decided by rule what the other decides: the same runs, data, queries and rule.

        Where the two could not be compared, the reason counts as well: it may be gone. Without evidence, of a run
        that was taken back, only the run and the reason count.
        """
        if {self.action, other.action} - {*BY_RULE}:
            return False
        if self.evidence is None or other.evidence is None:
            return self.evidence is other.evidence and (self.run, self.why) == (other.run, other.why)
        if bool(self.evidence.differences) != bool(other.evidence.differences):
            return False
        return _question(self, self.evidence) == _question(other, other.evidence)


def _question(decision: Decision, evidence: Evidence) -> tuple[object, ...]:
    asked = (decision.run, decision.before, evidence.figure, evidence.split)
    return (*asked, evidence.data_sha256, evidence.queries_sha256, None if evidence.differences else decision.why)


def now() -> datetime:
    """UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def operator() -> str:
    """Who runs this process; a container may have no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
