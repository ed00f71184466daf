from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys

import numpy as np
import pytest
from scipy import signal

from tasks.demo.drums import KITS, SOUNDS, stroke
from tasks.demo.instruments import TIMBRES, tone
from tasks.demo.score import Song, SongSection
from tasks.demo.song import compose
from tasks.demo.synth import DEFAULT_RATE_HZ, PEAK, render

_INDICES = range(8)


@pytest.fixture(scope="module")
def rendered() -> list[tuple[Song, np.ndarray]]:
    songs = [compose(7, index) for index in _INDICES]
    return [(song, render(song)) for song in songs]


def test_equal_songs_sound_equal_in_any_process() -> None:
    program = (
        "import hashlib; from tasks.demo.song import compose; from tasks.demo.synth import render; "
        "print(hashlib.sha256(render(compose(2, 1, 8, 10)).tobytes()).hexdigest())"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == hashlib.sha256(render(compose(2, 1, 8, 10)).tobytes()).hexdigest()


def test_sound_is_stereo_of_the_stated_length_and_never_clips(rendered: list[tuple[Song, np.ndarray]]) -> None:
    for song, sound_TC in rendered:
        assert sound_TC.dtype == np.float32
        assert sound_TC.shape == (round(song.duration_s * DEFAULT_RATE_HZ), 2)
        assert np.isfinite(sound_TC).all()
        assert np.abs(sound_TC).max() <= PEAK < 0.9
        assert not np.array_equal(sound_TC[:, 0], sound_TC[:, 1])


def test_spectrum_is_that_of_music(rendered: list[tuple[Song, np.ndarray]]) -> None:
    """The substitute for listening: level, no DC, low end, high end, and a scale that can be heard."""
    for song, sound_TC in rendered:
        mono_T = sound_TC.mean(axis=1)
        rms_dbfs = 20 * np.log10(np.sqrt(np.mean(sound_TC**2)))
        assert -30.0 < rms_dbfs < -8.0
        assert abs(rms_dbfs - song.mix.loudness_dbfs) < 3.0
        assert abs(mono_T.mean()) < 0.02 * mono_T.std()
        frequency_hz, power = signal.welch(mono_T, DEFAULT_RATE_HZ, nperseg=16384)
        centroid_hz = (frequency_hz * power).sum() / power.sum()
        assert 80.0 < centroid_hz < 4000.0
        assert power[frequency_hz > 2000].sum() > 1e-5 * power.sum()
        assert _share_in_scale(song, frequency_hz, power) > 0.85


def test_returning_sections_sound_more_alike_than_different_ones(rendered: list[tuple[Song, np.ndarray]]) -> None:
    same, different = [], []
    for song, sound_TC in rendered:
        pictures = [_picture(song, section, sound_TC.mean(axis=1)) for section in song.sections]
        average = np.mean(pictures, axis=0)
        for a, b in itertools.combinations(range(len(pictures)), 2):
            alike = np.corrcoef((pictures[a] - average).ravel(), (pictures[b] - average).ravel())[0, 1]
            (same if song.form[a] == song.form[b] else different).append(alike)
    assert np.mean(same) > 0.7
    assert np.mean(different) < 0.3


@pytest.mark.parametrize("instrument", TIMBRES)
def test_every_instrument_plays_in_tune(instrument: str) -> None:
    rate_hz, pitch = 32_000, 57  # A3, 220 Hz
    sound = tone(instrument, pitch, rate_hz, rate_hz)
    assert np.isfinite(sound).all()
    assert sound[-1] == 0.0
    assert 0.05 < np.sqrt(np.mean(sound[:16_000] ** 2)) < 2.0
    spectrum = np.abs(np.fft.rfft(sound[:rate_hz] * np.hanning(rate_hz)))
    near = slice(205, 236)
    assert abs(205 + int(spectrum[near].argmax()) - 220) <= 2


def test_every_stroke_is_audible_and_bounded() -> None:
    for kit, sound in itertools.product(KITS, SOUNDS):
        made = stroke(kit, sound, 32_000)
        assert 0.05 < np.abs(made).max() < 1.5
        assert len(made) <= 2 * 32_000


def test_other_rates_render() -> None:
    song = compose(0, 0, 6, 8)
    assert render(song, 44_100).shape == (round(song.duration_s * 44_100), 2)


def _share_in_scale(song: Song, frequency_hz: np.ndarray, power: np.ndarray) -> float:
    # Above 150 Hz: below, a bin is wider than a semitone and drums have no pitch.
    heard = (frequency_hz > 150) & (frequency_hz < 2000)
    classes = np.round(12 * np.log2(frequency_hz[heard] / 440)).astype(int) + 9
    steps = (0, 2, 4, 5, 7, 9, 11) if song.key.mode == "major" else (0, 2, 3, 5, 7, 8, 10, 11)
    inside = np.isin((classes - song.key.tonic) % 12, steps)
    return float(power[heard][inside].sum() / power[heard].sum())


def _picture(song: Song, section: SongSection, mono_T: np.ndarray) -> np.ndarray:
    """Log spectrum ``[bands, 16]`` of the first four bars, so that sections of any length compare."""
    start = round(section.start_s * DEFAULT_RATE_HZ)
    length = round(4 * song.beats_per_bar * 60 / song.tempo_bpm * DEFAULT_RATE_HZ)
    steps = np.array_split(mono_T[start : start + length], 16)
    edges_hz = np.geomspace(60, 12_000, 41)
    columns = []
    for step in steps:
        power = np.abs(np.fft.rfft(step)) ** 2
        frequency_hz = np.fft.rfftfreq(len(step), 1 / DEFAULT_RATE_HZ)
        band = np.digitize(frequency_hz, edges_hz)
        columns.append(np.log(np.bincount(band, power, minlength=42)[1:41] + 1e-6))
    return np.stack(columns, axis=1)
