"""The mean of the channels at 16 kHz as 16-bit samples: what both audio encoders hear."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
_QUALITY = "HQ"  # 20 bits, linear phase: beyond what 16-bit samples can hold


class Resampler:
    """Feed mono float32 blocks ``[T]`` at the source's rate; equal blocks give equal samples."""

    def __init__(self, source_rate_hz: int) -> None:
        self._stream = None
        if source_rate_hz != SAMPLE_RATE_HZ:
            self._stream = soxr.ResampleStream(source_rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality=_QUALITY)

    def add(self, mono_T: NDArray[np.float32]) -> NDArray[np.int16]:
        return _as_int16(mono_T if self._stream is None else self._stream.resample_chunk(mono_T))

    def end(self) -> NDArray[np.int16]:
        """What the filter still holds."""
        rest = np.zeros(0, np.float32)
        return _as_int16(rest if self._stream is None else self._stream.resample_chunk(rest, last=True))


def _as_int16(mono_T: NDArray[np.float32]) -> NDArray[np.int16]:
    """Rounded and limited, without dither: equal sound must give equal bytes."""
    return np.clip(np.rint(mono_T * 32768.0), -32768, 32767).astype("<i2")
