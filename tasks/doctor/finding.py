"""The record that every check gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    level: Literal["ok", "warning", "problem"]
    """A ``problem`` keeps a build from working, a ``warning`` costs tracks or comes due."""
    text: str
    """What was found and, unless it is ok, how to mend it."""
