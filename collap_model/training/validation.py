"""Measure a model amid training, to publish the best weights of the run and not just the last.

The paper does not say which weights it reports. Here a run that validates publishes those with the
highest MRR on the split ``valid``, mean of both directions; of equal ones the earlier. R@10 would not
do: it is full of ties where the split is small, and at its ceiling long before the model is. The test
split has no say.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collap_model.evaluation.relevance import described_tracks
from collap_model.evaluation.score_tiles import embedded
from collap_model.metrics import measure
from collap_model.model import CoLLAP
from collap_model.pairs import Pairs

__all__ = ["SPLIT", "Validation", "Validator"]

SPLIT = "valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Of the weights after ``step`` steps: means of both directions, shares 0..1."""

    step: int
    recall_at_10: float
    mrr: float

    def better_than(self, other: Validation) -> bool:
        return self.mrr > other.mrr


class Validator:
    """Ranks all of the split, as ``evaluate`` does, in float32 and without dropout."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.described = described_tracks(pairs)

    @classmethod
    def open(cls, workspace: Path) -> Validator:
        """Raises ``ValueError`` for a split that is missing or has nothing to choose from."""
        try:
            validator = cls(Pairs.open(workspace, SPLIT))
        except ValueError as error:
            raise ValueError(f"validate_every needs a split to measure on: {error}; or set it to 0") from error
        num_tracks = len(validator.pairs.track_ids)
        if min(num_tracks, len(validator.described)) < 2:
            raise ValueError(
                f"split {SPLIT!r} has {num_tracks} tracks and {len(validator.described)} different "
                "captions; validation needs at least 2 of both: add songs, or set validate_every to 0"
            )
        return validator

    def measure(self, model: CoLLAP, step: int) -> Validation:
        """The model is left in the mode it was in."""
        was_training = model.training
        model.eval()
        try:
            with embedded(model, list(self.described), self.pairs, self.pairs.track_ids) as seen:
                metrics = measure(seen.scores, list(self.described.values())).metrics
        finally:
            model.train(was_training)
        both = (metrics.text_to_track, metrics.track_to_text)
        return Validation(
            step=step,
            recall_at_10=sum(found.recall_at_10.value for found in both) / 2,
            mrr=sum(found.mrr.value for found in both) / 2,
        )
