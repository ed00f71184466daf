"""Find common passages among many fingerprints, in bounded memory.

1. Equal 32-bit values vote for an offset between two items. Even a poor copy (6 % of the bits wrong)
   keeps one value in ten, while two values of different songs are equal once in 50 million times.
2. Offsets with two votes are looked at bit by bit, see ``passage``.

Finds re-encoded, cut, padded, quieter and partly equal recordings. A copy at another speed or pitch
has another fingerprint: it is not found.

Shapes: V values of all items in a row, N items, P postings (a value and where it stands).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.duplicates.passage import Passage, Values, find_passage
from tasks.engine.errors import BuildError

Ints = NDArray[np.int64]

MIN_VOTES = 2
OFFSETS_TRIED = 3
"""Per pair, those with most votes: a song of loops matches itself at many."""

REACH = 64
"""A posting votes with so many next ones of its value. A recording with more copies is still one: they form a chain."""

MOST_POSTINGS = 2048
"""A value that stands in more places (silence, a hum) says nothing of a recording."""

MOST_ITEMS, MOST_VALUES = 1 << 20, 1 << 21
"""What fits into the 64 bits of a vote: a million items, 72 hours each."""

_CHUNK = 1 << 21
"""Values handled at once, where an operation makes temporary arrays."""


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Many fingerprints in one array."""

    values_V: Values
    starts_N1: Ints
    """Item ``n`` is ``values_V[starts_N1[n] : starts_N1[n + 1]]``."""

    @classmethod
    def of(cls, items: Sequence[Values]) -> Fingerprints:
        starts_N1 = np.concatenate([[0], np.cumsum([len(item) for item in items], dtype=np.int64)]).astype(np.int64)
        values_V = np.concatenate([np.empty(0, np.uint32), *items]).astype(np.uint32, copy=False)
        return cls(values_V, starts_N1)

    def __len__(self) -> int:
        return len(self.starts_N1) - 1

    def __getitem__(self, item: int) -> Values:
        return self.values_V[self.starts_N1[item] : self.starts_N1[item + 1]]


@dataclass(frozen=True, slots=True)
class Match:
    """Two items, ``first < second``, and what they have in common."""

    first: int
    second: int
    passage: Passage


