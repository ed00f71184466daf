"""Which captions are meant: ``words < 250 and duration >= 120``, ``rule = repetition``, ``prompt < v3``.

A query is comparisons joined by ``and``; several queries are alternatives. A field that holds several
values (``rule``, ``repair``, ``warning``, ``writer``) matches where any of them does, and ``!=`` where
none is equal.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.engine.errors import BuildError

Row = Mapping[str, Any]
"""A row of ``captions.parquet``."""

Value = float | str


def _prompt_number(row: Row) -> list[Value]:
    found = re.match(r"v(\d+)", row["prompt"] or "")
    return [float(found[1])] if found else []


def _texts(*names: str) -> Callable[[Row], list[Value]]:
    return lambda row: [value for name in names for value in row[name] or ()]


def _one(name: str) -> Callable[[Row], list[Value]]:
    return lambda row: [row[name]] if row[name] is not None else []


NUMBERS: dict[str, Callable[[Row], list[Value]]] = {
    "words": _one("num_words"),
    "duration": _one("duration_s"),
    "sections": lambda row: [len(row["sections"])] if row["sections"] is not None else [],
    "repetition": _one("repetition"),
    "version": _one("version"),
    "heard": _one("heard_s"),
    "prompt": _prompt_number,
}
TEXTS: dict[str, Callable[[Row], list[Value]]] = {
    "track": _one("track_id"),
    "split": _one("split"),
    "status": _one("status"),
    "reason": _one("reason"),
    "captioner": _one("captioner"),
    "model": _one("model"),
    # What the first answer broke, and what the caption still breaks where it was rejected for it.
    "rule": lambda row: [*(row["flaws"] or ()), *re.findall(r"(?:^|; )(\w+):", row["detail"] or "")],
    "repair": _texts("repairs"),
    "warning": _texts("warnings"),
    "writer": lambda row: [section["writer"] for section in row["sections"] or ()],
}
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_COMPARISON = re.compile(r"\s*(\w+)\s*(<=|>=|!=|==|<|>|=)\s*(.+?)\s*")


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field operator value``."""

    field: str
    operator: str
    value: Value

    def matches(self, row: Row) -> bool:
        values = (NUMBERS | TEXTS)[self.field](row)
        if self.operator == "!=":
            return all(value != self.value for value in values)
        return any(_OPERATORS[self.operator](value, self.value) for value in values)


@dataclass(frozen=True, slots=True)
class Query:
    """Comparisons that must all hold."""

    text: str
    comparisons: tuple[Comparison, ...]

    def matches(self, row: Row) -> bool:
        return all(comparison.matches(row) for comparison in self.comparisons)


def parse_query(text: str) -> Query:
    """The query that a text says.

    Raises:
        BuildError: it is none; the message names the part, and the fields there are.
    """
    parts = re.split(r"\s+and\s+", text.strip(), flags=re.IGNORECASE)
    return Query(text.strip(), tuple(_comparison(part) for part in parts))


def _comparison(text: str) -> Comparison:
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise BuildError(f"query {text!r}: expected <field> <operator> <value>, e.g. words < 250")
    field, sign, value = found[1].lower(), found[2].replace("==", "="), found[3].strip("'\"")
    if field in NUMBERS:
        number = value.removeprefix("v") if field == "prompt" else value
        try:
            return Comparison(field, sign, float(number))
        except ValueError:
            raise BuildError(f"query {text!r}: {field} is compared with a number, got {value!r}") from None
    if field not in TEXTS:
        known = [*NUMBERS, *TEXTS]
        near = difflib.get_close_matches(field, known, n=3) or known
        raise BuildError(f"query {text!r}: no field {field!r}; near it: {', '.join(near)}")
    if sign not in ("=", "!="):
        raise BuildError(f"query {text!r}: {field} is a text and can only be compared with = and !=")
    return Comparison(field, sign, value)
