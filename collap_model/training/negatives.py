"""Hard negatives of a workspace: captions without times, with two of their sections exchanged.

Shuffled words make a negative that a bag of words can tell (Yuksekgonul et al. 2023); here every
word stays and only the order of what happens is false. An exchanged text could still be told by its
look, so with an even chance the same sections are exchanged in the music too: then the exchanged
text is the true one. Neither the text nor the music alone says which of the two it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from collap_model.features.rearranged import exchanged
from collap_model.pairs import Pair
from collap_model.training.augment import View
from data_specs.records import Caption
from data_specs.renderings import PARAGRAPH, swappable, swapped

__all__ = ["Swaps", "exchanges"]

_IN_THE_MUSIC = 0.5
"""Chance that the music is exchanged: at any other the look of a text would say something."""


class Swaps:
    """Draws hard negatives for the tracks whose captions have two sections to exchange."""

    def __init__(self, captions: Mapping[Pair, Caption], longest: int) -> None:
        """``longest`` seconds of a track are heard: nobody can tell an exchange beyond them.

        Raises:
            ValueError: a caption's text is not one paragraph per section, or none has two sections to exchange.
        """
        self.longest = longest
        self._exchanges: dict[Pair, tuple[Caption, list[tuple[int, int]]]] = {}
        for pair, caption in captions.items():
            possible = exchanges(caption, longest)
            for i, j in possible:  # now, and not after hours of training
                try:
                    swapped(caption, i, j)
                except ValueError as error:
                    raise ValueError(f"the caption of {caption.track_id!r} cannot be exchanged: {error}") from error
            if possible:
                self._exchanges[pair] = (caption, possible)
        if not self._exchanges:
            raise ValueError(
                f"swap_negatives is above 0, but none of the {len(captions)} captions with sections has two to "
                f"exchange within the {longest} s that are heard; set swap_negatives to 0"
            )

    def __len__(self) -> int:
        return len(self._exchanges)

    def draw(self, rng: np.random.Generator, pair: Pair, num_seconds: int) -> View | None:
        """One exchange, each as likely, in the text or in the music; None where the caption has none.

        A track is heard whole: who hears one of the two sections only cannot tell that they were exchanged.
        """
        if pair not in self._exchanges:
            return None
        caption, possible = self._exchanges[pair]
        i, j = possible[int(rng.integers(len(possible)))]
        told, other = (self._of_heard(text, caption) for text in (caption.clock_free_text, swapped(caption, i, j)))
        if rng.random() < _IN_THE_MUSIC:
            starts_s = [section.start_s for section in caption.sections]
            return View(exchanged(starts_s, i, j, num_seconds)[: self.longest], text=other, false=told)
        return View(slice(self.longest), text=told, false=other)

    def _of_heard(self, text: str, caption: Caption) -> str:
        """The text without its last paragraphs where these tell of sections beyond what is heard."""
        beyond = sum(section.end_s > self.longest for section in caption.sections)
        return PARAGRAPH.join(text.split(PARAGRAPH)[:-beyond]) if beyond else text


def exchanges(caption: Caption, longest: int) -> list[tuple[int, int]]:
    """Pairs of sections to exchange among those of the first ``longest`` seconds, see ``swappable``.

    None where sections do not begin with the track, or not in the order of time: an imported caption may have such.
    """
    starts_s, ends_s = zip(*((section.start_s, section.end_s) for section in caption.sections), strict=True)
    if round(starts_s[0]) != 0 or list(starts_s) != sorted(starts_s) or list(ends_s) != sorted(ends_s):
        return []
    return [(i, j) for i, j in swappable(caption) if caption.sections[j].end_s <= longest]
