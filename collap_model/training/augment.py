"""Small changes that leave most of a pair true: part of the track, part of the caption.

A part of the track keeps a caption of the whole, times and unheard sections included.

Every function draws from the generator it is given and from nothing else, so that a resumed run
sees the same data.
"""

from __future__ import annotations

import re
from itertools import takewhile

import numpy as np

__all__ = ["crop_seconds", "global_paragraph", "sample_caption", "sample_sentences"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_SPAN = re.compile(r"\d+:\d\d\D+\d+:\d\d")
"""Two clock times, as in ``From 0:12 to 0:19``: the sentence speaks of a section."""


def crop_seconds(rng: np.random.Generator, num_seconds: int, *, chance: float, min_share: float, longest: int) -> slice:
    """The run of seconds to hear, at most ``longest``; without a crop the first ones, as in evaluation."""
    if rng.random() >= chance:
        return slice(0, min(num_seconds, longest))
    wanted = round(num_seconds * rng.uniform(min_share, 1.0))
    length = min(max(1, wanted), longest)
    start = int(rng.integers(num_seconds - length + 1))
    return slice(start, start + length)


def sample_caption(rng: np.random.Generator, caption: str, *, sentences_chance: float, global_chance: float) -> str:
    """The whole caption, a random subset of its sentences, or its global paragraph."""
    draw = rng.random()
    if draw < sentences_chance:
        return sample_sentences(rng, caption)
    if draw < sentences_chance + global_chance:
        return global_paragraph(caption)
    return caption


def global_paragraph(caption: str) -> str:
    """What is said of the whole track: the text before the first line break or before the first section's sentence.

    A caption that shows neither is returned whole.
    """
    first_line = caption.strip().split("\n", 1)[0]
    sentences = _SENTENCE_END.split(first_line)
    about_all = list(takewhile(lambda sentence: not _SPAN.search(sentence), sentences))
    about = " ".join(about_all)
    return about if _says_something(about) else caption


def sample_sentences(rng: np.random.Generator, caption: str) -> str:
    """Between a quarter and all of the sentences, in their order."""
    sentences = [sentence for sentence in _SENTENCE_END.split(caption.strip()) if _says_something(sentence)]
    if len(sentences) < 2:
        return caption
    kept = rng.random(len(sentences)) < rng.uniform(0.25, 1.0)
    kept[rng.integers(len(sentences))] = True
    return " ".join(sentence for sentence, keep in zip(sentences, kept, strict=True) if keep)


def _says_something(text: str) -> bool:
    """A row of dots or dashes between paragraphs does not, and no text tower reads it."""
    return any(character.isalnum() for character in text)
