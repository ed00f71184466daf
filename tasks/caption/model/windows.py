"""Which stretches of audio a song is heard in, and in which runs it is written.

A window is a run of whole sections with a margin on both sides, so that the model hears how a section
begins and ends. A section that is longer than the model hears is cut, with no two of its parts in one window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from data_specs.music_llms import MusicLLM
from tasks.caption.model.schema import Span

MARGIN_S = 2.0
MAX_SECTIONS = 40
"""Of one answer: beyond, models lose the thread, whatever the context holds."""
CHARACTERS_PER_TOKEN = 3
"""Fewer than any tokenizer needs for English and numbers, so the estimate is an upper bound."""
TEMPLATE_TOKENS = 64
"""Of the chat template, and of the marks around the audio."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A section, or a part of one that is longer than the model hears."""

    index: int
    span: Span


@dataclass(frozen=True, slots=True)
class Window:
    """What is heard at once, margins included, and what is to be described of it."""

    start_s: float
    end_s: float
    pieces: tuple[Piece, ...]

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


Fits = Callable[[Window], bool]
"""Whether question, audio and answer have room in the model's context."""


def spare_tokens(model: MusicLLM, text: str, audio_s: float, answer_tokens: int) -> int:
    """Tokens of the context that a question and its answer leave; below 0 it must not be asked.

    Args:
        text: all of it, that of the system included.
    """
    audio = model.audio_tokens(audio_s)
    return model.context_tokens - TEMPLATE_TOKENS - estimated_tokens(text) - audio - answer_tokens


def estimated_tokens(text: str) -> int:
    """An upper bound for text in Latin letters."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def cut_windows(spans: Sequence[Span], duration_s: float, hears_s: float, fits: Fits) -> list[Window]:
    """Windows over all sections, in order: as few as fit, each section whole where it can be.

    Args:
        duration_s: of the song; margins do not reach beyond it.
        hears_s: longest audio that reaches the model.
        fits: asked of windows that are short enough. A window of a single piece is cut until it fits or
            is shorter than twice the margins; such a one is returned as it is, for the caller to refuse.
    """
    margin_s = min(MARGIN_S, hears_s / 10)

    def window(pieces: Sequence[Piece]) -> Window:
        start_s, end_s = pieces[0].span.start_s - margin_s, pieces[-1].span.end_s + margin_s
        return Window(round(max(0.0, start_s), 2), min(duration_s, round(end_s, 2)), tuple(pieces))

    def good(pieces: Sequence[Piece]) -> bool:
        heard = window(pieces)
        return len(pieces) <= MAX_SECTIONS and heard.duration_s <= hears_s and fits(heard)

    windows: list[Window] = []
    run: list[Piece] = []
    for index, span in enumerate(spans):
        for piece in _parts(index, span, lambda piece: good([piece]), shortest_s=2 * margin_s):
            if run and (piece.index == run[-1].index or not good([*run, piece])):
                windows.append(window(run))
                run = []
            run.append(piece)
    return [*windows, *([window(run)] if run else [])]


def even_windows(duration_s: float, hears_s: float, fits: Fits) -> list[Window]:
    """Windows of equal length without margins, for a song whose sections the model is not told."""
    whole = Span(0.0, duration_s, "section")

    def window(piece: Piece) -> Window:
        start_s, end_s = round(piece.span.start_s, 2), round(piece.span.end_s, 2)
        return Window(start_s, min(duration_s, end_s), (piece,))

    def good(piece: Piece) -> bool:
        return window(piece).duration_s <= hears_s and fits(window(piece))

    parts = _parts(0, whole, good, shortest_s=2 * MARGIN_S)
    return [window(Piece(index, part.span)) for index, part in enumerate(parts)]


def runs(count: int, fits: Callable[[range], bool]) -> list[range]:
    """``0..count`` in consecutive runs of nearly equal size, as few as a halving finds that fit.

    A run of one is not asked about: it cannot be made smaller.
    """

    def split(run: range) -> Iterator[range]:
        if len(run) <= 1 or (len(run) <= MAX_SECTIONS and fits(run)):
            yield run
            return
        middle = run.start + len(run) // 2
        yield from split(range(run.start, middle))
        yield from split(range(middle, run.stop))

    return list(split(range(count))) if count else []


def _parts(index: int, span: Span, good: Callable[[Piece], bool], shortest_s: float) -> list[Piece]:
    """The section in as few equal parts as make each of them good."""
    length_s = span.end_s - span.start_s
    count = 1
    while True:
        edges = [span.start_s + length_s * i / count for i in range(count)] + [span.end_s]
        parts = [Piece(index, Span(round(a, 2), round(b, 2), span.label)) for a, b in pairwise(edges)]
        if all(map(good, parts)) or length_s / (count + 1) < shortest_s:
            return parts
        count += 1
