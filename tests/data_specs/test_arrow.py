from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs import records
from data_specs.arrow import from_dict, from_table, identity_fields, record_schema, to_dict, to_table

RECORD_TYPES = [
    value
    for value in vars(records).values()
    if dataclasses.is_dataclass(value) and isinstance(value, type) and value.__module__ == records.__name__
]


def record_strategy(record_type: type) -> st.SearchStrategy:
    hints = typing.get_type_hints(record_type)
    return st.builds(record_type, **{f.name: value_strategy(hints[f.name]) for f in dataclasses.fields(record_type)})


def value_strategy(hint: typing.Any) -> st.SearchStrategy:
    if hint is str:
        return st.text(st.characters(codec="utf-8"), max_size=20)
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.integers(-(2**62), 2**62)
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if typing.get_origin(hint) is tuple:
        return st.lists(value_strategy(typing.get_args(hint)[0]), max_size=3).map(tuple)
    if dataclasses.is_dataclass(hint):
        return record_strategy(hint)
    inner = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    return st.none() | value_strategy(inner)


@pytest.mark.parametrize("record_type", RECORD_TYPES, ids=lambda record_type: record_type.__name__)
@given(data=st.data())
def test_a_record_survives_table_and_json(record_type: type, data: st.DataObject) -> None:
    record = data.draw(record_strategy(record_type))
    assert from_table(record_type, to_table(record_type, [record])) == [record]
    assert from_dict(record_type, to_dict(record)) == record


def test_schema_follows_the_fields() -> None:
    schema = record_schema(records.Track)
    assert schema.names == [f.name for f in dataclasses.fields(records.Track)]
    assert schema.field("title").nullable
    assert not schema.field("url").nullable
    assert schema.field("labels").type == pa.list_(pa.field("element", pa.string(), nullable=False))


def test_a_field_without_a_column_type_is_named() -> None:
    @dataclass
    class Odd:
        thing: complex

    with pytest.raises(TypeError, match=r"Odd\.thing"):
        record_schema(Odd)


def test_volatile_fields_are_stored_but_not_identity() -> None:
    base = {"track_id": "a", "file": "f", "sha256": "0", "num_bytes": 1, "container": "mp3"}
    first = records.Harvest(**base, attempts=1, fetched_at="2026-01-01T00:00:00Z")
    again = records.Harvest(**base, attempts=5, fetched_at="2026-01-02T00:00:00Z")
    assert identity_fields(first) == identity_fields(again)
    assert to_dict(first) != to_dict(again)
