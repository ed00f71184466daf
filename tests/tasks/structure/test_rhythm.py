"""Onsets, tempo, beats and bars."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest

from tasks.structure import bars, beats, onsets, spectrum, tempo
from tests.tasks.structure import blocks, naive


def _onsets(samples: blocks.Samples) -> onsets.Onsets:
    return onsets.detect(spectrum.measure(spectrum.levelled(samples)).log_mel_FM)


def test_rises_match_the_loop() -> None:
    log_mel = np.random.default_rng(1).random((20, 7)).astype(np.float32)
    np.testing.assert_allclose(onsets.rises(log_mel), naive.rises(log_mel, onsets.LAG_FRAMES), atol=1e-6)


def test_onset_curves_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    log_mel = np.random.default_rng(2).random((500, 48)).astype(np.float32)
    whole = onsets.detect(log_mel)
    monkeypatch.setattr(onsets, "_BLOCK_FRAMES", 64)
    np.testing.assert_array_equal(onsets.detect(log_mel).strength_F, whole.strength_F)


def test_a_gliding_tone_has_weaker_onsets_than_struck_notes() -> None:
    t = np.arange(8 * blocks.RATE_HZ) / blocks.RATE_HZ
    vibrato = np.sin(2 * np.pi * 600 * t + 20 * np.sin(2 * np.pi * 5 * t)).astype(np.float32)
    log_mel = spectrum.measure(spectrum.levelled(vibrato)).log_mel_FM[50:-50]
    plain = np.maximum(log_mel[onsets.LAG_FRAMES :] - log_mel[: -onsets.LAG_FRAMES], 0)
    assert onsets.rises(log_mel).mean() < 0.5 * plain.mean()


def test_onsets_of_clicks_are_found_one_for_one() -> None:
    samples, times = blocks.clicks(100, 20)
    found = onsets.onset_frames(_onsets(samples)) / spectrum.FRAME_RATE_HZ
    assert len(found) == len(times)
    np.testing.assert_allclose(found, times, atol=0.03)


def test_the_grain_of_a_held_sound_is_no_onset() -> None:
    t = np.arange(30 * blocks.RATE_HZ) / blocks.RATE_HZ
    tones = sum(np.sin(2 * np.pi * hz * t) * (1 + 0.3 * np.sin(2 * np.pi * t / 7)) for hz in (147, 220, 294, 440))
    grain = np.random.default_rng(4).standard_normal(len(t))
    held = (0.05 * tones + 0.003 * grain).astype(np.float32)
    assert len(onsets.onset_frames(_onsets(held))) / 30 < 0.1
    struck, times = blocks.clicks(100, 30)
    found = onsets.onset_frames(_onsets(held + 0.2 * struck)) / spectrum.FRAME_RATE_HZ
    assert mir_eval.onset.f_measure(times, found)[0] > 0.95


@pytest.mark.parametrize("bpm", [60, 71.3, 84, 97, 110, 120, 133.7, 150, 165, 180])
def test_tempo_and_beats_of_clicks(bpm: float) -> None:
    samples, times = blocks.clicks(bpm, 30)
    curve = _onsets(samples)
    pulse = tempo.estimate(curve.strength_F)
    found = beats.track_beats(curve.strength_F, pulse.local_period_F, onsets.onset_frames(curve))
    assert beats.refined_tempo(found, pulse.period_frames) == pytest.approx(bpm, rel=0.005)
    assert pulse.confidence > 0.8
    assert mir_eval.beat.f_measure(times, found) > 0.95


def test_beats_follow_a_tempo_that_drifts() -> None:
    times = np.cumsum(60 / np.linspace(100, 118, 70))
    samples = np.zeros(round((times[-1] + 1) * blocks.RATE_HZ), dtype=np.float32)
    for time in times:
        at = round(time * blocks.RATE_HZ)
        samples[at : at + 400] += np.hanning(400).astype(np.float32) * np.sin(np.arange(400)).astype(np.float32)
    curve = _onsets(samples)
    pulse = tempo.estimate(curve.strength_F)
    found = beats.track_beats(curve.strength_F, pulse.local_period_F, onsets.onset_frames(curve))
    assert mir_eval.beat.f_measure(times, found) > 0.9


def test_noise_has_no_tempo_to_speak_of() -> None:
    samples = np.random.default_rng(3).standard_normal(30 * blocks.RATE_HZ).astype(np.float32)
    assert tempo.estimate(_onsets(samples).strength_F).confidence < 0.1


@pytest.mark.parametrize("seed", range(12))
def test_best_chain_is_as_good_as_the_best_of_all_subsets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    local, period = rng.random(13) * 3, float(rng.uniform(3, 6))
    chain = beats.best_chain(local, np.full(13, period), tightness=5.0)
    found = naive.chain_score(local, chain, period, 5.0)
    assert found == pytest.approx(naive.best_chain_score(local, period, 5.0))


@pytest.mark.parametrize("seed", range(8))
def test_best_path_is_as_good_as_the_best_of_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gain, step = rng.random((6, 3)), rng.random((3, 3))
    found = naive.path_score(gain, step, tempo.best_path(gain, step))
    assert found == pytest.approx(naive.best_path_score(gain, step))


@pytest.mark.parametrize(("per_bar", "phase"), [(4, 0), (4, 3), (3, 0), (3, 2)])
def test_bars_are_read_from_changes_of_harmony(per_bar: int, phase: int) -> None:
    rng = np.random.default_rng(per_bar)
    change = rng.normal(0, 0.3, 240)
    is_downbeat = np.arange(240) % (2 * per_bar) == 2 * phase
    change[is_downbeat] += 2
    meter = bars.group_half_beats(change - change.mean(), rng.random(240))
    assert meter.beats_per_bar == per_bar
    np.testing.assert_array_equal(meter.downbeat_H, is_downbeat)


def test_a_loud_off_beat_does_not_become_the_beat() -> None:
    change = np.tile([2.0, 0, 0, 0, 0, 0, 0, 0], 30)
    onset = np.tile([0.5, 1.0], 120)
    meter = bars.group_half_beats(change - change.mean(), onset)
    np.testing.assert_array_equal(meter.beat_H, np.arange(240) % 2 == 0)


def test_half_beats_fill_a_skipped_half_beat() -> None:
    np.testing.assert_allclose(
        bars.half_beats(np.array([0.0, 1.0, 2.0, 3.5, 4.5])), [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5]
    )


def test_a_partial_first_bar_joins_the_first_full_one() -> None:
    edges = bars.bar_edges(np.arange(0.5, 20, 2.0), 20.0)
    assert edges[:3].tolist() == [0.0, 2.5, 4.5]
    assert edges[-2:].tolist() == [18.5, 20.0]


@pytest.mark.parametrize("duration_s", [3.0, 7.7, 61.0])
@pytest.mark.parametrize("downbeats_s", [[], [1.0], [0.0, 2.0], [0.4, 2.4, 4.4], [2.5, 2.9, 3.0]])
def test_bar_edges_cover_the_track_and_rise(downbeats_s: list[float], duration_s: float) -> None:
    edges = bars.bar_edges(np.array([d for d in downbeats_s if d < duration_s]), duration_s)
    assert edges[0] == 0.0
    assert edges[-1] == duration_s
    assert np.all(np.diff(edges) > 0)


@pytest.mark.parametrize(("weak", "bpm"), [(0.5, 72.0), (1.0, 144.0)])
def test_fast_beats_with_nothing_between_are_halves_of_slow_ones_where_every_other_is_alike(
    weak: float, bpm: float
) -> None:
    curve = np.zeros(6000, dtype=np.float32)
    frames = np.round(np.arange(20, 5900, 6000 / 144)).astype(int)
    curve[frames[::2]], curve[frames[1::2]] = 1.0, weak
    assert 6000 / tempo.estimate(curve).period_frames == pytest.approx(bpm, rel=0.02)


def test_fast_beats_with_notes_between_stay_fast() -> None:
    curve = np.zeros(6000, dtype=np.float32)
    frames = np.round(np.arange(20, 5900, 6000 / 288)).astype(int)
    for offset, strength in enumerate((1.0, 0.3, 0.9, 0.3)):
        curve[frames[offset::4]] = strength
    assert 6000 / tempo.estimate(curve).period_frames == pytest.approx(144.0, rel=0.02)
