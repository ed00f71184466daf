"""What a stage says of one track: a record, a record with a reason against it, or a reason alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from data_specs.reasons import Reason

R = TypeVar("R")


class Status(StrEnum):
    OK = "ok"
    """Has a record; goes on to the next stage."""
    REJECTED = "rejected"
    """Has a record (what was measured is kept) and a reason; goes no further."""
    FAILED = "failed"
    """Has a reason only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[R]):
    """What ``Stage.process`` returns for one track. Build one with ``ok``, ``rejected`` or ``failed``."""

    record: R | None
    reason: Reason | None = None
    detail: str | None = None
    """For people: the raw message or the measured value and the bound it broke."""

    def __post_init__(self) -> None:
        if self.record is None and self.reason is None:
            raise ValueError("an outcome needs a record or a reason")

    @property
    def status(self) -> Status:
        if self.reason is None:
            return Status.OK
        return Status.FAILED if self.record is None else Status.REJECTED


def ok(record: R) -> Outcome[R]:
    return Outcome(record=record)


def rejected(record: R, reason: Reason, detail: str) -> Outcome[R]:
    return Outcome(record=record, reason=reason, detail=detail)


def failed(reason: Reason, detail: str) -> Outcome:
    return Outcome(record=None, reason=reason, detail=detail)
