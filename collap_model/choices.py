"""The names a config chooses from. Imports nothing, so that a flow can read a config without torch."""

from __future__ import annotations

from typing import Literal

__all__ = ["FusionName", "TowerName"]

FusionName = Literal["attention", "token", "ordered", "mean", "max"]
TowerName = Literal["tiny", "roberta", "gpt2", "modernbert"]
