"""Bootstrap over groups, and the paired difference of two runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from collap_model.metrics import Measured, TiledScores, measure
from collap_model.metrics.compare import compare, main, paired_difference, write_figures
from collap_model.metrics.figures import FIGURES, Figures
from collap_model.metrics.intervals import STATISTICS, groups, interval, statistics
from collap_model.metrics.levels import Pairing


def figures(values_QF: np.ndarray, group_Q: np.ndarray) -> Figures:
    return Figures(
        values_QF=values_QF,
        tied_Q=np.zeros(len(values_QF), bool),
        group_Q=group_Q,
        gallery_size=len(values_QF),
    )


def ranks_alone(ranks: np.ndarray, group_Q: np.ndarray) -> Figures:
    values_QF = np.zeros((len(ranks), len(FIGURES)))
    values_QF[:, FIGURES.index("rank")] = ranks
    return figures(values_QF, group_Q)


def mean_rank_interval(of: Figures) -> tuple[float, float]:
    drawn_R = statistics(of, seed=1)[1][:, STATISTICS.index("mean_rank")]
    return interval(drawn_R, 2, (0, 0))


def measured(scores: np.ndarray, relevant: list[list[int]], seed: int = 0) -> Measured:
    return measure(TiledScores.of(torch.from_numpy(scores)), relevant, seed=seed)


def test_draws_are_those_of_a_loop_over_groups() -> None:
    rng = np.random.default_rng(0)
    group_Q = np.sort(rng.permutation(np.append(np.arange(9), rng.integers(9, size=16))))
    values_QF = rng.integers(1, 9, size=(25, len(FIGURES))).astype(float)
    value_S, drawn_RS = statistics(figures(values_QF, group_Q), seed=5)
    again = np.random.default_rng(5)
    rank = FIGURES.index("rank")
    for found_S in drawn_RS:
        drawn_QF = np.concatenate([values_QF[group_Q == group] for group in again.integers(9, size=9)])
        np.testing.assert_allclose(found_S, [*drawn_QF.mean(0), np.median(drawn_QF[:, rank])], rtol=1e-12)
    np.testing.assert_allclose(value_S, [*values_QF.mean(0), np.median(values_QF[:, rank])], rtol=1e-12)
    assert drawn_RS.shape == (1000, len(STATISTICS))


def test_groups_are_the_connected_parts() -> None:
    # Texts 0 and 2 share track 1, text 1 has tracks 0 and 3, text 3 has track 2 alone.
    of_texts, of_tracks = groups(Pairing.of([[1], [0, 3], [1], [2]], 4))
    assert of_texts[0] == of_texts[2] == of_tracks[1]
    assert of_texts[1] == of_tracks[0] == of_tracks[3]
    assert of_texts[3] == of_tracks[2]
    assert len({of_texts[0], of_texts[1], of_texts[3]}) == 3


def test_a_caption_said_five_times_makes_nothing_more_certain() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((40, 40)) + 0.6 * np.eye(40)
    once = measured(scores, [[i] for i in range(40)]).metrics.text_to_track
    five = measured(np.repeat(scores, 5, axis=0), [[i] for i in range(40) for _ in range(5)]).metrics.text_to_track
    assert (five.num_queries, five.num_groups, once.num_groups) == (200, 40, 40)
    for name in ("recall_at_1", "mrr", "ndcg_at_10", "mean_rank"):
        one, other = getattr(once, name), getattr(five, name)
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high)), name


def test_interval_narrows_with_queries_and_repeats_with_the_seed() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for num in (20, 200):
        scores = rng.random((num, num)) + 0.5 * np.eye(num)
        relevant = [[i] for i in range(num)]
        first, second, other = (measured(scores, relevant, seed).metrics for seed in (3, 3, 4))
        assert first == second != other
        widths.append(first.text_to_track.mrr.high - first.text_to_track.mrr.low)
    assert widths[1] < widths[0] / 2


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Groups of 1 to 5 queries that share their luck; drawing single queries would hold it far less often."""
    rng = np.random.default_rng(0)
    held, held_alone, trials = 0, 0, 60
    for _ in range(trials):
        group_Q = np.repeat(np.arange(60), rng.integers(1, 6, size=60))
        ranks = rng.normal(10, 1, 60)[group_Q] + rng.normal(0, 0.2, len(group_Q))
        for of, alone in ((group_Q, False), (np.arange(len(group_Q)), True)):
            low, high = np.percentile(
                statistics(ranks_alone(ranks, of), seed=1)[1][:, FIGURES.index("rank")], [2.5, 97.5]
            )
            held, held_alone = held + (not alone and low < 10 < high), held_alone + (alone and low < 10 < high)
    assert held / trials > 0.88
    assert held_alone / trials < 0.8


def test_a_paired_difference_leaves_out_what_is_common() -> None:
    rng = np.random.default_rng(0)
    common = rng.exponential(100, 300)
    first, second = (ranks_alone(1 + common + rng.random(300) + gain, np.arange(300)) for gain in (0.5, 0.0))
    found = paired_difference(first, second)["mean_rank"]
    assert found.value == pytest.approx((second.values_QF - first.values_QF).sum() / 300)
    assert found.low < found.value < found.high < 0
    # Whereas the runs by themselves cannot be told apart
    low, high = mean_rank_interval(first)
    assert low < second.values_QF.sum() / 300 < high
    same = paired_difference(first, first)["mean_rank"]
    assert (same.value, same.low, same.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="are no pair"):
        paired_difference(first, ranks_alone(common[:200], np.arange(200)))


def test_of_one_group_nothing_can_be_said() -> None:
    of_one = ranks_alone(np.array([1.0, 2.0, 3.0]), np.zeros(3, int))
    found = paired_difference(of_one, of_one)
    assert (found["mrr"].low, found["mrr"].high) == (-1, 1)
    assert (found["median_rank"].low, found["median_rank"].high) == (-2, 2)


def test_compare_reads_what_was_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    relevant = [[i] for i in range(50)]
    worse, better = (measured(rng.random((50, 50)) + gain * np.eye(50), relevant) for gain in (0.1, 0.9))
    paths = [tmp_path / "worse.npz", tmp_path / "better.npz", tmp_path / "other.npz"]
    for path, run, data in zip(paths, (worse, better, better), "aab", strict=True):
        write_figures(path, run, queries_sha256=data)
    found = compare(*paths[:2])["track_to_text"]
    assert found == paired_difference(worse.track_to_text, better.track_to_text)
    assert found["recall_at_1"].low > 0 > found["mean_rank"].high
    assert main([str(path) for path in paths[:2]]) == 0
    assert "track to text: second less first" in capsys.readouterr().out
    assert main([str(paths[0]), str(paths[2])]) == 2
    assert "measure both runs on the same split" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"not a zip", b"PK\x03\x04 cut short"])
def test_compare_refuses_other_files(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "figures.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="evaluate the run again"):
        compare(path, path)
