"""The shape of a BEATs, in the words of its checkpoints.

Source: BEATsConfig of https://github.com/microsoft/unilm/blob/master/beats/BEATs.py (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from collap_model.frontends.kaldi import NUM_MELS

__all__ = ["BeatsConfig"]

_FIXED: dict[str, tuple[Any, Any]] = {
    "conv_bias": (False, False),
    "activation_fn": ("gelu", "gelu"),
    "layer_norm_first": (False, False),
    "deep_norm": (True, False),
    "relative_position_embedding": (True, False),
    "gru_rel_pos": (True, False),
}
"""What all released checkpoints have and the port supports; and what the official code takes where it is not said."""


@dataclass(frozen=True, slots=True)
class BeatsConfig:
    """Fields and defaults as in the official code. The released models are of patch size 16 and distance 800.

    Raises:
        ValueError: a size is not a positive integer, or sizes do not divide each other as they must.
    """

    input_patch_size: int
    """Side of the square patches, in mels and in fbank frames."""
    embed_dim: int = 512
    """Width of a patch before the projection."""
    encoder_layers: int = 12
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    conv_pos: int = 128
    """Kernel of the positional convolution, in tokens."""
    conv_pos_groups: int = 16
    num_buckets: int = 320
    """Of relative positions, both signs together."""
    max_distance: int = 1280
    """Tokens; relative positions beyond it share a bucket."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if type(value) is not int or value < 1:
                raise ValueError(f"BEATs with {name} {value!r}: expected an integer of at least 1")
        for whole, part in (
            ("encoder_embed_dim", "encoder_attention_heads"),
            ("encoder_embed_dim", "conv_pos_groups"),
        ):
            if getattr(self, whole) % getattr(self, part):
                raise ValueError(
                    f"BEATs with {whole} {getattr(self, whole)}: expected a multiple of {part} {getattr(self, part)}"
                )
        if NUM_MELS % self.input_patch_size:
            raise ValueError(f"BEATs with input_patch_size {self.input_patch_size}: expected a divisor of {NUM_MELS}")
        if self.num_buckets % 4 or self.max_distance <= self.num_buckets // 4:
            raise ValueError(
                f"BEATs with num_buckets {self.num_buckets} and max_distance {self.max_distance}: expected a multiple "
                "of 4 and more than a quarter of it"
            )

    @property
    def bands(self) -> int:
        """Tokens of one time step: patches across the mels, 8 of the released models."""
        return NUM_MELS // self.input_patch_size

    @classmethod
    def from_official(cls, values: Mapping[str, Any]) -> BeatsConfig:
        """Read the ``cfg`` of a checkpoint; fields that only training knows (dropout and the like) are passed over.

        Raises:
            ValueError: of another architecture than the released checkpoints; names the field.
        """
        for name, (supported, unsaid) in _FIXED.items():
            if values.get(name, unsaid) != supported:
                raise ValueError(
                    f"BEATs with {name}={values.get(name, unsaid)!r} is not supported: expected {supported!r}, "
                    "as in all checkpoints that the authors released"
                )
        if "input_patch_size" not in values:
            raise ValueError(f"no input_patch_size in the config of the checkpoint, which has {sorted(values)}")
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    def to_official(self) -> dict[str, Any]:
        """What ``from_official`` and the official code read."""
        return {name: supported for name, (supported, _) in _FIXED.items()} | asdict(self)
