"""Where a model looks in a few tracks of a split for the paragraphs of their captions: for pictures in reports.

Shapes: J tracks, K clips, E encoder dim.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from collap_model.encoders.encoder import SAMPLE_RATE_HZ
from collap_model.hearing import clip_spans
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs
from collap_model.tracks import Tracks
from collap_model.training.data import pad_clips

__all__ = ["Attended", "attended"]

_TRACKS_SHOWN, _PARAGRAPHS_SHOWN = 2, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """One track."""

    track_id: str
    moments: dict[str, list[tuple[float, float, float]]]
    """``CoLLAP.attention_over_time`` by paragraph: first the global one, then those of sections."""


def attended(model: CoLLAP, pairs: Pairs) -> tuple[Attended, ...]:
    """Of the first tracks that the model hears whole; none for fusions that look at all clips alike."""
    return () if model.form.fusion == "mean" else tuple(islice(_attended(model, pairs), _TRACKS_SHOWN))


def _attended(model: CoLLAP, pairs: Pairs) -> Iterator[Attended]:
    captions = {pair.track_id: pair.caption for pair in reversed(pairs.pairs)}  # the first of each
    for track_id in pairs.track_ids:
        seconds = pairs.store.rows[track_id].num_seconds
        paragraphs = [text for text in captions[track_id].split("\n\n") if any(map(str.isalnum, text))]
        if seconds > model.form.max_track_seconds or not paragraphs:
            continue
        track = _track(model, pairs, track_id, seconds)
        moments = {text: model.attention_over_time(text, track) for text in paragraphs[:_PARAGRAPHS_SHOWN]}
        yield Attended(track_id=track_id, moments=moments)


@torch.no_grad()
def _track(model: CoLLAP, pairs: Pairs, track_id: str, seconds: int) -> Tracks:
    clips_KE = pairs.clips(track_id, clip_seconds=model.form.clip_seconds, longest=seconds)
    clips_JKE, mask_JK = (tensor.to(model.device) for tensor in pad_clips([clips_KE]))
    spans_s = clip_spans(seconds * SAMPLE_RATE_HZ, model.form.clip_seconds)
    return Tracks(clips_JKD=model.embed_clips(clips_JKE, mask_JK), mask_JK=mask_JK, spans_s=(spans_s,))
