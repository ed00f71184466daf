"""Metrics against definitions written out item by item, averaged over every order that ties leave open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import combinations, product
from math import log2

import numpy as np
import pytest
import torch
from torch import Tensor

from collap_model.metrics import Measure, RankMetrics, TiledScores, measure, retrieval_metrics
from collap_model.metrics.chance import chance_level

NAMES = [item.name for item in fields(RankMetrics) if item.type == "Measure"]
MEANS = [name for name in NAMES if name != "median_rank"]


def orders(scores: list[float], wanted: list[bool]) -> Iterator[list[bool]]:
    """Every way to rank by score, as relevance by place; all are equally likely."""
    choices = []
    for level in sorted(set(scores), reverse=True):
        tied = [want for score, want in zip(scores, wanted, strict=True) if score == level]
        choices.append(
            [[place in places for place in range(len(tied))] for places in combinations(range(len(tied)), sum(tied))]
        )
    for choice in product(*choices):
        yield [want for tied in choice for want in tied]


def figures_of(ranked: list[bool]) -> dict[str, float]:
    """The textbook's definitions, for an order without ties."""
    places = [place for place, want in enumerate(ranked, 1) if want]
    most = min(len(places), 10)
    return {
        **{f"recall_at_{k}": float(places[0] <= k) for k in (1, 5, 10)},
        "mean_rank": float(places[0]),
        "mrr": 1 / places[0],
        "map_at_10": sum(nth / place for nth, place in enumerate(places, 1) if place <= 10) / most,
        "ndcg_at_10": sum(1 / log2(1 + place) for place in places if place <= 10)
        / sum(1 / log2(1 + place) for place in range(1, most + 1)),
    }


