"""Accuracy on rendered songs that no constant was chosen by; ``benchmarks/structure.py`` prints the whole table."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.structure import Result, mean_scores, results
from benchmarks.structure_real import mix

_HELD_OUT_SEED = 7
_MOST_CPU_S_PER_MIN = 0.35


def _assert_good(found: list[Result], slack: float) -> None:
    means = mean_scores(found)
    assert means["hit_3s"] >= 0.75 - slack
    assert means["hit_half_s"] >= 0.55 - slack
    assert means["key"] >= 0.75 - slack
    assert means["tempo_octave"] >= 0.95 - slack


def test_a_few_songs_are_read_well() -> None:
    found = list(results(_HELD_OUT_SEED, 6))
    _assert_good(found, slack=0.05)
    assert np.median([result.cpu_s_per_min for result in found]) < _MOST_CPU_S_PER_MIN


def test_a_mix_is_its_excerpts_and_its_borders_are_where_they_meet() -> None:
    # Samples that count upwards say where they come from.
    tracks = {name: np.arange(k * 10**8, k * 10**8 + 250 * 16_000, dtype=np.float32) for k, name in enumerate("pqrstu")}
    for index in range(6):
        made = mix(tracks, _HELD_OUT_SEED, index)
        assert len(made.borders_s) == len(made.letters) + 1
        assert made.borders_s[-1] == pytest.approx(len(made.samples) / 16_000)
        heard: dict[str, float] = {}
        for letter, start_s, end_s in zip(made.letters, made.borders_s, made.borders_s[1:], strict=False):
            assert 15 <= end_s - start_s <= 38
            place = round((start_s + 1) * 16_000) if start_s else 24_000
            source = heard.setdefault(letter, made.samples[place])
            assert made.samples[place] == pytest.approx(source, abs=64)  # float32 counts in steps of 64 up there


@pytest.mark.slow
@pytest.mark.parametrize("seed", [_HELD_OUT_SEED, 8])
def test_many_songs_reach_the_release_figures(seed: int) -> None:
    found = list(results(seed, 30))
    _assert_good(found, slack=0.0)
    sure = [result.scores.key for result in found if result.structure.key_confidence >= 0.5]
    assert np.mean(sure) >= 0.9
