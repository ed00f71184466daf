"""Framing, levels and averages over time."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.structure import spectrum
from tasks.structure.spans import mean_between
from tests.tasks.structure import naive


def _sine(hz: float, duration_s: float = 3.0, amplitude: float = 0.5) -> spectrum.Floats:
    t = np.arange(round(duration_s * spectrum.SAMPLE_RATE_HZ)) / spectrum.SAMPLE_RATE_HZ
    return (amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32)


@pytest.mark.parametrize("num_samples", [1, 159, 160, 161, 5_000, 1024 * 160 - 1, 1024 * 160, 1024 * 160 + 1, 400_000])
def test_blocks_hold_the_same_frames_as_one_padded_array(num_samples: int) -> None:
    samples = np.arange(1, num_samples + 1, dtype=np.float32)
    padded = np.pad(samples, (512, 2048))
    frames = [frame for block in spectrum.framed(samples, 1024, 160) for frame in block]
    assert len(frames) == 1 + num_samples // 160
    for index in {0, 1, len(frames) // 2, len(frames) - 1} & set(range(len(frames))):
        np.testing.assert_array_equal(frames[index], padded[index * 160 : index * 160 + 1024])


def test_power_is_the_mean_square_of_the_samples() -> None:
    measured = spectrum.measure(_sine(1000.0))
    np.testing.assert_allclose(measured.power_F[20:-20], 0.5**2 / 2, rtol=1e-3)


def test_bass_power_holds_what_lies_below_150_hz() -> None:
    low, high = spectrum.measure(_sine(80.0)), spectrum.measure(_sine(400.0))
    assert low.bass_power_F[50] > 0.95 * low.power_F[50]
    assert high.bass_power_F[50] < 0.01 * high.power_F[50]


def test_centroid_of_a_sine_is_its_frequency() -> None:
    assert spectrum.measure(_sine(2000.0)).centroid_F[100] == pytest.approx(2000, rel=0.02)


def test_silence_has_zero_power_and_centroid() -> None:
    measured = spectrum.measure(np.zeros(16_000, dtype=np.float32))
    assert not measured.power_F.any()
    assert not measured.centroid_F.any()
    assert not measured.log_mel_FM.any()


def test_every_mel_band_hears_something_and_has_unit_sum() -> None:
    bank = spectrum.mel_bank(spectrum.WINDOW_SAMPLES, spectrum.NUM_BANDS)
    np.testing.assert_allclose(bank.sum(axis=0), 1, rtol=1e-5)


def test_level_does_not_change_what_is_measured() -> None:
    quiet = spectrum.measure(spectrum.levelled(_sine(500.0, amplitude=0.001)))
    loud = spectrum.measure(spectrum.levelled(_sine(500.0, amplitude=0.9)))
    np.testing.assert_allclose(quiet.log_mel_FM, loud.log_mel_FM, atol=1e-3)


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 1.0), (0.33, 0.34), (0.04, 2.91), (1.237, 2.5)])
def test_mean_between_matches_a_fine_grid(start_s: float, end_s: float) -> None:
    values = np.random.default_rng(0).standard_normal(31)
    fast = mean_between(values, 10.0, [start_s, end_s])[0]
    assert fast == pytest.approx(naive.mean_between(values, 10.0, start_s, end_s), abs=1e-3)


def test_mean_beyond_the_last_frame_is_the_last_value() -> None:
    np.testing.assert_allclose(mean_between([1.0, 2.0, 3.0], 10.0, [5.0, 6.0, 7.0]), [3.0, 3.0])
