"""Retrieval where the sections of every track, or those of every caption, come in a drawn order.

A model that uses the order of a song loses by it; one that takes text and music for bags of moments does not.
Little lost does not say that a model cannot tell order, only that it does not need it to find a track among
these: ``order_swap`` asks for order itself.

All is measured with captions without clock times, also the unshuffled texts that both are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collap_model.evaluation.both_ways import BothWays, measure_texts
from collap_model.evaluation.score_tiles import heard
from collap_model.evaluation.told import Told, retold
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs

__all__ = ["Shuffled", "drawn_order", "shuffled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffled:
    """Either side shuffled."""

    audio: BothWays
    """Sections of every track in a drawn order, texts without clock times."""
    text: BothWays
    """Descriptions of every text without clock times in a drawn order, its words of order at their places."""


def shuffled(
    model: CoLLAP, pairs: Pairs, told: Mapping[str, Told], described: Mapping[str, Sequence[int]]
) -> tuple[Shuffled, BothWays]:
    """With one side shuffled, and with neither; of the captions in ``told`` and their own tracks.

    Every order is another than the true one, but for captions of one section.
    """
    of_track: dict[str, Told] = {}
    for item in told.values():
        of_track.setdefault(item.track_id, item)
    track_ids = pairs.track_ids
    kept = [number for number, track_id in enumerate(track_ids) if track_id in of_track]
    tracks = [track_ids[number] for number in kept]
    place = {number: new for new, number in enumerate(kept)}
    relevant = [[place[track] for track in described[text] if track in place] for text in told]
    rng = np.random.default_rng(0)
    orders = {track_id: drawn_order(rng, len(of_track[track_id].caption.sections)) for track_id in tracks}
    texts = [item.caption.clock_free_text for item in told.values()]
    retexts = [retold(item.caption, drawn_order(rng, len(item.caption.sections))) for item in told.values()]

    def as_it_is(track_id: str) -> npt.NDArray[np.float32]:
        return pairs.clips(track_id, clip_seconds=model.form.clip_seconds, longest=model.form.max_track_seconds)

    def rearranged(track_id: str) -> npt.NDArray[np.float32]:
        return of_track[track_id].clips(pairs, model, orders[track_id])

    with heard(model, tracks, as_it_is) as tiles:
        plain = measure_texts(model, texts, tiles, relevant)
        of_text = measure_texts(model, retexts, tiles, relevant)
    with heard(model, tracks, rearranged) as tiles:
        of_audio = measure_texts(model, texts, tiles, relevant)
    return Shuffled(audio=of_audio, text=of_text), plain


def drawn_order(rng: np.random.Generator, num_sections: int) -> list[int]:
    """Any order but the true one, each as likely; the true one where there is no other."""
    true = list(range(num_sections))
    order = true
    while order == true and num_sections > 1:
        order = rng.permutation(num_sections).tolist()
    return order
