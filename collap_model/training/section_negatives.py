"""Hard negatives within a song: one section is heard, and its text is set against that of another section.

Songs differ in so much that a model which tells them apart need not know what happens when. Here song, key, tempo and
band are the same on both sides, and only the section is not. Either section is heard as often as the other, so
neither text is the likelier one by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from collap_model.pairs import Pair
from collap_model.training.augment import View
from data_specs.records import Caption
from data_specs.renderings import GOES_ON, sub_caption

__all__ = ["OtherSections"]

_SHORTEST_S = 4.0
"""Of a section that is heard alone."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class _Alone:
    """A section as it is heard and told without the rest of its song."""

    letter: str
    start_s: float
    end_s: float
    text: str
    claims: frozenset[str]


class OtherSections:
    """Draws a section and another one for the tracks whose captions tell of two different ones."""

    def __init__(self, captions: Mapping[Pair, Caption], longest: int) -> None:
        """Of the first ``longest`` seconds of each track.

        Raises:
            ValueError: no caption tells of two sections.
        """
        self.longest = longest
        self._captions = captions
        # Found when first drawn: of a hundred thousand captions that would take minutes before the first step.
        self._choices: dict[Pair, list[tuple[_Alone, _Alone]]] = {}
        if not any(self._choices_of(pair) for pair in captions):
            raise ValueError(
                f"section_negatives is above 0, but none of the {len(captions)} captions with sections tells of two "
                f"different ones within the {longest} s that are heard; set section_negatives to 0"
            )

    def draw(self, rng: np.random.Generator, pair: Pair, num_seconds: int) -> View | None:
        """One section with its text, and another's; None where the caption does not tell of two."""
        choices = self._choices_of(pair)
        if not choices:
            return None
        heard, other = choices[int(rng.integers(len(choices)))]
        seconds = slice(round(heard.start_s), min(round(heard.end_s), num_seconds))
        return View(seconds, text=heard.text, false=other.text) if seconds.start < seconds.stop else None

    def _choices_of(self, pair: Pair) -> list[tuple[_Alone, _Alone]]:
        if pair not in self._choices:
            caption = self._captions.get(pair)
            self._choices[pair] = [] if caption is None else _choices(caption, self.longest)
        return self._choices[pair]


def _choices(caption: Caption, longest: int) -> list[tuple[_Alone, _Alone]]:
    """Two sections each, of other letters, of which the second is told by something that is not said of the first."""
    alone = []
    for index, section in enumerate(caption.sections):
        text = sub_caption(caption, index, index).clock_free
        long_enough = section.end_s <= longest and section.end_s - section.start_s >= _SHORTEST_S
        if long_enough and GOES_ON not in text:  # of that one nothing holds without the rest of its song
            claims = frozenset(_SENTENCE_END.split(text))
            alone.append(_Alone(section.letter, section.start_s, section.end_s, text, claims))
    return [(a, b) for a, b in permutations(alone, 2) if a.letter != b.letter and b.claims - a.claims]
