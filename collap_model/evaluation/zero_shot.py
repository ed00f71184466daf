"""Classification without training: a text per class, and the model's own score of it against each track.

Shapes: J tracks, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from collap_model.evaluation.score_tiles import score_matrix
from collap_model.features.feature_store import FeatureStore
from collap_model.model import CoLLAP
from collap_model.pairs import Pair, Pairs

__all__ = ["class_texts", "zero_shot_scores"]


def class_texts(classes: Sequence[str], prompt: str) -> list[str]:
    """The prompt with each class for ``{label}``; of ``genre---rock`` the label is ``rock``.

    Raises:
        ValueError: two classes have one text.
    """
    texts = [prompt.replace("{label}", name.rpartition("---")[2]) for name in classes]
    if len(set(texts)) < len(texts):
        repeated = next(text for text in texts if texts.count(text) > 1)
        raise ValueError(f"two classes are both {repeated!r}; no score can tell them apart")
    return texts


def zero_shot_scores(model: CoLLAP, store: FeatureStore, track_ids: Sequence[str], texts: Sequence[str]) -> Tensor:
    """``scores_JC`` of each track against the text of each class, by the scorer the model was trained with."""
    pairs = Pairs([Pair(track_id, "") for track_id in track_ids], store, "test")
    scores_CJ, _ = score_matrix(model, list(texts), pairs, list(track_ids))
    return scores_CJ.T
