"""The captions of a split whose sections are known: what the probes of order are made of.

Shapes: S seconds of a track, K clips, E width of all encoders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from collap_model.features.rearranged import rearranged
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs
from collap_model.training.captions import read_captions
from data_specs.records import Caption
from data_specs.renderings import swapped

__all__ = ["Told", "retold", "told_captions"]


@dataclass(frozen=True, slots=True)
class Told:
    """A track and a caption of it, with sections from the track's start on, in the order of time."""

    track_id: str
    caption: Caption

    def clips(self, pairs: Pairs, model: CoLLAP, order: Sequence[int]) -> npt.NDArray[np.float32]:
        """Features ``[K, E]`` of what the model hears of the track, its sections in another order.

        Seconds that it does not hear stay unheard: a track is cut first, then rearranged.
        """
        num_seconds = min(pairs.store.rows[self.track_id].num_seconds, model.form.max_track_seconds)
        # What comes before the first section goes with it.
        starts_s = [0.0, *(section.start_s for section in self.caption.sections[1:])]
        seconds_S = rearranged(starts_s, order, num_seconds)
        return pairs.store.clips(self.track_id, model.form.clip_seconds, seconds_S)


def told_captions(pairs: Pairs, described: Mapping[str, Sequence[int]]) -> dict[str, Told]:
    """By caption, in the order of ``described``: its first track whose sections are known, none without such.

    Captions that cannot be told in another order (imported ones may have sections out of order) are left out
    and said so.

    Raises:
        ValueError: as ``training.captions.read_captions``.
    """
    told: dict[str, Told] = {}
    refused = set()
    captions = read_captions(pairs.store.workspace, pairs.pairs)
    for pair in pairs.pairs:
        if pair in captions and pair.caption not in told:
            if _can_be_retold(captions[pair]):
                told[pair.caption] = Told(pair.track_id, captions[pair])
            else:
                refused.add(pair.caption)
    if refused := refused - set(told):
        print(f"note: {len(refused)} captions whose sections cannot be told in another order are not probed")
    return {text: told[text] for text in described if text in told}


def retold(caption: Caption, order: Sequence[int]) -> str:
    """The text without times, with the description of section ``order[0]`` first; all leads stay at their places.

    ``renderings.swapped``, exchange by exchange.

    Raises:
        ValueError: the text is not one paragraph per section, or no permutation of these.
    """
    if sorted(order) != list(range(len(caption.sections))):
        raise ValueError(f"expected a permutation of {len(caption.sections)} sections, got {list(order)[:10]}")
    # Numbers for letters: sections of one letter may change places, as nothing here must be false.
    sections = [replace(section, letter=str(number)) for number, section in enumerate(caption.sections)]
    for place, wanted in enumerate(order):
        at = next(number for number, section in enumerate(sections) if section.letter == str(wanted))
        if at != place:
            now = replace(caption, sections=tuple(sections))
            caption = replace(caption, clock_free_text=swapped(now, place, at))
            sections[place], sections[at] = sections[at], sections[place]
    return caption.clock_free_text


def _can_be_retold(caption: Caption) -> bool:
    starts_s = [section.start_s for section in caption.sections]
    if starts_s != sorted(starts_s):
        return False
    try:
        retold(caption, range(len(caption.sections))[::-1])
    except ValueError:
        return False  # counted and said by told_captions
    return True
