from __future__ import annotations

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
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


def range_lu(sound_TC: Sound, rate_hz: int) -> float | None:
    meter = LoudnessMeter(rate_hz, STEREO)
    for begin in range(0, len(sound_TC), 1 << 16):
        meter.add(np.ascontiguousarray(sound_TC[begin : begin + (1 << 16)].T))
    return meter.range_lu()


def verses_and_choruses(rate_hz: int = 48_000) -> Sound:
    """A minute of noise whose level moves slowly between -45 and -8 dB, with a second of silence."""
    time_s = np.arange(60 * rate_hz) / rate_hz
    level_db = -26.5 + 18.5 * np.sin(2 * np.pi * time_s / 23.0) * np.cos(2 * np.pi * time_s / 61.0)
    sound_TC = noise(60.0, rate_hz, level=0.5) * 10 ** (level_db[:, None] / 20)
    sound_TC[30 * rate_hz : 31 * rate_hz] = 0.0
    return np.clip(sound_TC, -1, 1).astype(np.float32)


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


@pytest.mark.parametrize("rate_hz", [4_000, 44_100, 768_000])
def test_one_fourth_order_filter_is_as_exact_as_two_biquads(rate_hz: int) -> None:
    sound_TC = np.cumsum(noise(2.0, rate_hz, level=0.001), axis=0, dtype=np.float64).astype(np.float32)
    energy_T = (sosfilt(k_weighting(rate_hz), sound_TC, axis=0) ** 2).sum(axis=1)
    blocks = [energy_T[begin * rate_hz // 10 :][: rate_hz * 4 // 10].mean() for begin in range(17)]
    blocks = [power for power in blocks if power > 0.1 * np.mean(blocks)]
    expected = -0.691 + 10 * np.log10(np.mean(blocks))
    assert loudness_lufs(sound_TC, rate_hz, STEREO) == pytest.approx(expected, abs=0.001)


def test_quiet_parts_do_not_count() -> None:
    """EBU Tech 3341, case 3: -36 dBFS for 10 s, -23 dBFS for 60 s, -36 dBFS for 10 s."""
    parts = [tone(seconds, 1000.0, 48_000, 10 ** (level / 20)) for seconds, level in ((10, -36), (60, -23), (10, -36))]
    assert loudness_lufs(np.concatenate(parts), 48_000, STEREO) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize(
    ("levels_dbfs", "expected_lu"),
    [((-20, -30), 10.0), ((-20, -15), 5.0), ((-40, -20), 20.0), ((-50, -35, -20, -35, -50), 15.0)],
)
def test_the_range_of_steps_is_that_of_ebu_tech_3342(levels_dbfs: tuple[int, ...], expected_lu: float) -> None:
    """Its cases 1 to 4: stereo tones of 1 kHz, 20 s each, within 1 LU."""
    parts = [tone(20.0, 1000.0, 48_000, 10 ** (level / 20)) for level in levels_dbfs]
    assert range_lu(np.concatenate(parts), 48_000) == pytest.approx(expected_lu, abs=1.0)


def test_range_and_loudness_agree_with_ffmpeg(tmp_path: Path) -> None:
    # ffmpeg counts windows that begin before the file, filled with silence; with this lead both do
    sound_TC = np.concatenate([np.zeros((3 * 48_000, 2), np.float32), verses_and_choruses()])
    soundfile.write(tmp_path / "t.wav", sound_TC, 48_000, subtype="FLOAT")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-i", str(tmp_path / "t.wav")]
    command += ["-af", "ebur128", "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr.rpartition("Summary:")[2]
    loudness, loudness_range = (float(re.findall(rf"\b{name}: +(-?[\d.]+) LU", said)[0]) for name in ("I", "LRA"))
    assert loudness_range > 10
    assert range_lu(sound_TC, 48_000) == pytest.approx(loudness_range, abs=0.3)
    assert loudness_lufs(sound_TC, 48_000, STEREO) == pytest.approx(loudness, abs=0.1)


def test_the_range_is_the_naive_one() -> None:
    """Window by window over the filtered samples, as the standard's own listing does it."""
    rate_hz = 8_000
    sound_TC = verses_and_choruses(rate_hz)
    energy_T = (sosfilt(k_weighting(rate_hz), sound_TC, axis=0) ** 2).sum(axis=1)
    begins = range(0, len(energy_T) - 3 * rate_hz + 1, rate_hz // 10)
    levels = [-0.691 + 10 * np.log10(energy_T[begin : begin + 3 * rate_hz].mean()) for begin in begins]
    gated = [level for level in levels if level > -70]
    mean = 10 * np.log10(np.mean([10 ** (level / 10) for level in gated]))
    gated = sorted(level for level in gated if level > mean - 20)
    low, high = (gated[round((len(gated) - 1) * share)] for share in (0.10, 0.95))
    assert range_lu(sound_TC, rate_hz) == pytest.approx(high - low, abs=1e-6)


def test_silence_and_moments_have_no_range() -> None:
    assert range_lu(np.zeros((10 * 48_000, 2), np.float32), 48_000) is None
    assert range_lu(noise(2.9, 48_000), 48_000) is None
    assert range_lu(noise(3.1, 48_000), 48_000) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(
    ("right", "side_db"),
    [(1.0, -120.0), (-1.0, 120.0), (0.0, 0.0), (0.5, 20 * np.log10(0.25 / 0.75)), (1 - 2e-5, -100.0)],
)
def test_the_side_level_of_known_pictures(right: float, side_db: float) -> None:
    left_T = noise(3.0, 44_100, 1, level=0.2)[:, 0]
    sound_TC = np.stack([left_T, right * left_T], axis=1).astype(np.float32)
    assert measured(sound_TC, 44_100).side_db == pytest.approx(side_db, abs=0.5 if right > 0.9 else 0.01)


def test_the_side_level_is_the_naive_one_and_only_stereo_has_it() -> None:
    sound_TC = noise(5.0)
    left_T, right_T = sound_TC.astype(np.float64).T
    naive = 10 * np.log10(((left_T - right_T) ** 2).sum() / ((left_T + right_T) ** 2).sum())
    for block_samples in (997, 1 << 16):
        assert measured(sound_TC, 44_100, block_samples).side_db == pytest.approx(naive, abs=1e-3)
    assert measured(np.zeros((44_100, 2), np.float32), 44_100).side_db == -120.0
    assert measured(noise(1.0, channels=1), 44_100).side_db is None
    assert measured(noise(1.0, channels=3), 44_100).side_db is None


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
