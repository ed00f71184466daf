"""Small models for tests, with random weights."""

from __future__ import annotations

from typing import Any

import torch

from collap_model.choices import FusionName
from collap_model.model import CoLLAP, ModelForm
from collap_model.text import new_tower

CAPTIONS = (
    "A slow piano opens in C minor. At 0:40 drums and bass come in, and the song turns to a bright chorus.",
    "Fast guitars.",
    "A quiet choir sings over an organ.\n\nFrom 0:00 to 0:30 it is soft.\n\nFrom 0:30 to 1:00 it is loud. It ends.",
)


def form(fusion: FusionName = "attention", **values: Any) -> ModelForm:
    """Of a model whose encoders were never named, unless ``features`` says how to open them."""
    return ModelForm.model_validate(
        {
            "text_tower": "tiny",
            "fusion": fusion,
            "dim": 16,
            "dropout": 0.1,
            "temperature": 0.07,
            "encoders": [{"identity": "toy-1-a", "dim": 6}],
            "clip_seconds": 5,
            "max_track_seconds": 300,
            **values,
        }
    )


def model(fusion: FusionName = "attention", **values: Any) -> CoLLAP:
    """With statistics and weights that leave nothing at its initial value."""
    torch.manual_seed(0)
    made = CoLLAP(form(fusion, **values), new_tower("tiny", pretrained=None, captions=CAPTIONS, dropout=0.1))
    made.set_feature_statistics(torch.randn(made.form.encoder_dim), torch.rand(made.form.encoder_dim) + 0.5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()
