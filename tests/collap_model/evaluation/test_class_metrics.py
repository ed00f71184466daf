from __future__ import annotations

import itertools

import numpy as np
import pytest

from collap_model.evaluation.class_metrics import class_figures, class_metrics, class_metrics_of_chance


def naive_roc_auc(scores: list[float], has: list[bool]) -> float:
    """Every pair of one that has the class and one that lacks it; a draw is half a win."""
    pairs = [
        (a, b)
        for a, in_a in zip(scores, has, strict=True)
        if in_a
        for b, in_b in zip(scores, has, strict=True)
        if not in_b
    ]
    return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)


def naive_average_precision(scores: list[float], has: list[bool]) -> float:
    total, found_before = 0.0, 0
    for threshold in sorted(set(scores), reverse=True):
        taken = [label for score, label in zip(scores, has, strict=True) if score >= threshold]
        total += (sum(taken) - found_before) * sum(taken) / len(taken)
        found_before = sum(taken)
    return total / found_before


def naive_accuracy(scores: np.ndarray, has: np.ndarray) -> float:
    """The mean over every order in which equal scores could stand."""
    shares = []
    for row, label in zip(scores, has.argmax(1), strict=True):
        orders = list(itertools.permutations(range(len(row))))
        first = [max(order, key=lambda c: (row[c], -order.index(c))) for order in orders]
        shares.append(np.mean([choice == label for choice in first]))
    return float(np.mean(shares))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [2, 4, 1000])
def test_metrics_equal_their_definitions(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (30, 4)) / levels
    has = np.eye(4, dtype=bool)[rng.integers(0, 4, 30)]
    found = class_metrics(scores, has, single_label=True)
    columns = [(scores[:, c].tolist(), has[:, c].tolist()) for c in range(4)]
    assert found.roc_auc == pytest.approx(np.mean([naive_roc_auc(*pair) for pair in columns]), abs=1e-12)
    assert found.map == pytest.approx(np.mean([naive_average_precision(*pair) for pair in columns]), abs=1e-12)
    assert found.accuracy == pytest.approx(naive_accuracy(scores, has), abs=1e-12)


def test_equal_scores_are_chance() -> None:
    has = np.eye(4, dtype=bool)[[0, 0, 0, 1, 2, 3]]
    chance = class_metrics_of_chance(has, single_label=True)
    assert (chance.accuracy, chance.roc_auc) == (0.25, 0.5)
    assert chance.map == pytest.approx((3 / 6 + 3 * 1 / 6) / 4)


def test_classes_that_divide_nothing_are_left_out() -> None:
    has = np.array([[True, True, False], [False, True, False]])
    found = class_metrics([[2.0, 0, 0], [1.0, 5, 9]], has, single_label=False)
    assert (found.accuracy, found.roc_auc, found.map) == (None, 1.0, 1.0)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Scores that are right for four tracks in five, measured forty times on 60 tracks."""
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        classes = rng.integers(0, 3, 60)
        said = np.where(rng.random(60) < 0.8, classes, (classes + 1) % 3)
        found = class_figures(np.eye(3)[said], np.eye(3, dtype=bool)[classes], single_label=True).accuracy
        assert found is not None and found.value == (said == classes).mean()
        held += found.low <= 0.8 <= found.high
    assert 34 <= held <= 40


def test_intervals_of_few_tracks() -> None:
    found = class_figures([[1.0, 0.0], [0.0, 1.0]], np.eye(2, dtype=bool), single_label=False)
    assert found.accuracy is None and found.roc_auc.low == found.roc_auc.high == 1.0


def test_bad_input() -> None:
    has = np.eye(2, dtype=bool)
    with pytest.raises(ValueError, match="do not fit"):
        class_metrics(np.zeros((3, 2)), has, single_label=True)
    with pytest.raises(ValueError, match="NaN"):
        class_metrics([[np.nan, 0], [0, 0]], has, single_label=True)
    with pytest.raises(ValueError, match="no label or several"):
        class_metrics(np.zeros((2, 2)), np.ones((2, 2), bool), single_label=True)
    with pytest.raises(ValueError, match="no class divides"):
        class_metrics(np.zeros((2, 2)), np.ones((2, 2), bool), single_label=False)
