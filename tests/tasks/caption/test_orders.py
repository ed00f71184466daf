"""The file of orders: what was written is read, and a broken one is named."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from tasks.caption.orders import NO_ORDER, Order, Orders, read_orders, write_orders
from tasks.engine.errors import BuildError


def test_written_orders_are_read(tmp_path: Path) -> None:
    path = tmp_path / "recaption.csv"
    orders = {
        "b": Order(track_id="b", version=2, query='rule = "x, y"', ordered_at="2026-01-01T00:00:00+00:00"),
        "a": Order(track_id="a", version=0, standing="0123456789abcdef"),
    }
    write_orders(path, orders)
    assert read_orders(path) == orders
    found = pickle.loads(pickle.dumps(Orders.of(path)))
    assert found["a"] == orders["a"]
    assert found["b"] == orders["b"]
    assert found["c"] == NO_ORDER
    assert len(pickle.dumps(found)) < 1000, "orders travel to workers with every track"


def test_without_a_file_nothing_is_ordered(tmp_path: Path) -> None:
    orders = Orders.of(tmp_path / "recaption.csv")
    assert orders.sha256 == ""
    assert orders["a"].version == 0


@pytest.mark.parametrize(
    "text", ["track_id\na\n", "track_id,version,standing,query,ordered_at\na,two,,,\n", "\xff\xfe"]
)
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recaption.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BuildError, match=r"cannot read .*recaption\.csv.*remove it"):
        read_orders(path)
