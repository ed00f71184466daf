"""The CoLLAP model: clips and texts in one space, and the score between them.

    features of clips -> standardise -> projection with residual -> unit ``clips_JKD``  }
    caption -> text tower -> projection                          -> unit ``text_ID``    } -> score_IJ

Shapes: I texts, J tracks, K clips, L tokens, E encoder dim, D joint dim.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from collap_model.bounded import BoundedScale
from collap_model.score import FusionName, Score
from collap_model.text import TextTower, TokenBatch, TowerName, tower_from_form

__all__ = ["CoLLAP", "ModelForm"]

_WEIGHTS, _FORM, _TEXT = "model.safetensors", "config.json", "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelForm:
    """What a saved model must know beside its weights."""

    text_tower: TowerName
    fusion: FusionName
    dim: int
    dropout: float
    temperature: float
    """Initial; the learned one is among the weights."""
    encoder: str
    """Whose features the model hears."""
    encoder_dim: int
    clip_seconds: int
    max_track_seconds: int


class Residual(nn.Module):
    """``x + MLP(norm(x))``, width kept."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.layers(inputs)


class CoLLAP(nn.Module):
    """Embeds clips and texts and scores them. Build from parts to train, ``from_pretrained`` to use."""

    feature_mean_E: Tensor
    feature_std_E: Tensor

    def __init__(self, form: ModelForm, tower: TextTower) -> None:
        super().__init__()
        self.form = form
        self.tower = tower
        self.register_buffer("feature_mean_E", torch.zeros(form.encoder_dim))
        self.register_buffer("feature_std_E", torch.ones(form.encoder_dim))
        self.audio = nn.Sequential(
            nn.Dropout(form.dropout),
            nn.Linear(form.encoder_dim, form.dim),
            Residual(form.dim, form.dropout),
            nn.LayerNorm(form.dim),
            nn.Linear(form.dim, form.dim, bias=False),
        )
        self.text = nn.Sequential(
            nn.LayerNorm(tower.width), nn.Dropout(form.dropout), nn.Linear(tower.width, form.dim, bias=False)
        )
        self.score = Score(form.fusion)
        self.scale = BoundedScale(1.0, 100.0, init=1.0 / form.temperature)

    def set_feature_statistics(self, mean_E: Tensor, std_E: Tensor) -> None:
        """Of the training set, per feature. A feature that never varies gets a deviation of 1."""
        self.feature_mean_E.copy_(mean_E)
        self.feature_std_E.copy_(torch.where(std_E > 1e-4, std_E, 1.0))

    def embed_clips(self, clips_JKE: Tensor) -> Tensor:
        """Unit ``clips_JKD`` in float32 from clip features; padded clips give values the mask must hide."""
        standard_JKE = (clips_JKE - self.feature_mean_E) / self.feature_std_E
        return nn.functional.normalize(self.audio(standard_JKE).float(), dim=-1)

    def embed_texts(self, tokens: TokenBatch) -> Tensor:
        """Unit ``text_ID`` in float32."""
        return nn.functional.normalize(self.text(self.tower(tokens.ids_IL, tokens.mask_IL)).float(), dim=-1)

    def save_pretrained(self, folder: Path) -> None:
        """Write weights (safetensors), form and tokenizer into ``folder``."""
        (folder / _TEXT).mkdir(parents=True, exist_ok=True)
        self.tower.save_form(folder / _TEXT)
        (folder / _FORM).write_text(json.dumps(asdict(self.form), indent=2) + "\n", encoding="utf-8")
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, folder / _WEIGHTS)

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> CoLLAP:
        """The saved model on the CPU, in evaluation mode.

        Raises:
            ValueError: ``folder`` holds no whole model.
        """
        folder = Path(folder)
        missing = [name for name in (_FORM, _WEIGHTS, _TEXT) if not (folder / name).exists()]
        if missing:
            raise ValueError(f"no CoLLAP model in {folder}: {', '.join(missing)} missing")
        form = ModelForm(**json.loads((folder / _FORM).read_text(encoding="utf-8")))
        model = cls(form, tower_from_form(form.text_tower, folder / _TEXT))
        model.load_state_dict(load_file(folder / _WEIGHTS))
        return model.eval()