def naive(scores: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """Means over queries of the mean over orders; the median is that of the expected ranks."""
    queries = []
    for row, wanted in zip(scores.tolist(), positive.tolist(), strict=True):
        found = [figures_of(ranked) for ranked in orders(row, wanted)]
        queries.append({name: sum(one[name] for one in found) / len(found) for name in MEANS})
    means = {name: sum(query[name] for query in queries) / len(queries) for name in MEANS}
    return means | {"median_rank": float(np.median([query["mean_rank"] for query in queries]))}


def naive_tie_rate(scores: np.ndarray, positive: np.ndarray) -> float:
    return float(np.mean([row[want].max() in row[~want] for row, want in zip(scores, positive, strict=True)]))


def tiled(scores: np.ndarray, texts_at_once: int, tracks_at_once: int, calls: list[tuple[int, int]]) -> TiledScores:
    scores_IJ = torch.from_numpy(scores)

    def tile(row: int, column: int) -> Tensor:
        calls.append((row, column))
        return scores_IJ.split(texts_at_once)[row].split(tracks_at_once, dim=1)[column]

    return TiledScores(
        num_texts=scores.shape[0],
        num_tracks=scores.shape[1],
        texts_at_once=texts_at_once,
        tracks_at_once=tracks_at_once,
        tile=tile,
    )


def ragged(captions_per_track: int, num_tracks: int, rng: np.random.Generator) -> tuple[list[list[int]], np.ndarray]:
    """Some captions per track in random order, one of which describes three tracks."""
    order = rng.permutation(captions_per_track * num_tracks)
    relevant = [[int(number) % num_tracks] for number in order]
    relevant[0] = sorted({*relevant[0], 4, 5})
    positive = np.zeros((len(relevant), num_tracks), bool)
    for text, tracks in enumerate(relevant):
        positive[text, tracks] = True
    return relevant, positive


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("levels", [5, 9, 1000])
@pytest.mark.parametrize("captions_per_track", [1, 2])
def test_equals_the_definitions_averaged_over_ties(dtype: str, levels: int, captions_per_track: int) -> None:
    rng = np.random.default_rng(levels)
    relevant, positive = ragged(captions_per_track, 13, rng)
    scores = rng.integers(levels, size=positive.shape).astype(np.dtype(dtype))
    scores[positive] += rng.integers(3, size=positive.sum())
    calls: list[tuple[int, int]] = []
    for found in (
        retrieval_metrics(scores, relevant),
        measure(tiled(scores, 4, 5, calls), relevant).metrics,
        measure(tiled(scores, 1, 99, calls), relevant).metrics,
    ):
        for direction, of, wanted in (
            (found.text_to_track, scores, positive),
            (found.track_to_text, scores.T, positive.T),
        ):
            expected = naive(of, wanted)
            assert expected.keys() == set(NAMES)
            for name, value in expected.items():
                result: Measure = getattr(direction, name)
                assert result.value == pytest.approx(value, abs=1e-12), name
                assert result.low - 1e-12 <= result.value <= result.high + 1e-12, name
            assert direction.tie_rate == naive_tie_rate(of, wanted)
            assert (direction.num_queries, direction.gallery_size) == of.shape


def test_only_tiles_with_a_positive_are_computed_twice() -> None:
    calls: list[tuple[int, int]] = []
    measure(tiled(np.random.default_rng(0).random((40, 40)), 8, 4, calls), [[track] for track in range(40)])
    assert len(calls) == 5 * 10 + 10
    assert len(set(calls)) == 50


def test_comparing_in_small_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    relevant, positive = ragged(3, 11, rng)
    scores = rng.integers(6, size=positive.shape).astype(np.float32)
    expected = retrieval_metrics(scores, relevant)
    monkeypatch.setattr("collap_model.metrics.levels._COMPARED_AT_ONCE", 25)
    assert retrieval_metrics(scores, relevant) == expected


def test_perfect_scores() -> None:
    metrics = retrieval_metrics(np.eye(12), [[i] for i in range(12)])
    for direction in (metrics.text_to_track, metrics.track_to_text):
        assert direction.recall_at_1 == Measure(value=1, low=1, high=1, chance=direction.recall_at_1.chance)
        assert direction.recall_at_1.chance == pytest.approx(1 / 12)
        assert direction.median_rank.value == direction.mrr.value == direction.map_at_10.value == 1
        assert direction.ndcg_at_10.value == pytest.approx(1, abs=1e-15)
        assert direction.tie_rate == 0


def test_equal_scores_are_worth_exactly_chance() -> None:
    rng = np.random.default_rng(0)
    relevant, positive = ragged(3, 23, rng)
    metrics = retrieval_metrics(np.zeros(positive.shape), relevant)
    for direction in (metrics.text_to_track, metrics.track_to_text):
        assert direction.tie_rate == 1
        for name in MEANS:
            found: Measure = getattr(direction, name)
            assert found.value == pytest.approx(found.chance, abs=1e-12), name
    alone = retrieval_metrics(np.zeros((70, 70)), [[i] for i in range(70)]).text_to_track
    assert alone.median_rank.value == alone.median_rank.chance == 35.5
    assert alone.recall_at_10.value == pytest.approx(10 / 70)


@pytest.mark.parametrize(("gallery", "positives"), [(1, [1]), (7, [1, 2]), (40, [1, 3, 1, 5]), (70, [1])])
def test_chance_is_what_random_orders_give(gallery: int, positives: list[int]) -> None:
    rng = np.random.default_rng(0)
    chance = chance_level(np.array(positives), gallery)
    scores = rng.random((4000, gallery))
    positive = np.zeros(scores.shape, bool)
    for row in range(len(scores)):
        positive[row, rng.choice(gallery, positives[row % len(positives)], replace=False)] = True
    sample = naive(scores, positive)
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
    assert chance.ndcg_at_10 == pytest.approx(sum(1 / log2(r + 1) for r in range(1, 11)) / 70)


def test_one_caption_for_all_tracks_is_a_trivial_success_of_which_nothing_is_known() -> None:
    metrics = retrieval_metrics(np.random.default_rng(0).random((1, 6)), [[0, 1, 2, 3, 4, 5]])
    assert metrics.text_to_track.recall_at_1 == Measure(value=1, low=0, high=1, chance=1)
    assert metrics.text_to_track.mean_rank == Measure(value=1, low=1, high=6, chance=1)
    assert metrics.track_to_text.num_groups == 1


@pytest.mark.parametrize(
    ("scores", "relevant", "message"),
    [
        (np.eye(2), [[0]], "do not fit"),
        (np.full((2, 2), np.nan), [[0], [1]], "NaN or infinity, first for text 0 and track 0"),
        (np.array([[0.0, 1.0], [1.0, np.inf]]), [[0], [1]], "text 1 and track 1"),
        (np.eye(2), [[0], [0]], "every track a text"),
        (np.eye(2), [[0, 1], []], "every text needs"),
        (np.zeros((0, 0)), [], "every text needs"),
        (np.eye(2), [[0], [2]], "relevant tracks are 0 to 2, there are 2"),
    ],
)
def test_refuses_what_cannot_be_measured(scores: np.ndarray, relevant: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        retrieval_metrics(scores, relevant)


def test_refuses_tiles_that_are_no_function_or_of_another_shape() -> None:
    rng = np.random.default_rng(0)
    scores, relevant = tiled(np.eye(4), 3, 2, []), [[0], [1], [2], [3]]
    with pytest.raises(ValueError, match="changed between two calls"):
        measure(replace(scores, tile=lambda row, _: torch.from_numpy(rng.random((1 if row else 3, 2)))), relevant)
    with pytest.raises(ValueError, match=r"tile \(1, 1\) of scores is \[3, 2\], expected \[1, 2\]"):
        measure(replace(scores, tile=lambda _row, _column: torch.eye(4)[:3, :2]), relevant)
