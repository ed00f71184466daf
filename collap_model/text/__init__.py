"""Text towers by name: ``tiny`` (offline), ``roberta`` and ``gpt2`` (the paper's), ``modernbert`` (long texts)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from collap_model.choices import TowerName
from collap_model.text.pretrained import GPT2Tower, ModernBertTower, PretrainedTower, RobertaTower
from collap_model.text.tiny import TinyTower, train_tokenizer
from collap_model.text.tokens import TokenBatch
from collap_model.text.tower import TextStates, TextTower

__all__ = ["TextStates", "TextTower", "TokenBatch", "TowerName", "new_tower", "tower_from_form"]

_PRETRAINED: dict[str, type[PretrainedTower]] = {
    tower.architecture: tower for tower in (RobertaTower, GPT2Tower, ModernBertTower)
}


def new_tower(name: TowerName, *, pretrained: str | None, captions: Sequence[str], dropout: float) -> TextTower:
    """A tower before training: ``tiny`` from the training captions, the others from ``pretrained`` weights.

    Raises:
        ValueError: ``pretrained`` is missing, or does not hold the weights of this tower.
    """
    if name == "tiny":
        return TinyTower(train_tokenizer(captions), dropout=dropout)
    if pretrained is None:
        raise ValueError(f"text tower {name!r} needs a model name or folder to start from")
    return _PRETRAINED[name].from_pretrained(pretrained)


def tower_from_form(name: TowerName, folder: Path) -> TextTower:
    """The tower saved in ``folder`` with ``save_form``, weights not yet loaded.

    Raises:
        ValueError: ``folder`` holds no form, or that of another tower.
    """
    return TinyTower.from_form(folder) if name == "tiny" else _PRETRAINED[name].from_form(folder)
