from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from collap_model.feature_store import FeatureStore, pool_clips, write_feature_part
from data_specs.records import Features
from tests.collap_model.workspaces import make_workspace, write_tables


def row(track_id: str, **changes: object) -> Features:
    values: dict = {"file": "a.npy", "offset": 0, "num_seconds": 3, "dim": 2, "encoder": "toy"} | changes
    return Features(track_id=track_id, **values)


def test_round_trip_through_the_memory_map(tmp_path: Path) -> None:
    first, second = np.arange(6.0).reshape(3, 2), np.arange(8.0).reshape(4, 2) + 100
    offsets = write_feature_part(tmp_path / "a.npy", [first, second])
    assert offsets == [0, 3]
    store = FeatureStore(tmp_path, [row("x"), row("y", offset=3, num_seconds=4)])
    assert np.array_equal(store.vectors("x"), first)
    assert np.array_equal(store.vectors("y"), second)
    assert store.vectors("y").dtype == np.float16
    assert isinstance(store.vectors("y").base, np.memmap)


@pytest.mark.parametrize(("seconds", "clip", "counts"), [
    (30, 10, [10, 10, 10]), (34, 10, [10, 10, 14]), (35, 10, [10, 10, 10, 5]), (3, 10, [3]), (1, 1, [1])
])  # fmt: skip
def test_clips_are_exact_means(seconds: int, clip: int, counts: list[int]) -> None:
    vectors = np.random.default_rng(0).standard_normal((seconds, 5)).astype(np.float16)
    clips = pool_clips(vectors, clip)
    edges = np.cumsum([0, *counts])
    expected = [vectors[a:b].astype(np.float64).mean(0) for a, b in pairwise(edges)]
    np.testing.assert_allclose(clips, expected, atol=1e-6)


def test_opens_a_workspace(tmp_path: Path) -> None:
    store = FeatureStore.open(make_workspace(tmp_path))
    assert (store.encoder, store.dim, len(store)) == ("toy-1", 6, 18)
    assert store.clips("song003", 10).shape[1] == 6


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no track"),
        ([row("x"), row("x")], "occurs twice"),
        ([row("x"), row("y", dim=3)], "mixes encoders or widths"),
        ([row("x"), row("y", encoder="other")], "mixes encoders or widths"),
    ],
)
def test_refuses_an_index_it_cannot_trust(tmp_path: Path, rows: list[Features], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureStore(tmp_path, rows)


def test_names_what_is_wrong_with_a_track(tmp_path: Path) -> None:
    write_feature_part(tmp_path / "a.npy", [np.zeros((3, 2))])
    broken = np.zeros((3, 2), np.float16)
    broken[1, 1] = np.nan
    np.save(tmp_path / "nan.npy", broken)
    np.save(tmp_path / "wide.npy", np.zeros((3, 4), np.float16))
    rows = [row("ok"), row("long", num_seconds=4), row("nan", file="nan.npy"), row("gone", file="b.npy")]
    store = FeatureStore(tmp_path, [*rows, row("wide", file="wide.npy")])
    for track_id, message in {
        "who": "'who' has no features",
        "long": "has 3 rows",
        "nan": "NaN or infinity",
        "gone": "is missing",
        "wide": "expected float16",
    }.items():
        with pytest.raises(ValueError, match=message):
            store.vectors(track_id)


def test_missing_index_and_column(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run the features stage"):
        FeatureStore.open(tmp_path)
    write_tables(tmp_path, [], [])
    with pytest.raises(ValueError, match="lacks the columns"):
        FeatureStore.open(tmp_path)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([], "no vectors"),
        ([np.zeros((0, 2))], "non-empty"),
        ([np.zeros((1, 2)), np.zeros((1, 3))], "one dim"),
        ([np.full((1, 2), np.nan)], "NaN"),
        ([np.full((1, 2), 1e6)], "float16"),
    ],
)
def test_refuses_to_write_what_cannot_be_read(tmp_path: Path, vectors: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_feature_part(tmp_path / "a.npy", vectors)
    assert list(tmp_path.iterdir()) == []
