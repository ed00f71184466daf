"""What every frozen audio encoder offers, so that stores, stages and models know none by name.

Shapes: T samples, S seconds, E encoder dim.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["SAMPLE_RATE_HZ", "AudioEncoder", "Seconds", "num_seconds"]

SAMPLE_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Seconds:
    """A track as an encoder hears it. Means with their weights: any clip pools exactly from them."""

    vectors_SE: npt.NDArray[np.float32]
    """Mean of the frames whose centre lies in the second; the last second takes all that is left."""
    frames_S: npt.NDArray[np.int32]
    """How many frames each mean is of, at least 1."""


class AudioEncoder(Protocol):
    """A frozen encoder with its weights."""

    name: str
    """Short, of the vocabulary of ``data_specs.spec``: ``beats``."""
    dim: int

    @property
    def identity(self) -> str:
        """``<name>-<code version>-<hash of weights, precision and preprocessing>``: equal identities, equal vectors."""
        ...

    def encode(self, tracks: Sequence[npt.NDArray[np.float32]]) -> list[Seconds]:
        """Encode mono tracks ``[T]`` at 16 kHz, full scale 1. A vector never depends on the company.

        Raises:
            ValueError: not one-dimensional, empty, not finite, or not within full scale.
        """
        ...


def num_seconds(num_samples: int) -> int:
    """Rows for a recording: seconds rounded to nearest, at least 1; the last covers the 0.5 to 1.5 s left over."""
    return max(1, int(num_samples / SAMPLE_RATE_HZ + 0.5))
