"""What stays of a text that a tower does not read to its end.

A caption describes a song in order, so a cut at the tower's length would leave the song's last
sections unsaid. Here whole sentences go, from every paragraph about the same share, and those that
stay keep their order: the first sentence of each paragraph, which names its section and times, is the
last to go. In a text without paragraphs the sentences that stay are spread from its first to its last.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from itertools import groupby

__all__ = ["PARAGRAPH_END", "shorten"]

_SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*(?=\s)|[。！？]+")
PARAGRAPH_END = re.compile(r"(?=\n)(?<!\n)")
_LONGEST_SHARE = 4
"""A sentence of more than this part of the room is taken for several: some texts have no full stop."""


def shorten(text: str, starts: Sequence[int], room: int) -> list[int]:
    """Numbers of the tokens to keep, ascending, at most ``room`` and at least one.

    Args:
        starts: where each token begins in ``text``, in characters, ascending.
        room: tokens that fit, at least 1.
    """
    order: list[tuple[float, int, range]] = []
    paragraphs = _paragraphs(text, starts, max(1, room // _LONGEST_SHARE))
    for turn, number in enumerate(_spread(len(paragraphs))):
        sentences = paragraphs[number]
        length, taken = sum(map(len, sentences)), 0
        for sentence in _spread(len(sentences)):
            order.append((taken / length, turn, sentences[sentence]))
            taken += len(sentences[sentence])
    order.sort(key=lambda item: item[:2])
    kept: list[int] = []
    for _, _, tokens in order:
        if len(kept) + len(tokens) <= room:
            kept += tokens
    return sorted(kept)


def _paragraphs(text: str, starts: Sequence[int], longest: int) -> list[list[range]]:
    """Per paragraph its sentences, each a run of at most ``longest`` tokens. White space goes with what follows it."""
    paragraph_ends = [match.end() for match in PARAGRAPH_END.finditer(text)]
    sentence_ends = sorted({*paragraph_ends, *(match.end() for match in _SENTENCE_END.finditer(text))})
    paragraphs = []
    for _, in_paragraph in groupby(range(len(starts)), lambda token: bisect_right(paragraph_ends, starts[token])):
        sentences: list[range] = []
        for _, in_sentence in groupby(in_paragraph, lambda token: bisect_right(sentence_ends, starts[token])):
            run = list(in_sentence)
            pieces = -(-len(run) // longest)
            bounds = [run[0] + len(run) * piece // pieces for piece in range(pieces + 1)]
            sentences += [range(*bounds[piece : piece + 2]) for piece in range(pieces)]
        paragraphs.append(sentences)
    return paragraphs


def _spread(count: int) -> list[int]:
    """``range(count)`` in an order whose every beginning is spread over all of it: first, last, middle, quarters."""
    order = list(dict.fromkeys((0, count - 1)))
    gaps = deque([(0, count - 1)])
    while gaps:
        low, high = gaps.popleft()
        middle = (low + high) // 2
        if middle > low:
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order
