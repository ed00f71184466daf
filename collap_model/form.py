"""What a saved model must know beside its weights: ``config.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from collap_model.choices import FusionName, TowerName
from data_specs.spec import EncoderSettings, FeatureSettings

__all__ = ["EncoderForm", "ModelForm", "place_field", "read_form"]


class EncoderForm(BaseModel):
    """A frozen encoder whose vectors the model was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: str
    """As ``AudioEncoder.identity``: equal identities, equal vectors."""
    dim: int = Field(ge=1)


class ModelForm(BaseModel):
    """Everything but the numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: Literal["collap"] = "collap"
    version: Literal[3] = 3
    """Raised when weights of before no longer fit."""
    text_tower: TowerName
    fusion: FusionName
    dim: int = Field(ge=1)
    dropout: float = Field(ge=0, lt=1)
    temperature: float = Field(gt=0.01, lt=1)
    """Initial; the learned one is among the weights."""
    encoders: tuple[EncoderForm, ...] = Field(min_length=1)
    """Their vectors stand side by side in this order."""
    features: FeatureSettings | None = None
    """How to open the encoders, in the same order; None for features made elsewhere: such a model hears no files."""
    clip_seconds: int = Field(ge=1)
    max_track_seconds: int = Field(ge=1)
    """Heard at most in training and evaluation."""

    @model_validator(mode="after")
    def _consistent(self) -> ModelForm:
        if self.features is not None and len(self.features.encoders) != len(self.encoders):
            raise ValueError(f"{len(self.encoders)} encoders, but settings of {len(self.features.encoders)}")
        return self

    @property
    def encoder_dim(self) -> int:
        """Width of the encoders' vectors side by side."""
        return sum(encoder.dim for encoder in self.encoders)

    def portable(self) -> ModelForm:
        """Without the folders of this machine, which mean nothing on another and are nobody's business there."""
        if self.features is None:
            return self
        encoders = tuple(map(_portable, self.features.encoders))
        return self.model_copy(update={"features": self.features.model_copy(update={"encoders": encoders})})


def place_field(settings: EncoderSettings) -> str:
    """The field that says where an encoder's weights lie: ``weights`` a file, ``model`` a folder or hub name."""
    return next((name for name in ("weights", "model") if name in type(settings).model_fields), "")


def _portable(settings: EncoderSettings) -> EncoderSettings:
    field = place_field(settings)
    place: str = getattr(settings, field) if field else ""
    if field == "weights" or place.startswith(("/", "~", ".")):
        return settings.model_copy(update={field: Path(place).name})
    return settings


def read_form(path: Path) -> ModelForm:
    """The form in a ``config.json``.

    Raises:
        ValueError: not the form of a CoLLAP model of this version; says what it is instead.
    """
    try:
        return ModelForm.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(
            f"{path} is not the form of a CoLLAP model (architecture 'collap', version 3): {where}: {first['msg']}"
            f" ({error.error_count()} faults)"
        ) from error
