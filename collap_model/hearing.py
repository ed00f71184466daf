"""From sound to clip features, by the encoders a model was trained with and no others.

Shapes: T samples, S seconds, K clips, E encoder dim (all encoders side by side).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from collap_model.encoders.encoder import SAMPLE_RATE_HZ, AudioEncoder, Seconds, num_seconds
from collap_model.features.feature_store import pool_clips
from collap_model.form import ModelForm, place_field
from data_specs.spec import EncoderSettings

__all__ = ["Audio", "Ears", "clip_spans"]

Samples = npt.NDArray[np.float32]
Audio = str | Path | Samples | torch.Tensor
"""A file, or mono samples ``[T]`` at 16 kHz with full scale 1."""

_SECONDS_AT_ONCE = 600
"""Sound that is decoded and encoded together: short tracks fill the encoders' batches, long ones go alone."""


class Ears:
    """The frozen encoders of a form, opened when first needed and again when the device changes."""

    def __init__(self, form: ModelForm, weights: Mapping[str, str | Path]) -> None:
        """``weights``: by encoder name, where this machine has them, in place of the form's own places.

        Raises:
            ValueError: ``weights`` names an encoder that the model does not have.
        """
        self.form = form
        self._settings = _settings(form, weights)
        self._encoders: list[AudioEncoder] = []
        self._device: torch.device | None = None

    def clips(self, audio: Iterable[Audio], device: torch.device) -> Iterator[tuple[npt.NDArray[np.float32], int]]:
        """Clip features ``[K, E]`` and number of samples of each track, decoded as they are asked for."""
        encoders = self._open(device)
        for samples in _groups(_heard(number, item) for number, item in enumerate(audio)):
            yield from zip(self._encode(encoders, samples), map(len, samples), strict=True)

    def _encode(self, encoders: list[AudioEncoder], samples: list[Samples]) -> list[npt.NDArray[np.float32]]:
        pooled = [[_pool(item, self.form.clip_seconds) for item in encoder.encode(samples)] for encoder in encoders]
        return [np.concatenate(parts, axis=1) for parts in zip(*pooled, strict=True)]

    def _open(self, device: torch.device) -> list[AudioEncoder]:
        if self._device != device:
            self._encoders = [
                _same(encoder, trained.identity, trained.dim)
                for encoder, trained in zip(self._opened(device), self.form.encoders, strict=True)
            ]
            self._device = device
        return self._encoders

    def _opened(self, device: torch.device) -> Iterator[AudioEncoder]:
        if self.form.features is None:
            raise ValueError(
                f"the model was trained on features of {[item.identity for item in self.form.encoders]} without saying "
                "how to make them; it can score features and texts, but not hear files"
            )
        from collap_model.encoders.open import open_encoder  # transformers loads with it: only where sound is heard

        for settings in self._settings:
            try:
                yield open_encoder(settings, self.form.features.precision, device)
            except ValueError as error:
                raise ValueError(f"{error}. {_elsewhere(settings.encoder)}") from error


def clip_spans(num_samples: int, clip_seconds: int) -> tuple[tuple[float, float], ...]:
    """Start and end in seconds of each clip of a track, as ``feature_store.pool_clips`` cuts it."""
    count = max(1, int(num_seconds(num_samples) / clip_seconds + 0.5))
    starts = [float(number * clip_seconds) for number in range(count)]
    return tuple(zip(starts, [*starts[1:], num_samples / SAMPLE_RATE_HZ], strict=True))


def _settings(form: ModelForm, weights: Mapping[str, str | Path]) -> list[EncoderSettings]:
    settings = list(form.features.encoders) if form.features else []
    known = {item.encoder for item in settings if place_field(item)}
    if strange := sorted(set(weights) - known):
        raise ValueError(f"weights given for {strange}; this model's encoders with weights are {sorted(known)}")
    places = {name: str(Path(place).expanduser()) for name, place in weights.items()}
    return [
        item.model_copy(update={place_field(item): places[item.encoder]}) if item.encoder in places else item
        for item in settings
    ]


def _same(encoder: AudioEncoder, identity: str, dim: int) -> AudioEncoder:
    if (encoder.identity, encoder.dim) != (identity, dim):
        raise ValueError(
            f"the model was trained on {identity} [{dim}], the weights at hand are {encoder.identity} [{encoder.dim}]. "
            f"{_elsewhere(encoder.name)}"
        )
    return encoder


def _elsewhere(name: str) -> str:
    return f"Say where this machine has the right ones: CoLLAP.from_pretrained(..., encoder_weights={{{name!r}: PATH}})"


def _heard(number: int, audio: Audio) -> Samples:
    from collap_model.frontends.samples import check_samples, read_audio

    if isinstance(audio, str | Path):
        return read_audio(audio)
    if not isinstance(audio, np.ndarray | torch.Tensor):
        raise TypeError(
            f"audio {number} is {audio!r:.40} ({type(audio).__name__}); expected a path, or mono samples [T] at "
            f"{SAMPLE_RATE_HZ} Hz as an array or a tensor"
        )
    try:
        return check_samples(audio)
    except ValueError as error:
        raise ValueError(f"audio {number}: {error}") from error


def _groups(tracks: Iterable[Samples]) -> Iterator[list[Samples]]:
    """Consecutive tracks of together at most ``_SECONDS_AT_ONCE``, or one longer."""
    group: list[Samples] = []
    held = 0
    for samples in tracks:
        if group and held + len(samples) > _SECONDS_AT_ONCE * SAMPLE_RATE_HZ:
            yield group
            group, held = [], 0
        group.append(samples)
        held += len(samples)
    if group:
        yield group


def _pool(seconds: Seconds, clip_seconds: int) -> npt.NDArray[np.float32]:
    # Rounded as the feature store rounds, so that a file scores as its stored features do.
    return pool_clips(seconds.vectors_SE.astype(np.float16), seconds.frames_S, clip_seconds)
