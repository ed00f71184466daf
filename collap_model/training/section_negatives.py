"""Hard negatives within a song: one section is heard, and its text is set against that of another section.

Songs differ in so much that a model which tells them apart need not know what happens when. Here song, key, tempo and
band are the same on both sides, and only the section is not. Either section is heard as often as the other, so
neither text is the likelier one by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np

from collap_model.pairs import Pair
from collap_model.training.augment import View
from data_specs.records import Caption
from data_specs.renderings import sub_caption

__all__ = ["OtherSections"]

_SHORTEST_S = 4.0
"""Of a section that is heard alone."""


class OtherSections:
    """Draws a section and another one for the tracks whose captions tell of two different ones."""

    def __init__(self, captions: Mapping[Pair, Caption], longest: int) -> None:
        """Of the first ``longest`` seconds of each track.

        Raises:
            ValueError: no caption tells of two sections.
        """
        self._choices = {pair: found for pair, caption in captions.items() if (found := _choices(caption, longest))}
        self._captions = captions
        if not self._choices:
            raise ValueError(
                f"section_negatives is above 0, but none of the {len(captions)} captions with sections tells of two "
                f"different ones within the {longest} s that are heard; set section_negatives to 0"
            )

    def __len__(self) -> int:
        return len(self._choices)

    def draw(self, rng: np.random.Generator, pair: Pair, num_seconds: int) -> View | None:
        """One section with its text, and another's; None where the caption has no two, or says the same of both."""
        if pair not in self._choices:
            return None
        caption, choices = self._captions[pair], self._choices[pair]
        heard, other = choices[int(rng.integers(len(choices)))]
        seed = str(rng.integers(2**31))
        true, false = (sub_caption(caption, index, index, seed).clock_free for index in (heard, other))
        if true == false:
            return None
        section = caption.sections[heard]
        return View(slice(round(section.start_s), min(round(section.end_s), num_seconds)), text=true, false=false)


def _choices(caption: Caption, longest: int) -> list[tuple[int, int]]:
    """Two sections each: of other letters, long enough to be heard alone."""
    fit = [
        index
        for index, section in enumerate(caption.sections)
        if section.end_s <= longest and section.end_s - section.start_s >= _SHORTEST_S
    ]
    return [(i, j) for i, j in permutations(fit, 2) if caption.sections[i].letter != caption.sections[j].letter]
