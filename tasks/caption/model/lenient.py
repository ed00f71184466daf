"""Reads JSON as models write it: in one pass, in linear time, without ever refusing.

What ``json`` would reject is mended on the way and each kind of mending is named: trailing and
missing commas, single and curly quotes, quotes within strings, bare keys, comments, line breaks in
strings, ``None`` and ``NaN``, an end that was cut off. Repeated keys are all kept, see ``Members``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 32
"""Deeper values are skipped: a caption has three levels."""


class Members(list[tuple[str, Any]]):
    """An object: its members in order, repeated keys included."""


@dataclass(slots=True)
class Reading:
    """What was read of a text."""

    values: list[Any]
    """Objects (``Members``) and arrays (``list``) at the top level, in order."""
    repairs: set[str] = field(default_factory=set)
    rest: str = ""
    """The text outside of them."""


def read_strict(text: str) -> Reading | None:
    """A text that is JSON and nothing else; None for any other."""
    repeated = []

    def members(pairs: list[tuple[str, Any]]) -> Members:
        if len({key for key, _ in pairs}) < len(pairs):
            repeated.append(True)
        return Members(pairs)

    def constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        value = json.loads(text, object_pairs_hook=members, parse_constant=constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list):
        return None
    return Reading([value], {"duplicate_key"} if repeated else set())


def read_lenient(text: str) -> Reading:
    """Every object and array of a text, whatever stands around them."""
    return _Reader(text).read()


_SPACE = re.compile(r"\s*(?:(?://|#(?=\s))[^\n]*\s*|/\*(?:[^*]|\*(?!/))*(?:\*/|\Z)\s*)*")
_BLANKS = re.compile(r"\s*")
_OPENING = re.compile(r"[{\[]")
_BARE = re.compile(r"[^\s,:{}\[\]\"'“”]{1,64}(?: [^\s,:{}\[\]\"'“”]{1,64}){0,4}")
_NUMBER = re.compile(r"-?\d{1,18}(?:\.\d{1,24})?(?:[eE][-+]?\d{1,3})?(?=[\s,}\]]|$)")
_CLOCK = re.compile(r"\d{1,3}:\d{2}(?::\d{2})?(?:\.\d{1,3})?(?: ?[-–] ?\d{1,3}:\d{2}(?::\d{2})?)?(?=[\s,}\]]|$)")
_PLAIN = re.compile(r"[^\"'“”‘’\\]+")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_CLOSES = {'"': '"”', "'": "'’", "“": '”"', "‘": "’'"}
_AFTER_COMMA = re.compile(r"\s*(?:[\"'“‘{}\[\]]|-?\d|true\b|false\b|null\b|None\b|//|[A-Za-z_]\w{0,40}\s{0,4}:|$)")


class _Reader:
    """A cursor over the text with a stack of open objects and arrays."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._repairs: set[str] = set()

    def read(self) -> Reading:
        values, rest, last = [], [], 0
        while (match := _OPENING.search(self._text, self._at)) is not None:
            rest.append(self._text[last : match.start()])
            self._at = match.start()
            values.append(self._container())
            last = self._at
        rest.append(self._text[last:])
        return Reading(values, self._repairs, "".join(rest))

    def _container(self) -> Any:
        """The object or array at the cursor. A loop with a stack: depth is bounded by no recursion limit."""
        root = self._opened()
        stack: list[Any] = [root]
        key: str | None = None
        keys: list[str | None] = []
        while stack:
            self._skip()
            here = stack[-1]
            if self._at >= len(self._text):
                self._repairs.add("truncated")
                return root
            mark = self._text[self._at]
            if mark in "}]":
                self._at += 1
                if (mark == "}") != isinstance(here, Members):
                    self._repairs.add("bracket")
                stack.pop()
                key = keys.pop() if keys else None
                if stack:
                    self._end_of_value()
                continue
            if mark in ",:":
                self._at += 1
                self._repairs.add("comma")
                continue
            if isinstance(here, Members) and key is None:
                key = self._key(here)
                continue
            value = self._value()
            if len(stack) <= MAX_DEPTH:
                here.append((key, value) if isinstance(here, Members) else value)
            if isinstance(value, list):
                stack.append(value)
                keys.append(None)
            else:
                self._end_of_value()
            key = None
        return root

    def _opened(self) -> Any:
        is_object = self._text[self._at] == "{"
        self._at += 1
        return Members() if is_object else []

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        if "/" in match.group() or "#" in match.group():
            self._repairs.add("comment")
        self._at = match.end()

    def _key(self, members: Members) -> str | None:
        """The key at the cursor, past its colon; None where what stands there is no key and was skipped."""
        start = self._at
        if self._text[self._at] in _CLOSES:
            name = self._string(is_key=True)
        elif match := _BARE.match(self._text, self._at):
            self._at, name = match.end(), match.group()
            self._repairs.add("bare_key")
        elif self._text[self._at] in "{[":  # a value without a key
            self._repairs.add("bare_value")
            return ""
        else:
            self._at += 1
            return None
        self._skip()
        if self._text[self._at : self._at + 1] == ":":
            self._at += 1
            if any(name == known for known, _ in members[-64:]):
                self._repairs.add("duplicate_key")
            return name
        # Text without a colon: a value whose key was lost. A string inside an object may be one.
        self._repairs.add("bare_value")
        members.append(("", name))
        self._at = max(self._at, start + 1)
        return None

    def _value(self) -> Any:
        mark = self._text[self._at]
        if mark in "{[":
            return self._opened()
        if mark in _CLOSES:
            return self._string(is_key=False)
        if match := _NUMBER.match(self._text, self._at):
            self._at = match.end()
            return float(match.group())
        if match := _CLOCK.match(self._text, self._at) or _BARE.match(self._text, self._at):
            self._at = match.end()
            word = match.group()
            if word in ("true", "false"):
                return word == "true"
            if word != "null":
                self._repairs.add("bare_value")
            return None if word.lower() in ("null", "none", "nan", "-nan", "infinity", "-infinity", "inf") else word
        self._at += 1
        return None

    def _end_of_value(self) -> None:
        """Past the comma after a value, if there is one."""
        self._skip()
        following = self._text[self._at : self._at + 1]
        if following == ",":
            self._at += 1
            self._skip()
            if self._text[self._at : self._at + 1] in ("}", "]"):
                self._repairs.add("comma")
        elif following not in ("}", "]", ""):
            self._repairs.add("comma")

    def _string(self, *, is_key: bool) -> str:
        """The string at the cursor. A quote ends it only where JSON can go on behind it."""
        opening = self._text[self._at]
        if opening != '"':
            self._repairs.add("quotes")
        self._at += 1
        parts: list[str] = []
        while self._at < len(self._text):
            if match := _PLAIN.match(self._text, self._at):
                parts.append(match.group())
                self._at = match.end()
                continue
            if match := _ESCAPE.match(self._text, self._at):
                self._at = match.end()
                parts.append(chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2]))
                continue
            mark = self._text[self._at]
            self._at += 1
            if mark in _CLOSES[opening] and self._ends_string(is_key=is_key):
                return _paired("".join(parts))
            if mark == '"':
                self._repairs.add("quotes")
            if mark != "\\":
                parts.append(mark)
        self._repairs.add("truncated")
        return _paired("".join(parts))

    def _ends_string(self, *, is_key: bool) -> bool:
        match = _BLANKS.match(self._text, self._at)
        assert match is not None
        following = self._text[match.end() : match.end() + 1]
        if is_key or not following:
            return following in (":", "", ",", "}", "]")
        if following == ",":
            return _AFTER_COMMA.match(self._text, match.end() + 1) is not None
        if following in "}]/#":
            return True
        # A comma may be missing before the next key or element, which then begins on a line of its own.
        return following in "\"'{" and "\n" in match.group()


def _paired(text: str) -> str:
    """With two escapes of a surrogate pair as the one character that they mean; lone ones mean none."""
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
