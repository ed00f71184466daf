"""What the metrics of a split cannot say: whether a model uses long texts, long audio, and their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collap_model.evaluation.both_ways import BothWays
from collap_model.evaluation.curves import CurvePoint, seconds_curve, tokens_curve
from collap_model.evaluation.order_figures import OrderSwap
from collap_model.evaluation.order_swap import order_swap
from collap_model.evaluation.score_tiles import Embedded
from collap_model.evaluation.shuffled import Shuffled, shuffled
from collap_model.evaluation.told import told_captions
from collap_model.metrics import RetrievalMetrics
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs

__all__ = ["Probes", "probe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Curves always; the others are None where the workspace has no captions whose sections are known."""

    tokens: tuple[CurvePoint, ...]
    seconds: tuple[CurvePoint, ...]
    shuffled: Shuffled | None
    clock_free: BothWays | None
    """With the captions without clock times, nothing shuffled: what ``shuffled`` is compared with."""
    order: OrderSwap | None
    """None too where no caption has two sections to exchange."""


def probe(
    model: CoLLAP, pairs: Pairs, described: Mapping[str, Sequence[int]], seen: Embedded, whole: RetrievalMetrics
) -> Probes:
    """Probe a model on a split that it has seen, after ``whole`` was measured.

    Raises:
        ValueError: a table of captions that lacks a column, or scores that are not finite.
    """
    texts, relevant = list(described), list(described.values())
    told = told_captions(pairs, described)
    changed, plain = shuffled(model, pairs, told, described) if told else (None, None)
    return Probes(
        tokens=tokens_curve(model, texts, relevant, seen, whole),
        seconds=seconds_curve(model, pairs, pairs.track_ids, relevant, seen, whole),
        shuffled=changed,
        clock_free=plain,
        order=order_swap(model, pairs, told, seen.tracks),
    )
