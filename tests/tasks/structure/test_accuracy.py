"""Accuracy on rendered songs that no constant was chosen by; ``benchmarks/structure.py`` prints the whole table."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.structure import Result, mean_scores, results

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


@pytest.mark.slow
@pytest.mark.parametrize("seed", [_HELD_OUT_SEED, 8])
def test_many_songs_reach_the_release_figures(seed: int) -> None:
    found = list(results(seed, 30))
    _assert_good(found, slack=0.0)
    sure = [result.scores.key for result in found if result.structure.key_confidence >= 0.5]
    assert np.mean(sure) >= 0.9
