"""How varied a collection of texts is, and what people reach.

Every measure here depends on how many texts there are and how long they are: twice the words give
fewer distinct ones per word, and a longer text meets more of another's 4-grams. So a collection is
also measured in stretches as many and as long as the captions that people wrote.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_specs.leads import words

MAX_ORDER = 4
NUM_CANDIDATES = 200
NUM_REFERENCES = 100
_POOL = NUM_CANDIDATES + NUM_REFERENCES
_MERGE_AT = 2_000_000
"""Pairs that wait to be joined with the known ones: 16 MB."""

Gram = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversity:
    """The measures of one collection. 0 texts give 0 everywhere."""

    num_texts: int
    num_words: int
    vocabulary: int
    """Distinct words."""
    distinct_1: float
    """Distinct words over words (Li et al., A Diversity-Promoting Objective Function, NAACL 2016)."""
    distinct_2: float
    """Distinct pairs of neighbours over pairs."""
    self_bleu: float
    """Mean BLEU-4 of a text against others (Zhu et al., Texygen, SIGIR 2018): 1 where all are the same."""
    repetition: float
    """Mean share of 4-grams that occurred before in the same text."""


HUMAN = Diversity(
    num_texts=2858,
    num_words=145_308,
    vocabulary=4916,
    distinct_1=0.0338,
    distinct_2=0.2378,
    self_bleu=0.384,
    repetition=0.00138,
)
"""MusicCaps (Agostinelli et al., 2023): the captions of its evaluation clips, by the code of this file."""


class DiversityTally:
    """Measures texts that come one by one: exact counts over all, the costly measures on a sample.

    The sample is the texts whose names have the smallest hashes: the same whatever order they come in.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._vocabulary: dict[str, int] = {}
        self._pairs = np.empty(0, np.int64)
        self._waiting: list[np.ndarray] = []
        self._num_waiting = 0
        self._num_texts = self._num_words = self._num_pairs = 0
        self._repetition = 0.0
        self._sample: list[tuple[int, str, str]] = []

    def add(self, name: str, text: str, tokens: Sequence[str], repetition: float) -> None:
        """One text, its ``words`` and its share of repeated 4-grams."""
        vocabulary = self._vocabulary
        ids_T = np.array([vocabulary.setdefault(token, len(vocabulary)) for token in tokens], np.int64)
        self._waiting.append(ids_T[:-1] << 32 | ids_T[1:])
        self._num_waiting += len(ids_T)
        if self._num_waiting > _MERGE_AT:
            self._merge()
        self._num_texts += 1
        self._num_words += len(ids_T)
        self._num_pairs += max(0, len(ids_T) - 1)
        self._repetition += repetition
        entry = (-rank(self._seed, name), name, text)
        if len(self._sample) < HUMAN.num_texts:
            heapq.heappush(self._sample, entry)
        elif entry > self._sample[0]:
            heapq.heapreplace(self._sample, entry)

    def whole(self) -> Diversity:
        """Of the texts as they are; only BLEU is measured on a sample."""
        self._merge()
        return Diversity(
            num_texts=self._num_texts,
            num_words=self._num_words,
            vocabulary=len(self._vocabulary),
            distinct_1=_share(len(self._vocabulary), self._num_words),
            distinct_2=_share(len(self._pairs), self._num_pairs),
            self_bleu=self_bleu([words(text) for _, text in self._sampled()[:_POOL]], self._seed),
            repetition=_share(self._repetition, self._num_texts),
        )

    def stretches(self) -> Diversity:
        """Of one stretch of each sampled text, to be held against ``HUMAN``."""
        size = HUMAN.num_words // HUMAN.num_texts
        stretches = []
        for name, text in self._sampled():
            tokens = words(text)
            start = rank(self._seed, f"stretch:{name}") % max(1, len(tokens) - size + 1)
            stretches.append(tokens[start : start + size])
        return diversity(stretches, self._seed)

    def _sampled(self) -> list[tuple[str, str]]:
        """Names and texts in the order of their ranks, which is a random one."""
        return [(name, text) for _, name, text in sorted(self._sample, reverse=True)]

    def _merge(self) -> None:
        pairs_P = np.concatenate([self._pairs, *self._waiting])
        pairs_P.sort(kind="stable")  # the known ones are in order already; numpy.unique needs twice the memory
        self._pairs = pairs_P[np.concatenate([[True], pairs_P[1:] != pairs_P[:-1]])] if len(pairs_P) else pairs_P
        self._waiting, self._num_waiting = [], 0


def diversity(texts: Sequence[Sequence[str]], seed: str) -> Diversity:
    """The measures of a collection that fits into memory, given as words."""
    counts = Counter(token for text in texts for token in text)
    pairs = [pair for text in texts for pair in grams(text, 2)]
    return Diversity(
        num_texts=len(texts),
        num_words=counts.total(),
        vocabulary=len(counts),
        distinct_1=_share(len(counts), counts.total()),
        distinct_2=_share(len(set(pairs)), len(pairs)),
        self_bleu=self_bleu(texts[:_POOL], seed),
        repetition=_share(math.fsum(map(_repetition, texts)), len(texts)),
    )


def self_bleu(texts: Sequence[Sequence[str]], seed: str) -> float:
    """Mean BLEU-4 of the first ``NUM_CANDIDATES`` texts, each against ``NUM_REFERENCES`` others; 0 below two texts."""
    if len(texts) < 2:
        return 0.0
    rng = np.random.default_rng(rank(seed, "self-bleu"))
    counted = [count_grams(text) for text in texts]
    scores = []
    for index in range(min(NUM_CANDIDATES, len(texts))):
        others = [other for other in range(len(texts)) if other != index]
        chosen = rng.choice(others, min(NUM_REFERENCES, len(others)), replace=False)
        scores.append(bleu(counted[index], [counted[other] for other in chosen]))
    return round(statistics.fmean(scores), 6)


def bleu(candidate: Sequence[Counter[Gram]], references: Sequence[Sequence[Counter[Gram]]]) -> float:
    """BLEU-4 (Papineni et al., ACL 2002) of texts given as ``count_grams``; 0 for one of less than four words.

    An order without any match counts as a tenth of one (Chen and Cherry, WMT 2014, method 1).
    """
    length = candidate[0].total()
    if length < MAX_ORDER:
        return 0.0
    log_precision = 0.0
    for order, counts in enumerate(candidate):
        best: dict[Gram, int] = {}
        for reference in references:
            known = reference[order]
            for gram in counts.keys() & known.keys():
                best[gram] = max(best.get(gram, 0), known[gram])
        matches = sum(min(counts[gram], most) for gram, most in best.items())
        log_precision += math.log((matches or 0.1) / counts.total()) / MAX_ORDER
    closest = min((reference[0].total() for reference in references), key=lambda size: (abs(size - length), size))
    return math.exp(log_precision + min(0.0, 1 - closest / length))


def count_grams(tokens: Sequence[str]) -> list[Counter[Gram]]:
    """The n-grams of a text for n of 1 to 4."""
    return [Counter(grams(tokens, size)) for size in range(1, MAX_ORDER + 1)]


def grams(tokens: Sequence[str], size: int) -> list[Gram]:
    return list(zip(*(tokens[start:] for start in range(size)), strict=False))


def rank(seed: str, name: str) -> int:
    """A pseudo-random 64-bit number, the same in every process: to sample by it, take the smallest."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\x1f{name}".encode(), digest_size=8).digest(), "big")


def _repetition(tokens: Sequence[str]) -> float:
    found = grams(tokens, 4)
    return 1 - len(set(found)) / len(found) if found else 0.0


def _share(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0
