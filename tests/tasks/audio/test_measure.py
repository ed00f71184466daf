from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, firwin, lfilter, sosfilt

from tasks.audio.loudness import LoudnessMeter, k_weighting
from tasks.audio.measure import FULL_SCALE, QUIETEST_DBFS, Measures, Meter
from tests.tasks.audio.sounds import Sound, noise, tone


def measured(sound_TC: Sound, rate_hz: int, block_samples: int = 1 << 16) -> Measures:
    meter = Meter(rate_hz, sound_TC.shape[1])
    for begin in range(0, len(sound_TC), block_samples):
        block_CT = np.ascontiguousarray(sound_TC[begin : begin + block_samples].T)
        meter.add(block_CT, block_CT.mean(axis=0))
    return meter.measures()


def loudness_lufs(sound_TC: Sound, rate_hz: int, names: tuple[str, ...], block_samples: int = 1 << 16) -> float | None:
    meter = LoudnessMeter(rate_hz, names)
    for begin in range(0, len(sound_TC), block_samples):
        meter.add(np.ascontiguousarray(sound_TC[begin : begin + block_samples].T))
    return meter.integrated_lufs()


STEREO = ("FL", "FR")


def test_k_weighting_at_48_khz_is_the_table_of_the_recommendation() -> None:
    shelf, high_pass = k_weighting(48_000)
    np.testing.assert_allclose(
        shelf,
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        atol=1e-8,
    )
    np.testing.assert_allclose(high_pass, [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621], atol=1e-8)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000, 96_000])
def test_a_stereo_tone_of_minus_23_dbfs_is_minus_23_lufs(rate_hz: int) -> None:
    """EBU Tech 3341, case 1."""
    sound_TC = tone(20.0, 1000.0, rate_hz, 10 ** (-23 / 20))
    assert loudness_lufs(sound_TC, rate_hz, STEREO) == pytest.approx(-23.0, abs=0.1)


def test_quiet_parts_do_not_count() -> None:
    """EBU Tech 3341, case 3: -36 dBFS for 10 s, -23 dBFS for 60 s, -36 dBFS for 10 s."""
    parts = [tone(seconds, 1000.0, 48_000, 10 ** (level / 20)) for seconds, level in ((10, -36), (60, -23), (10, -36))]
    assert loudness_lufs(np.concatenate(parts), 48_000, STEREO) == pytest.approx(-23.0, abs=0.1)


def test_surround_channels_weigh_more_and_the_lfe_nothing() -> None:
    sound_TC = tone(3.0, 1000.0, 48_000, 0.1, channels=1)
    front, back = (loudness_lufs(sound_TC, 48_000, (name,)) for name in ("FC", "SL"))
    assert front is not None
    assert back is not None
    assert back - front == pytest.approx(10 * np.log10(1.41), abs=1e-6)
    assert loudness_lufs(sound_TC, 48_000, ("LFE",)) is None


def test_silence_and_moments_have_no_loudness() -> None:
    assert loudness_lufs(np.zeros((48_000, 2), np.float32), 48_000, STEREO) is None
    assert loudness_lufs(noise(0.3, 48_000), 48_000, STEREO) is None


@pytest.mark.parametrize(("rate_hz", "channels"), [(44_100, 2), (48_000, 1), (16_000, 2)])
def test_loudness_agrees_with_pyloudnorm(rate_hz: int, channels: int) -> None:
    import pyloudnorm

    envelope = np.abs(np.sin(np.arange(12 * rate_hz) / rate_hz))[:, None] ** 3
    sound_TC = (noise(12.0, rate_hz, channels, level=0.2) * envelope).astype(np.float32)
    theirs = pyloudnorm.Meter(rate_hz).integrated_loudness(sound_TC.astype(np.float64))
    names = STEREO if channels == 2 else ("FC",)
    assert loudness_lufs(sound_TC, rate_hz, names) == pytest.approx(theirs, abs=0.1)


