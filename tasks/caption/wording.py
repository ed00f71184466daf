"""Turning numbers into words, and choosing among equivalent wordings without repeating oneself."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

from data_specs.leads import clock as clock
from data_specs.leads import words as words

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
_ORDINALS["twelve"] = "twelfth"

_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")


def cardinal(number: int) -> str:
    """``21`` -> ``twenty-one``; digits from one hundred on."""
    if not 0 <= number < 100:
        return f"{number}"
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")


def ordinal(number: int) -> str:
    """``21`` -> ``twenty-first``; ``121st`` from one hundred on."""
    if number >= 100:
        suffix = "th" if 10 <= number % 100 < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
        return f"{number}{suffix}"
    head, dash, last = cardinal(number).rpartition("-")
    last = _ORDINALS.get(last, last[:-1] + "ieth" if last.endswith("y") else last + "th")
    return f"{head}{dash}{last}"


def times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{cardinal(number)} times")


def article(noun: str) -> str:
    """``a second``, ``an eighth``."""
    return f"an {noun}" if noun[0] in "aeio" or noun.startswith(("8", "11t", "18")) else f"a {noun}"


def spoken_duration(seconds: float) -> str:
    """``three minutes and fifty-one seconds``."""
    total = max(1, round(seconds))
    units = (("hour", total // 3600), ("minute", total // 60 % 60), ("second", total % 60))
    return listed([f"{cardinal(n)} {unit}{'s' if n != 1 else ''}" for unit, n in units if n])


def rough_duration(seconds: float) -> str:
    """``seventeen seconds`` below 100 s, ``about two and a half minutes`` from there on."""
    if round(seconds) < 100:
        return f"{cardinal(max(1, round(seconds)))} second{'s' if round(seconds) > 1 else ''}"
    halves = round(seconds / 30)
    return f"about {cardinal(halves // 2)}{' and a half' if halves % 2 else ''} minutes"


def listed(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))


def rounded_hz(hz: float) -> str:
    """``1,850``: steps of 50 Hz below 2 kHz, of 100 Hz above."""
    step = 50 if hz < 2000 else 100
    return f"{max(step, round(hz / step) * step):,}"


def rounded_rate(rate_hz: float) -> str:
    return f"{rate_hz:.1f}" if rate_hz < 9.95 else f"{rate_hz:.0f}"


def percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.01 else "under 1"


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


class Phrasebook:
    """Chooses a wording per slot: the least used, then the one that echoes the text so far least.

    Ties fall by a hash of seed, slot and wording, so two songs with equal facts still differ, and
    the same song reads the same in every process (``hash()`` of a string would not).
    """

    def __init__(self, phrases: dict[str, tuple[str, ...]], seed: str) -> None:
        self._phrases = phrases
        self._seed = seed
        self._used: Counter[tuple[str, str]] = Counter()
        self._said: Counter[tuple[str, ...]] = Counter()
        self._lines: set[str] = set()

    def rank(self, *parts: object) -> bytes:
        """A stable pseudo-random key: sort by it to shuffle."""
        return _digest("\x1f".join([self._seed, *map(str, parts)]))

    def pick(self, slot: str, **values: object) -> str:
        """A wording of ``slot``, filled with ``values``: ``[a|b]`` becomes one of the two."""
        fewest = min(self._used[slot, phrase] for phrase in self._phrases[slot])
        least = [phrase for phrase in self._phrases[slot] if self._used[slot, phrase] == fewest]
        filled = {variant: (variant.format(**values), p) for p in least for variant in variants(p)}
        # Said at its own choice already, and equal whatever the wording: else wordings without it would be preferred.
        own = {gram for value in values.values() for gram in _grams(f"{value}")}
        best = min(filled, key=lambda variant: (self._echo(filled[variant][0], own), self.rank(slot, variant)))
        text, phrase = filled[best]
        self._used[slot, phrase] += 1
        self._said.update(_grams(text))
        return text

    def once(self, line: str) -> bool:
        """Whether there is a line and it was not asked about before: a second one would be a repetition."""
        new = bool(line) and line not in self._lines
        self._lines.add(line)
        return new

    def _echo(self, text: str, own: set[tuple[str, ...]]) -> int:
        return sum(self._said[gram] for gram in _grams(text) if gram not in own)


@lru_cache(maxsize=4096)
def variants(phrase: str) -> tuple[str, ...]:
    """Every way to choose among ``[a|b]`` in a phrase."""
    parts = [part.split("|") if index % 2 else [part] for index, part in enumerate(_ALTERNATIVES.split(phrase))]
    return tuple(map("".join, product(*parts)))


@lru_cache(maxsize=4096)
def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _grams(text: str) -> list[tuple[str, ...]]:
    tokens = words(text)
    return list(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))
