from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
import torch

from collap_model.encoders.encoder import SAMPLE_RATE_HZ
from collap_model.frontends.kaldi import beats_fbank
from collap_model.frontends.samples import LOUDEST, check_samples, read_audio
from collap_model.frontends.whisper_mel import log_mel
from tests.tasks.audio.sounds import accepted, as_file, noise, tone

CONTAINERS = ("wav", "flac", "mp3", "m4a", "webm", "ogg", "opus", "aiff")


def test_good_samples_come_back_as_contiguous_float32() -> None:
    wave = np.sin(np.arange(2 * SAMPLE_RATE_HZ))
    for given in (wave, wave.astype(np.float32), torch.from_numpy(wave), torch.from_numpy(wave).requires_grad_()):
        samples_T = check_samples(given)
        assert samples_T.dtype == np.float32
        np.testing.assert_allclose(samples_T, wave, atol=1e-7)
    np.testing.assert_allclose(check_samples(torch.from_numpy(wave).bfloat16()), wave, atol=4e-3)
    assert check_samples(wave[::2]).flags.c_contiguous


def test_little_and_silent_sound_is_sound() -> None:
    for samples in (np.zeros(SAMPLE_RATE_HZ, np.float32), np.full(3_200, 0.1, np.float32), np.zeros(1, np.float32)):
        batch_NT = torch.from_numpy(check_samples(samples))[None]
        assert beats_fbank(batch_NT).isfinite().all()
        assert log_mel(batch_NT).isfinite().all()


BAD: list[tuple[Any, str]] = [
    (np.zeros((2, 800), np.float32), r"expected mono samples \[T\], got shape \[2, 800\]; pass the mean"),
    (torch.zeros(1, 800), r"expected mono samples \[T\], got shape \[1, 800\]"),
    (np.float32(0.5), r"got shape \[\]"),
    (np.zeros(0, np.float32), "at least one sample"),
    (np.zeros(800, np.int16), "got int16; divide 16-bit samples by 32768"),
    (torch.zeros(800, dtype=torch.int32), "got int32"),
    (np.array([0.0, np.nan, -np.inf], np.float32), "2 of 3 samples are NaN or infinite"),
    (np.array([0.0, 12_000.0, 3.0], np.float32), r"the loudest sample is 12000 \(at most 1.5\); divide"),
    (np.array([0.0, -1.51], np.float32), "the loudest sample is 1.51"),
]


@pytest.mark.parametrize(("samples", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_samples_are_refused_with_a_way_out(samples: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_samples(samples)


def test_overshoot_of_decoders_passes() -> None:
    assert check_samples(np.array([LOUDEST, -LOUDEST], np.float32)).tolist() == [LOUDEST, -LOUDEST]


def test_another_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="expected samples at 16000 Hz, got 44100 Hz; resample"):
        check_samples(np.zeros(800, np.float32), sample_rate_hz=44_100)


@pytest.mark.parametrize("container", CONTAINERS)
def test_reads_what_the_audio_stage_keeps(container: str, tmp_path: Path) -> None:
    rate_hz = 48_000 if container in ("webm", "opus") else 44_100
    outcome = accepted(as_file(noise(3.0, rate_hz) + tone(3.0, 440, rate_hz, 0.3), rate_hz, container), tmp_path)
    assert outcome.record is not None
    [source] = (tmp_path / "media").iterdir()
    samples_T = read_audio(source)
    kept_T, _ = soundfile.read(tmp_path / outcome.record.file, dtype="float32")
    assert len(samples_T) == pytest.approx(3 * SAMPLE_RATE_HZ, abs=0.1 * SAMPLE_RATE_HZ)
    np.testing.assert_array_equal(samples_T, kept_T)
    np.testing.assert_array_equal(read_audio(str(tmp_path / outcome.record.file)), kept_T)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channels_become_their_mean_at_16_khz(rate_hz: int, channels: int, tmp_path: Path) -> None:
    sound_TC = noise(2.0, rate_hz, channels)
    soundfile.write(tmp_path / "a.wav", sound_TC, rate_hz, subtype="FLOAT")
    expected_T = soxr.resample(sound_TC.mean(axis=1), rate_hz, SAMPLE_RATE_HZ)
    samples_T = read_audio(tmp_path / "a.wav")
    assert samples_T.dtype == np.float32
    assert samples_T.flags.c_contiguous
    np.testing.assert_allclose(samples_T, expected_T, atol=1 / 32768)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_full_scale_is_one_in_every_sample_format(subtype: str, tmp_path: Path) -> None:
    sound_T = tone(1.0, 440, SAMPLE_RATE_HZ, 0.5, channels=1)[:, 0]
    soundfile.write(tmp_path / "a.wav", sound_T, SAMPLE_RATE_HZ, subtype=subtype)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), sound_T, atol=1 / 100 if subtype == "PCM_U8" else 1e-4)


def test_fifth_of_a_second_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.2), 44_100)
    assert read_audio(tmp_path / "a.wav").shape == (3_200,)


def test_overshoot_in_a_file_is_limited(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([2.0, -2.0, 0.25] * 100), SAMPLE_RATE_HZ, subtype="FLOAT")
    samples_T = read_audio(tmp_path / "a.wav")
    assert samples_T[:3].tolist() == [32767 / 32768, -1.0, 0.25]
    check_samples(samples_T)


def test_missing_files_are_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.wav"):
        read_audio(tmp_path / "none.wav")


@pytest.mark.parametrize("content", [b"", b"no sound at all " * 100, b"#EXTM3U\n#EXTINF:1,\nother.ts\n"])
def test_other_files_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mp3 is not sound that can be read to its end"):
        read_audio(tmp_path / "a.mp3")


def test_nan_in_a_file_is_refused(tmp_path: Path) -> None:
    sound = noise(1.0, SAMPLE_RATE_HZ)
    sound[100, 1] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE_HZ, subtype="FLOAT")
    with pytest.raises(ValueError, match=r"a\.wav .* samples that are NaN or infinite"):
        read_audio(tmp_path / "a.wav")


def test_less_than_a_sample_is_no_sound(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0, np.float32), 48_000)
    with pytest.raises(ValueError, match=r"a\.wav is not sound"):
        read_audio(tmp_path / "a.wav")


def test_a_scratch_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(as_file(noise(5.0), 44_100, "m4a"))
    content[40_000:40_600] = b"\xff" * 600
    (tmp_path / "scratched.m4a").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        samples_T = read_audio(tmp_path / "scratched.m4a")
    assert 4.5 < len(samples_T) / SAMPLE_RATE_HZ < 5.0
    assert "scratched.m4a" in caplog.text
    assert "packets are broken and were left out" in caplog.text


def test_damage_is_refused(tmp_path: Path) -> None:
    content = bytearray(as_file(noise(5.0), 44_100, "flac"))
    for position in np.random.default_rng(0).integers(len(content) // 5, len(content), 60):
        content[position] ^= 0xFF
    (tmp_path / "damaged.flac").write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.flac .* packets are broken"):
        read_audio(tmp_path / "damaged.flac")
