"""Sections of a track in another order."""

from __future__ import annotations

import numpy as np
import pytest

from collap_model.features.rearranged import exchanged, rearranged


def test_an_exchange_moves_the_seconds_of_two_sections() -> None:
    assert exchanged([0.0, 2.4, 3.6, 7.0], 1, 3, 9).tolist() == [0, 1, 7, 8, 4, 5, 6, 2, 3]


def test_exchanging_twice_gives_the_track_back() -> None:
    seconds = np.arange(20)
    starts = np.array([0.0, 4.0, 9.0, 15.0])
    once = exchanged(starts.tolist(), 1, 2, 20)
    lengths = np.diff([*starts, 20])[[0, 2, 1, 3]]
    again = exchanged([0.0, *np.cumsum(lengths)[:-1].tolist()], 1, 2, 20)
    assert (seconds[once][again] == seconds).all()


def test_any_order_has_every_second_once() -> None:
    taken = rearranged([0.2, 5.5, 6.1, 30.0], [3, 1, 0, 2], 41)
    assert sorted(taken.tolist()) == list(range(41))
    assert taken[:11].tolist() == list(range(30, 41))


def test_sections_beyond_the_features_are_empty() -> None:
    assert rearranged([0.0, 3.0, 12.0], [2, 1, 0], 6).tolist() == [3, 4, 5, 0, 1, 2]


@pytest.mark.parametrize(
    ("starts_s", "order", "said"),
    [
        ([], [], "from 0 on"),
        ([1.0, 2.0], [0, 1], "from 0 on"),
        ([0.0, 5.0, 3.0], [0, 1, 2], "order of time"),
        ([0.0, 5.0], [0, 0], "permutation of 2"),
    ],
)
def test_what_is_no_order_of_sections(starts_s: list[float], order: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        rearranged(starts_s, order, 10)
