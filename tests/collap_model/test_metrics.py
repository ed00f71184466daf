from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from collap_model.chance import chance_level
from collap_model.metrics import Measure, RankMetrics, retrieval_metrics

NAMES = [item.name for item in fields(RankMetrics) if item.name not in {"num_queries", "gallery_size", "tie_rate"}]


def brute_force(scores: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """The definitions, item by item."""
    best, precisions = [], []
    for row, wanted in zip(scores.tolist(), positive.tolist(), strict=True):
        places = []
        for nth, index in enumerate(sorted((i for i in range(len(row)) if wanted[i]), key=lambda i: -row[i]), 1):
            greater = sum(row[j] > row[index] for j in range(len(row)) if not wanted[j])
            equal = sum(row[j] == row[index] for j in range(len(row)) if not wanted[j])
            places.append(nth + greater + equal / 2)
        best.append(places[0])
        found = [nth / place for nth, place in enumerate(places, 1) if place <= 10]
        precisions.append(sum(found) / min(len(places), 10))
    return {
        **{f"recall_at_{k}": sum(place <= k for place in best) / len(best) for k in (1, 5, 10)},
        "median_rank": float(np.median(best)),
        "mean_rank": sum(best) / len(best),
        "mrr": sum(1 / place for place in best) / len(best),
        "map_at_10": sum(precisions) / len(precisions),
    }


def assert_equals_brute_force(found: RankMetrics, scores: np.ndarray, positive: np.ndarray) -> None:
    expected = brute_force(scores, positive)
    assert expected.keys() == set(NAMES)
    for name, value in expected.items():
        measure: Measure = getattr(found, name)
        assert measure.value == pytest.approx(value), name
        assert measure.low <= measure.value <= measure.high, name


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("captions_per_track", [1, 3])
def test_equals_brute_force_with_ties_and_several_captions(levels: int, captions_per_track: int) -> None:
    rng = np.random.default_rng(levels)
    num_tracks = 23
    relevant = [[index % num_tracks] for index in range(captions_per_track * num_tracks)]
    relevant[0] = [0, 4, 5]  # a text that describes three tracks
    scores = rng.integers(levels, size=(len(relevant), num_tracks)).astype(float)
    positive = np.zeros(scores.shape, bool)
    for text, tracks in enumerate(relevant):
        positive[text, tracks] = True
        scores[text, tracks] += rng.integers(2)
    metrics = retrieval_metrics(scores, relevant)
    assert_equals_brute_force(metrics.text_to_track, scores, positive)
    assert_equals_brute_force(metrics.track_to_text, scores.T, positive.T)


def test_perfect_scores() -> None:
    metrics = retrieval_metrics(np.eye(12), [[i] for i in range(12)])
    for direction in (metrics.text_to_track, metrics.track_to_text):
        assert direction.recall_at_1 == Measure(value=1, low=1, high=1, chance=pytest.approx(1 / 12))
        assert direction.median_rank.value == direction.mrr.value == direction.map_at_10.value == 1
        assert direction.tie_rate == 0


def test_equal_scores_are_worth_the_middle_and_not_the_top() -> None:
    metrics = retrieval_metrics(np.zeros((70, 70)), [[i] for i in range(70)]).text_to_track
    assert metrics.median_rank.value == metrics.median_rank.chance == 35.5
    assert metrics.mean_rank.value == pytest.approx(metrics.mean_rank.chance)
    assert metrics.recall_at_10.value == 0
    assert metrics.tie_rate == 1


@pytest.mark.parametrize(("gallery", "positives"), [(1, [1]), (7, [1, 2]), (40, [1, 3, 1, 5]), (70, [1])])
def test_chance_is_what_random_orders_give(gallery: int, positives: list[int]) -> None:
    rng = np.random.default_rng(0)
    chance = chance_level(np.array(positives), gallery)
    trials = 4000
    scores = rng.random((trials * len(positives), gallery))
    positive = np.zeros(scores.shape, bool)
    for row in range(len(scores)):
        positive[row, rng.choice(gallery, positives[row % len(positives)], replace=False)] = True
    sample = brute_force(scores[:4000], positive[:4000])
    for name in NAMES:
        expected = getattr(chance, name)
        slack = 1.0 if name == "median_rank" else 0.03 * max(1.0, expected)
        assert sample[name] == pytest.approx(expected, abs=slack), name


def test_chance_in_closed_form() -> None:
    chance = chance_level(np.ones(9, int), 70)
    assert chance.recall_at_10 == pytest.approx(10 / 70)
    assert chance.mean_rank == pytest.approx(35.5)
    assert chance.median_rank == 35.5
    assert chance.mrr == pytest.approx(sum(1 / r for r in range(1, 71)) / 70)
    assert chance.map_at_10 == pytest.approx(sum(1 / r for r in range(1, 11)) / 70)


def test_interval_narrows_with_queries_and_repeats_with_the_seed() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for num in (20, 200):
        scores = rng.random((num, num)) + 0.5 * np.eye(num)
        relevant = [[i] for i in range(num)]
        first, second = (retrieval_metrics(scores, relevant, seed=3) for _ in range(2))
        assert first == second
        widths.append(first.text_to_track.mrr.high - first.text_to_track.mrr.low)
    assert widths[1] < widths[0]


@pytest.mark.parametrize(
    ("scores", "relevant", "message"),
    [
        (np.eye(2), [[0]], "do not fit"),
        (np.full((2, 2), np.nan), [[0], [1]], "NaN"),
        (np.eye(2), [[0], [0]], "every track a text"),
        (np.eye(2), [[0, 1], []], "every text needs"),
    ],
)
def test_refuses_what_cannot_be_measured(scores: np.ndarray, relevant: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(scores, relevant)
