"""Text towers by name: ``tiny`` (offline), ``roberta`` and ``gpt2`` (the paper's)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from collap_model.choices import TowerName
from collap_model.text.pretrained import GPT2Tower, RobertaTower
from collap_model.text.tiny import TinyTower, train_tokenizer
from collap_model.text.tokens import TokenBatch
from collap_model.text.tower import TextTower

__all__ = ["TextTower", "TokenBatch", "TowerName", "new_tower", "tower_from_form"]

_TOWERS: dict[str, type[TextTower]] = {"tiny": TinyTower, "roberta": RobertaTower, "gpt2": GPT2Tower}


def new_tower(name: TowerName, *, pretrained: str | None, captions: Sequence[str], dropout: float) -> TextTower:
    """A tower before training: ``tiny`` from the training captions, the others from ``pretrained`` weights."""
    if name == "tiny":
        return TinyTower(train_tokenizer(captions), dropout=dropout)
    if pretrained is None:
        raise ValueError(f"text tower {name!r} needs a model name or folder to start from")
    tower = RobertaTower if name == "roberta" else GPT2Tower
    return tower.from_pretrained(pretrained)


def tower_from_form(name: TowerName, folder: Path) -> TextTower:
    """The tower saved in ``folder`` with ``save_form``, weights not yet loaded."""
    return _TOWERS[name].from_form(folder)
