"""Arrow schemas derived from the record types, and the way between records and tables.

A record class is the only place where its columns are written down: ``str`` becomes ``string``,
``X | None`` a nullable column, ``tuple[X, ...]`` a list and a nested record a struct.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import TypeAdapter

R = TypeVar("R")

_SCALARS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


@functools.cache
def record_schema(record_type: type) -> pa.Schema:
    """The Arrow schema of a record type, one column per field, in field order.

    Raises:
        TypeError: a field has a type without a rule here.
    """
    return pa.schema(_fields(record_type))


def _fields(record_type: type) -> list[pa.Field]:
    hints = typing.get_type_hints(record_type)
    return [_field(f.name, hints[f.name], record_type) for f in dataclasses.fields(record_type)]


def _field(name: str, hint: Any, owner: type) -> pa.Field:
    nullable = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [a for a in typing.get_args(hint) if a is not type(None)]
        if len(members) != 1:
            raise TypeError(f"{owner.__name__}.{name}: {hint} has no column type; use one type or one type | None")
        hint, nullable = members[0], True
    return pa.field(name, _type(name, hint, owner), nullable=nullable)


def _type(name: str, hint: Any, owner: type) -> pa.DataType:
    if hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, str):  # a StrEnum
        return pa.string()
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return pa.list_(pa.field("element", _type(name, inner[0], owner), nullable=False))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return pa.struct(_fields(hint))
    raise TypeError(f"{owner.__name__}.{name}: {hint} has no column type")


def to_dict(record: Any) -> dict[str, Any]:
    """A record as plain data (nested records as dictionaries, tuples as lists)."""
    return _plain(dataclasses.asdict(record))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


@functools.cache
def _adapter(record_type: type) -> TypeAdapter:
    return TypeAdapter(record_type)


def from_dict(record_type: type[R], values: Mapping[str, Any]) -> R:
    """The record that ``to_dict`` or a table row described.

    Raises:
        pydantic.ValidationError: a field is missing, unknown or of another type.
    """
    adapter = _adapter(record_type)  # type: ignore[arg-type]
    return typing.cast(R, adapter.validate_python(dict(values)))


def to_table(record_type: type, records: Iterable[Any]) -> pa.Table:
    """Records as a table with exactly the derived schema."""
    return pa.Table.from_pylist([to_dict(record) for record in records], schema=record_schema(record_type))


def from_table(record_type: type[R], table: pa.Table) -> list[R]:
    """The records of a table; columns that the record type does not know are ignored."""
    names = [f.name for f in dataclasses.fields(record_type)]  # type: ignore[arg-type]
    return [from_dict(record_type, row) for row in table.select(names).to_pylist()]


def identity_fields(record: Any) -> dict[str, Any]:
    """What a record is, without how it was obtained: its plain data less the volatile fields."""
    volatile = {f.name for f in dataclasses.fields(record) if f.metadata.get("volatile")}
    return {name: value for name, value in to_dict(record).items() if name not in volatile}