def find_matches(
    items: Fingerprints,
    max_error_rate: float,
    min_values: Sequence[int] | int,
    num_queries: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[Match]:
    """The pairs that share a passage, one match each, in order.

    Args:
        min_values: shortest passage in values, for all pairs or by the pair's first item.
        num_queries: the first so many items are looked for in the others, instead of all in all.
        check: called now and then; may raise, to stop.

    With more than ``REACH`` copies of one recording not every pair of them is returned, but enough
    to connect them all. About 16 bytes of memory per value, and half a CPU second per million values.

    Raises:
        BuildError: ``MOST_ITEMS`` items, ``MOST_VALUES`` values in one, or 2**32 values in all.
    """
    longest = int(np.diff(items.starts_N1).max(initial=0))
    for what, number, most in (
        ("items", len(items), MOST_ITEMS),
        ("values in one item", longest, MOST_VALUES),
        ("values", len(items.values_V), 1 << 32),
    ):
        if number >= most:
            raise BuildError(f"{number} {what}, fewer than {most} can be compared at once: build smaller datasets")
    min_values_N = np.broadcast_to(np.asarray(min_values, np.int64), len(items))
    index = _Postings(items, num_queries)
    matches = []
    for first, last in _blocks(items, len(items) if num_queries is None else num_queries):
        check()
        for pair, offsets in _candidates(items, index, first, last, min_values_N):
            match = _best(items, pair, offsets, max_error_rate, int(min_values_N[pair[0]]))
            if match is not None:
                matches.append(match)
    return matches


def _best(
    items: Fingerprints, pair: tuple[int, int], offsets: Sequence[int], max_error_rate: float, min_values: int
) -> Match | None:
    found = [find_passage(items[pair[0]], items[pair[1]], offset, max_error_rate, min_values) for offset in offsets]
    passages = [passage for passage in found if passage is not None]
    return Match(*pair, max(passages, key=lambda passage: passage.gain)) if passages else None


class _Postings:
    """Every value with its place, in the order of (value, place)."""

    def __init__(self, items: Fingerprints, num_queries: int | None) -> None:
        self.boundary = None if num_queries is None else int(items.starts_N1[num_queries])
        """Where the items begin in which queries are looked for."""
        wanted = None if self.boundary is None else np.unique(items.values_V[: self.boundary])
        self.keys_P = _without_common(_sorted_keys(items, wanted))
        # Halves of each 64-bit key, without a copy.
        self.values_P, self.places_P = self.keys_P.view("<u4")[1::2], self.keys_P.view("<u4")[::2]

    def between(self, begin: int, end: int) -> Ints:
        """Postings of the places from ``begin`` to ``end``."""
        found = [
            np.flatnonzero((self.places_P[c] >= begin) & (self.places_P[c] < end)) + c.start
            for c in _chunks(len(self.keys_P))
        ]
        return np.concatenate([np.empty(0, np.int64), *found])

    def first_partners(self, postings: Ints) -> Ints:
        """For each posting the next one to vote with."""
        if self.boundary is None:
            return postings + 1
        low = self.keys_P[postings] & ~np.uint64(0xFFFFFFFF) | np.uint64(self.boundary)
        return np.searchsorted(self.keys_P, low)


def _sorted_keys(items: Fingerprints, wanted: Values | None) -> NDArray[np.uint64]:
    """``value << 32 | place``; a value that repeats the one before is left out, as held notes would drown the rest."""
    keys_P = np.empty(len(items.values_V), "<u8")
    filled, starts = 0, items.starts_N1
    for c in _chunks(len(items.values_V)):
        values = items.values_V[c]
        keep = np.ones(len(values), bool)
        keep[1:] = values[1:] != values[:-1]
        keep[starts[(starts >= c.start) & (starts < c.stop)] - c.start] = True
        if wanted is not None:
            keep &= np.isin(values, wanted)
        places = np.flatnonzero(keep)
        keys_P[filled : filled + len(places)] = values[places].astype(np.uint64) << np.uint64(32)
        keys_P[filled : filled + len(places)] |= (places + c.start).astype(np.uint64)
        filled += len(places)
    keys_P = keys_P[:filled]
    keys_P.sort()
    return keys_P


def _without_common(keys_P: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Drop, in place, the values that stand in more than ``MOST_POSTINGS`` places."""
    values_P = keys_P.view("<u4")[1::2]
    found = [
        np.unique(values_P[c][values_P[c] == values_P[c.start + MOST_POSTINGS : c.stop + MOST_POSTINGS]])
        for c in _chunks(len(keys_P) - MOST_POSTINGS)
    ]
    common = np.unique(np.concatenate([np.empty(0, np.uint32), *found]))
    filled = 0
    for c in _chunks(len(keys_P) if len(common) else 0):
        kept = keys_P[c][~np.isin(values_P[c], common)]
        keys_P[filled : filled + len(kept)] = kept
        filled += len(kept)
    return keys_P[:filled] if len(common) else keys_P


def _votes(items: Fingerprints, index: _Postings, first: int, last: int) -> NDArray[np.uint64]:
    """One vote, see ``_pack``, for each pair of equal values; items from ``first`` to ``last``."""
    begin, end = int(items.starts_N1[first]), int(items.starts_N1[last])
    owners = np.repeat(np.arange(first, last), np.diff(items.starts_N1[first : last + 1]))
    postings = index.between(begin, end)
    partners = index.first_partners(postings)
    votes = [np.empty(0, np.uint64)]
    for _ in range(REACH if index.boundary is None else MOST_POSTINGS):
        inside = partners < len(index.keys_P)
        postings, partners = postings[inside], partners[inside]
        same = index.values_P[postings] == index.values_P[partners]
        postings, partners = postings[same], partners[same]
        if not len(postings):
            break
        places, others = index.places_P[postings].astype(np.int64), index.places_P[partners].astype(np.int64)
        a_C = owners[places - begin]
        foreign = others >= items.starts_N1[a_C + 1]
        places, others, a_C = places[foreign], others[foreign], a_C[foreign]
        b_C = np.searchsorted(items.starts_N1, others, "right") - 1
        votes.append(_pack(a_C - first, b_C, (others - items.starts_N1[b_C]) - (places - items.starts_N1[a_C])))
        partners = partners + 1
    return np.concatenate(votes)


def _pack(local_C: Ints, b_C: Ints, offset_C: Ints) -> NDArray[np.uint64]:
    """22 bits each for the first item within its block and for the offset, 20 for the second item between them."""
    return (local_C << 42 | b_C << 22 | offset_C + MOST_VALUES).astype(np.uint64)


def _unpack(votes: NDArray[np.uint64]) -> tuple[Ints, Ints, Ints]:
    local_C = (votes >> np.uint64(42)).astype(np.int64)
    rest = (votes & np.uint64((1 << 42) - 1)).astype(np.int64)
    return local_C, rest >> 22, (rest & (1 << 22) - 1) - MOST_VALUES


def _candidates(
    items: Fingerprints, index: _Postings, first: int, last: int, min_values_N: Ints
) -> Iterator[tuple[tuple[int, int], list[int]]]:
    """Pairs with the offsets to look at, those with most votes first."""
    votes = _votes(items, index, first, last)
    votes.sort()
    heads = np.flatnonzero(_is_new(votes))
    counts = np.diff(np.append(heads, len(votes)))
    enough = counts >= MIN_VOTES
    a_C, b_C, offset_C = _unpack(votes[heads[enough]])
    a_C += first
    length_N = np.diff(items.starts_N1)
    overlap_C = np.minimum(length_N[a_C], length_N[b_C] - offset_C) - np.maximum(0, -offset_C)
    long = np.flatnonzero(overlap_C >= min_values_N[a_C])
    order = long[np.lexsort((offset_C[long], -counts[enough][long], b_C[long], a_C[long]))]
    a_C, b_C, offset_C = a_C[order], b_C[order], offset_C[order]
    heads = np.flatnonzero(_is_new(a_C) | _is_new(b_C))
    for head, tail in zip(heads, np.append(heads, len(order))[1:], strict=True):
        yield (int(a_C[head]), int(b_C[head])), offset_C[head : min(tail, head + OFFSETS_TRIED)].tolist()


def _is_new(sorted_X: NDArray) -> NDArray[np.bool_]:
    """Whether an element differs from the one before."""
    new_X = np.ones(len(sorted_X), bool)
    new_X[1:] = sorted_X[1:] != sorted_X[:-1]
    return new_X


def _blocks(items: Fingerprints, num_items: int) -> Iterator[tuple[int, int]]:
    """Consecutive items of about ``_CHUNK`` values together."""
    first = 0
    while first < num_items:
        last = int(np.searchsorted(items.starts_N1, items.starts_N1[first] + _CHUNK, "right")) - 1
        last = min(num_items, max(first + 1, last))
        yield first, last
        first = last


def _chunks(length: int) -> Iterator[slice]:
    return (slice(begin, min(begin + _CHUNK, length)) for begin in range(0, length, _CHUNK))
