from __future__ import annotations

import time

import numpy as np
import pytest

from collap_model.encoders.encoder import SAMPLE_RATE_HZ, AudioEncoder, num_seconds
from collap_model.encoders.spectral import DIM, TEMPI_BPM, SpectralEncoder

MEL, CHROMA, BASS = slice(0, 40), slice(80, 92), slice(92, 104)
TEMPOGRAM = slice(DIM - len(TEMPI_BPM), DIM)


def spectral(samples: np.ndarray) -> np.ndarray:
    return SpectralEncoder().encode([samples])[0].vectors_SE


def sine(hz: float, seconds: float) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ).astype(np.float32)


def clicks(bpm: float, seconds: int = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    samples = np.zeros(seconds * SAMPLE_RATE_HZ + 800, np.float32)
    for start in np.arange(0, seconds, 60 / bpm) * SAMPLE_RATE_HZ:
        samples[int(start) : int(start) + 800] += rng.standard_normal(800) * np.exp(-np.arange(800) / 100)
    return 0.2 * samples


@pytest.mark.parametrize(
    ("seconds", "rows"), [(0.0001, 1), (0.4, 1), (1.0, 1), (1.49, 1), (1.5, 2), (10.0, 10), (10.6, 11)]
)
def test_one_row_per_second_rounded(seconds: float, rows: int) -> None:
    samples = np.zeros(max(1, int(seconds * SAMPLE_RATE_HZ)), np.float32)
    features = spectral(samples)
    assert features.shape == (rows, DIM)
    assert features.dtype == np.float32
    assert num_seconds(samples.size) == rows


def test_silence_is_finite_and_without_harmony_or_tempo() -> None:
    features = spectral(np.zeros(3 * SAMPLE_RATE_HZ, np.float32))
    assert np.isfinite(features).all()
    assert np.allclose(features[:, MEL], -80.0, atol=1e-3)
    assert np.abs(features[:, 40:]).max() < 1e-6


def test_every_value_fits_float16_at_full_scale() -> None:
    noise = np.sign(np.random.default_rng(0).standard_normal(4 * SAMPLE_RATE_HZ)).astype(np.float32)
    assert np.isfinite(spectral(noise).astype(np.float16)).all()


@pytest.mark.parametrize(("hz", "pitch_class"), [(440.0, 9), (261.63, 0), (1108.73, 1)])
def test_chroma_names_the_pitch(hz: float, pitch_class: int) -> None:
    chroma = spectral(sine(hz, 4))[:, CHROMA]
    assert (chroma.argmax(1) == pitch_class).all()
    assert chroma[:, pitch_class].min() > 0.8


def test_bass_chroma_hears_the_low_note_only() -> None:
    features = spectral(sine(110.0, 4) + 0.5 * sine(1318.5, 4))
    assert features[1, BASS].argmax() == 9
    assert features[1, CHROMA].argmax() == 4


def test_level_moves_log_mel_only() -> None:
    loud, soft = spectral(sine(440.0, 3)), spectral(0.1 * sine(440.0, 3))
    band = loud[1, MEL].argmax()
    assert loud[1, band] - soft[1, band] == pytest.approx(20.0, abs=0.1)
    assert np.allclose(loud[:, CHROMA], soft[:, CHROMA], atol=1e-3)


@pytest.mark.parametrize("bpm", [60.0, 93.0, 128.0, 171.0])
def test_tempogram_peaks_at_the_tempo_or_its_double(bpm: float) -> None:
    tempogram = spectral(clicks(bpm))[5:15, TEMPOGRAM].mean(0)
    found = TEMPI_BPM[tempogram.argmax()]
    assert min(abs(np.log2(found / (bpm * factor))) for factor in (0.5, 1, 2)) < np.log2(1.05)
    near = np.abs(np.log(TEMPI_BPM / bpm)) < np.log(1.05)
    assert tempogram[near].max() > 0.6 * tempogram.max()


def test_deterministic_and_independent_of_what_follows() -> None:
    samples = clicks(100.0)
    assert np.array_equal(spectral(samples), spectral(samples.copy()))
    assert np.allclose(spectral(samples)[:3, MEL], spectral(samples[: 12 * SAMPLE_RATE_HZ])[:3, MEL], atol=1e-4)


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (np.zeros(0), "at least one sample"),
        (np.zeros((2, 16000)), "mono samples"),
        (np.full(16000, np.nan), "NaN or infinite"),
        (np.full(16000, 8000.0), "full scale"),
    ],
)
def test_refuses_what_is_no_mono_signal(bad: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        spectral(bad.astype(np.float32))


def test_a_second_weighs_its_frames_and_the_company_changes_nothing() -> None:
    encoder: AudioEncoder = SpectralEncoder()
    tracks = [clicks(100.0)[: int(length * SAMPLE_RATE_HZ)] for length in (2.6, 0.2, 7.3)]
    together = encoder.encode(tracks)
    assert [seconds.frames_S.tolist() for seconds in together[:2]] == [[100, 100, 61], [21]]
    for seconds, track in zip(together, tracks, strict=True):
        assert np.array_equal(seconds.vectors_SE, spectral(track))


def test_fast_enough() -> None:
    minute = np.random.default_rng(0).standard_normal(60 * SAMPLE_RATE_HZ).astype(np.float32) * 0.1
    spectral(minute)
    started = time.process_time()
    spectral(minute)
    # Target 0.1 s; the bound leaves room for a busy machine.
    assert time.process_time() - started < 0.5
