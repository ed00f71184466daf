from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.spec import SplitSettings
from tasks.select.order import SPLITS, digests, order_of, split_of, splits_of

IDS = st.sets(st.text("abcXYZ019-_", min_size=1, max_size=12), max_size=40)


@given(few=IDS, more=IDS)
def test_added_ids_change_nobodys_split_nor_relative_order(few: set[str], more: set[str]) -> None:
    settings = SplitSettings(test_percent=30, valid_percent=20)

    def ordered(ids: list[str]) -> list[tuple[str, str]]:
        digests_N2 = digests(pa.array(ids, pa.string()), settings.salt)
        splits = splits_of(digests_N2, settings)
        return [(ids[row], SPLITS[splits[row]]) for row in order_of(digests_N2)]

    all_ids = sorted(few | more)
    assert [entry for entry in ordered(all_ids) if entry[0] in few] == ordered(sorted(few, reverse=True))


def test_digests_are_blake2b_of_salt_and_id() -> None:
    ids = ["-a", "b_", "ü"]
    expected = [hashlib.blake2b(f"salt\0{i}".encode(), digest_size=16).digest() for i in ids]
    digests_N2 = digests(pa.array(ids), "salt")
    assert [row.astype(">u8").tobytes() for row in digests_N2] == expected


def test_order_is_that_of_the_pairs_also_where_first_words_are_equal() -> None:
    rng = np.random.default_rng(0)
    distinct_N2 = rng.integers(2**64, size=(500, 2), dtype=np.uint64)
    equal_N2 = np.stack([rng.integers(3, size=500, dtype=np.uint64), distinct_N2[:, 1]], axis=1)
    for digests_N2 in (distinct_N2, equal_N2):
        pairs = [tuple(pair) for pair in digests_N2.tolist()]
        assert order_of(digests_N2).tolist() == sorted(range(500), key=pairs.__getitem__)


def test_split_shares_are_as_asked() -> None:
    settings = SplitSettings(test_percent=20, valid_percent=10)
    shares = Counter(split_of(f"id{number}", settings) for number in range(20_000))
    assert shares["test"] == pytest.approx(4000, abs=200)
    assert shares["valid"] == pytest.approx(2000, abs=150)


def test_another_salt_is_another_split_and_order() -> None:
    ids = [f"id{number}" for number in range(200)]
    one, other = (SplitSettings(test_percent=50, salt=salt) for salt in ("a", "b"))
    assert [split_of(i, one) for i in ids] != [split_of(i, other) for i in ids]
    column = pa.array(ids)
    assert order_of(digests(column, "a")).tolist() != order_of(digests(column, "b")).tolist()