@pytest.mark.parametrize("block_samples", [997, 4096, 44_100, 10**9])
def test_the_size_of_the_blocks_changes_nothing(block_samples: int) -> None:
    sound_TC = np.clip(noise(5.0, 44_100, level=0.6), -1, 1)
    sound_TC[88_200:130_000] = 0
    whole, parts = measured(sound_TC, 44_100), measured(sound_TC, 44_100, block_samples)
    assert (parts.silence_ratio, parts.longest_silence_s) == (whole.silence_ratio, whole.longest_silence_s)
    assert (parts.clipping_ratio, parts.peak_dbfs) == (whole.clipping_ratio, whole.peak_dbfs)
    assert parts.bandwidth_hz == pytest.approx(whole.bandwidth_hz, abs=50)
    loudness = [loudness_lufs(sound_TC, 44_100, STEREO, size) for size in (block_samples, 1 << 16)]
    assert loudness[0] == pytest.approx(loudness[1], abs=1e-6)


def test_clipping_counts_samples_in_runs_of_three_like_the_naive_count() -> None:
    rng = np.random.default_rng(3)
    full_CT = rng.random((2, 3000)) < 0.7
    sound_TC = np.where(full_CT, rng.choice([-1.0, 1.0], full_CT.shape), 0.5).T.astype(np.float32)
    naive = 0
    for channel in full_CT:
        runs = "".join("x" if full else " " for full in channel).split()
        naive += sum(len(run) for run in runs if len(run) >= 3)
    for block_samples in (1, 2, 3, 7, 5000):
        assert measured(sound_TC, 8_000, block_samples).clipping_ratio == naive / sound_TC.size


def test_peak_and_silence_of_known_sounds() -> None:
    half = measured(tone(2.0, 1000.0, 48_000, 0.5), 48_000)
    assert half.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert (half.silence_ratio, half.longest_silence_s, half.clipping_ratio) == (0.0, 0.0, 0.0)
    nothing = measured(np.zeros((48_000, 2), np.float32), 48_000)
    assert (nothing.peak_dbfs, nothing.silence_ratio, nothing.longest_silence_s) == (QUIETEST_DBFS, 1.0, 1.0)
    assert nothing.bandwidth_hz == 0.0
    pauses = np.concatenate([noise(1.0), np.zeros((22_050, 2), np.float32), noise(1.0), np.zeros((44_100, 2), "f4")])
    known = measured(pauses.astype(np.float32), 44_100)
    assert known.silence_ratio == pytest.approx(1.5 / 3.5, abs=0.03)
    assert known.longest_silence_s == pytest.approx(1.0, abs=0.11)


def test_full_scale_is_the_last_steps_of_16_bits() -> None:
    assert 32764 / 32768 < FULL_SCALE < 32765 / 32768


@pytest.mark.parametrize("cutoff_hz", [3_000, 8_000, 16_000])
@pytest.mark.parametrize("bits", [16, 24])
def test_bandwidth_is_where_the_sound_ends(cutoff_hz: int, bits: int) -> None:
    brick = firwin(1023, cutoff_hz, fs=44_100, window=("kaiser", 12.0))
    sound = lfilter(brick, 1.0, noise(8.0, 44_100, 1, level=0.2)[:, 0])
    rounded = np.round(sound * 2 ** (bits - 1)) / 2 ** (bits - 1)
    assert measured(rounded[:, None].astype(np.float32), 44_100).bandwidth_hz == pytest.approx(cutoff_hz, abs=400)


def test_bandwidth_of_music_like_sound_reaches_beyond_its_quiet_top() -> None:
    pink = sosfilt(butter(1, 200.0, fs=44_100, output="sos"), noise(8.0, 44_100, 1, level=0.5)[:, 0])
    assert measured(pink[:, None].astype(np.float32), 44_100).bandwidth_hz > 15_000
    assert measured(noise(4.0, 44_100), 44_100).bandwidth_hz > 21_000
    assert measured(tone(4.0, 440.0, 44_100, 0.5), 44_100).bandwidth_hz < 1_000


@pytest.mark.parametrize("num_samples", [1, 100, 5000])
def test_a_moment_can_be_measured(num_samples: int) -> None:
    moment = measured(noise(1.0)[:num_samples], 44_100)
    assert np.isfinite([moment.peak_dbfs, moment.silence_ratio, moment.bandwidth_hz]).all()
