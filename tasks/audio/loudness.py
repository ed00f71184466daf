"""Integrated loudness after ITU-R BS.1770-4 and loudness range after EBU Tech 3342, block by block.

Both are read from one energy per 0.1 s, all that is kept of a track. The K-weighting (two biquads) is
designed for any sample rate from its analogue prototypes, with the constants that reproduce the table
of the recommendation at 48 kHz (those of libebur128).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, sos2tf

ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_OFFSET_LUFS = -0.691
_TABLE_RATE_HZ = 48_000
_STEP_S = 0.1
_STEPS_PER_BLOCK = 4  # 400 ms blocks, 75% overlap
_STEPS_PER_SHORT_TERM = 30  # 3 s windows

# EBU Tech 3342: short-term loudness within 20 LU of its mean; what lies between these shares of it is the range.
_RANGE_GATE_LU = -20.0
_RANGE_SHARES = (0.10, 0.95)

_CHUNK_SAMPLES = 1 << 14
"""Filtered at a time: float64 of some channels that fits a core's cache."""

# Channels of BS.1770-4, table 3; everything in front or unknown counts once.
_WEIGHTS = {"LFE": 0.0, "LFE2": 0.0, "BL": 1.41, "BR": 1.41, "SL": 1.41, "SR": 1.41, "BC": 1.41}


class LoudnessMeter:
    """Feed ``[C, T]`` blocks of one track, then ask for ``integrated_lufs`` and ``range_lu``."""

    def __init__(self, sample_rate_hz: int, channel_names: Sequence[str]) -> None:
        self._filter = sos2tf(k_weighting(sample_rate_hz))  # one fourth-order pass costs less than two biquads
        self._state = np.zeros((len(channel_names), 4))
        self._weights = np.array([_WEIGHTS.get(name, 1.0) for name in channel_names])
        self._step_samples = max(1, round(_STEP_S * sample_rate_hz))
        self._rest_CT = np.zeros((len(channel_names), 0))
        self._step_energies: list[NDArray[np.float64]] = []

    def add(self, block_CT: NDArray[np.float32]) -> None:
        for begin in range(0, block_CT.shape[1], _CHUNK_SAMPLES):
            chunk_CT = block_CT[:, begin : begin + _CHUNK_SAMPLES]
            weighted_CT, self._state = lfilter(*self._filter, chunk_CT, axis=-1, zi=self._state)
            self._add_steps(np.concatenate([self._rest_CT, weighted_CT], axis=1))

    def _add_steps(self, weighted_CT: NDArray[np.float64]) -> None:
        num_steps = weighted_CT.shape[1] // self._step_samples
        used = num_steps * self._step_samples
        steps_CST = weighted_CT[:, :used].reshape(len(weighted_CT), num_steps, self._step_samples)
        self._step_energies.append(self._weights @ np.einsum("cst,cst->cs", steps_CST, steps_CST))
        self._rest_CT = weighted_CT[:, used:]

    def integrated_lufs(self) -> float | None:
        """None where no 400 ms block is above the absolute gate (silence, or a track below 0.4 s)."""
        power = self._gated_powers(_STEPS_PER_BLOCK, _RELATIVE_GATE_LU)
        return _lufs(float(power.mean())) if len(power) else None

    def range_lu(self) -> float | None:
        """None where no 3 s window is above the absolute gate (silence, or a track below 3 s)."""
        power = self._gated_powers(_STEPS_PER_SHORT_TERM, _RANGE_GATE_LU)
        if not len(power):
            return None
        low, high = np.quantile(power, _RANGE_SHARES, method="nearest")
        return _lufs(float(high)) - _lufs(float(low))

    def _gated_powers(self, num_steps: int, relative_gate_lu: float) -> NDArray[np.float64]:
        """Mean powers of all windows of ``num_steps`` that pass the absolute gate, then the relative one."""
        steps = np.concatenate([np.zeros(0), *self._step_energies])
        if len(steps) < num_steps:
            return np.zeros(0)
        power = np.convolve(steps, np.ones(num_steps), mode="valid") / (num_steps * self._step_samples)
        power = power[power > _power(ABSOLUTE_GATE_LUFS)]
        if not len(power):
            return power
        return np.asarray(power[power > _power(_lufs(float(power.mean())) + relative_gate_lu)])


def k_weighting(sample_rate_hz: int) -> NDArray[np.float64]:
    """The high shelf of the head and the high-pass "RLB" curve as two second-order sections ``[2, 6]``."""
    gain_db, shelf_hz, shelf_q = 3.999843853973347, 1681.974450955533, 0.7071752369554196
    k = math.tan(math.pi * shelf_hz / sample_rate_hz)
    high = 10.0 ** (gain_db / 20.0)
    band = high**0.4996667741545416
    a0 = 1.0 + k / shelf_q + k * k
    shelf = [
        (high + band * k / shelf_q + k * k) / a0,
        2.0 * (k * k - high) / a0,
        (high - band * k / shelf_q + k * k) / a0,
        1.0,
        2.0 * (k * k - 1.0) / a0,
        (1.0 - k / shelf_q + k * k) / a0,
    ]
    pass_hz, pass_q = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * pass_hz / sample_rate_hz)
    a0 = 1.0 + k / pass_q + k * k
    # The table's numerator at 48 kHz is 1, -2, 1: a gain of 0.04 dB above 1, which other rates must share.
    k_table = math.tan(math.pi * pass_hz / _TABLE_RATE_HZ)
    gain = (1.0 + k_table / pass_q + k_table * k_table) / a0
    high_pass = [gain, -2.0 * gain, gain, 1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / pass_q + k * k) / a0]
    return np.array([shelf, high_pass])


def _power(lufs: float) -> float:
    return 10.0 ** ((lufs - _OFFSET_LUFS) / 10.0)


def _lufs(power: float) -> float:
    return _OFFSET_LUFS + 10.0 * math.log10(power)
