"""The score of texts against tracks, the same in training and evaluation, always in float32.

Shapes: I texts, P parts, Q queries, J tracks, K clips, D joint dim.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from collap_model.bounded import BoundedScale
from collap_model.choices import FusionName
from collap_model.fusion.attention import attention_scores, attention_weights
from collap_model.fusion.max import max_scores, max_weights
from collap_model.fusion.mean import mean_scores, mean_weights
from collap_model.fusion.ordered import ordered_scores, ordered_weights
from collap_model.fusion.tiles import Fuse, Queries, Tracks, in_tiles, whole
from collap_model.fusion.token import token_scores, token_weights
from collap_model.text.texts import Texts

__all__ = ["FUSIONS_OF_PARTS", "FusionName", "Score"]

FUSIONS_OF_PARTS: frozenset[FusionName] = frozenset({"token", "ordered"})
"""Those that read ``Texts.parts_IPD``."""
_SCORES: dict[FusionName, Fuse] = {
    "attention": attention_scores,
    "token": token_scores,
    "ordered": ordered_scores,
    "max": max_scores,
}
_WEIGHTS: dict[FusionName, Fuse] = {
    "attention": attention_weights,
    "token": token_weights,
    "ordered": ordered_weights,
    "mean": mean_weights,
    "max": max_weights,
}


class Score(nn.Module):
    """``forward(texts, clips_JKD, mask_JK) -> scores_IJ``, cosines in -1..1, from unit vectors.

    ``attention`` is the paper's: ``(1 - lam) cos(t, mean_k a_k) + lam cos(t, sum_k alpha_k a_k)``
    with ``alpha = softmax(tau t . a)`` over real clips; ``tau`` in 0.1..100 and ``lam`` in 0..1 are learned.
    ``token`` and ``ordered`` put the mean over the text's parts of ``sum_k alpha_k p . a_k`` in the second place,
    ``ordered`` with a learned pull of each part but the first to its place in the track: ``width`` in 0.02..2 of
    the track's length, ``strength`` in 0..1. ``mean`` and ``max`` have no parameters and are ablations.

    Peak memory beside inputs and gradients is a few times ``elements_per_tile`` floats, forward and backward;
    results do not depend on it (see ``fusion.tiles``).
    """

    def __init__(self, fusion: FusionName, *, elements_per_tile: int = 2**20) -> None:
        super().__init__()
        if elements_per_tile < 1:
            raise ValueError(f"elements_per_tile must be >= 1, got {elements_per_tile}")
        self.fusion = fusion
        self.elements_per_tile = elements_per_tile
        if fusion in ("attention", "token", "ordered"):
            # Of paragraphs each clip near their place is a little right; one clip alone would be a guess.
            self.tau = BoundedScale(0.1, 100.0, init=5.0 if fusion == "ordered" else 10.0)
            self.lam_logit = nn.Parameter(torch.tensor(0.0))
        if fusion == "ordered":
            self.width = BoundedScale(0.02, 2.0, init=0.07)
            self.strength_logit = nn.Parameter(torch.tensor(1.0))

    @property
    def lam(self) -> Tensor:
        """Share of the attended track in the score, 0..1."""
        return self.lam_logit.sigmoid()

    @property
    def strength(self) -> Tensor:
        """Share of each part's attention that heeds order, 0..1."""
        return self.strength_logit.sigmoid()

    def forward(self, texts: Texts, clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
        """Padding, in clips and in parts, may hold anything: it changes neither scores nor gradients.

        Raises:
            ValueError: a track without a real clip, a text without a real part, no parts where the fusion
                needs them, or shapes that do not belong together.
        """
        with torch.autocast(clips_JKD.device.type, enabled=False):
            queries, tracks = self._queries(texts), _tracks(texts, clips_JKD, mask_JK)
            if self.fusion == "mean":
                return mean_scores(texts.text_ID.float(), tracks.clips_JKD, mask_JK)
            found_IJ = in_tiles(
                _SCORES[self.fusion], queries, tracks, *self._numbers(), elements=self.elements_per_tile
            )
            if self.fusion == "max":
                return found_IJ
            return torch.lerp(mean_scores(texts.text_ID.float(), tracks.clips_JKD, mask_JK), found_IJ, self.lam)

    @torch.no_grad()
    def attention_weights(self, texts: Texts, clips_JKD: Tensor, mask_JK: Tensor) -> Tensor:
        """How much each text looks at each clip, ``weights_IJK``: 0 on padding, sum 1 over a track. For pictures.

        For ``token`` and ``ordered`` the mean over the text's parts; for ``mean`` equal weights; for ``max`` 1 on the
        best clip. The share ``1 - lam`` of a score that is the plain mean of the track is not in it.
        Builds ``[J, K, Q]`` at once. Raises as ``forward`` does.
        """
        with torch.autocast(clips_JKD.device.type, enabled=False):
            queries, tracks = self._queries(texts), _tracks(texts, clips_JKD, mask_JK)
            weights_JKQ = _WEIGHTS[self.fusion](whole(queries, tracks), *self._numbers())
            return (weights_JKQ @ queries.share_QI()).permute(2, 0, 1)

    def _numbers(self) -> list[Tensor]:
        """The learned numbers of the fusion, in the order its functions take them."""
        if self.fusion == "ordered":
            return [self.tau(), self.width(), self.strength]
        return [self.tau()] if self.fusion in ("attention", "token") else []

    def _queries(self, texts: Texts) -> Queries:
        """Whole texts, or the real parts of all texts, one after the other."""
        if self.fusion not in FUSIONS_OF_PARTS:
            text_ID = texts.text_ID.float()
            return Queries(
                vectors_QD=text_ID, at_Q=torch.full_like(text_ID[:, 0], torch.nan), counts=[1] * len(text_ID)
            )
        parts_IPD, mask_IP = texts.parts_IPD, texts.parts_mask_IP
        if parts_IPD is None or mask_IP is None:
            raise ValueError(f"the {self.fusion} fusion reads parts of texts, and these texts come without")
        if parts_IPD.shape[:2] != mask_IP.shape or len(parts_IPD) != len(texts):
            raise ValueError(
                f"parts {list(parts_IPD.shape)} of {len(texts)} texts do not fit their mask {list(mask_IP.shape)}"
            )
        counts: list[int] = mask_IP.sum(1).tolist()
        if 0 in counts:
            raise ValueError(f"text {counts.index(0)} has no real part: its row of the mask is all False")
        return Queries(vectors_QD=parts_IPD[mask_IP].float(), at_Q=_expected(mask_IP)[mask_IP], counts=counts)


def _tracks(texts: Texts, clips_JKD: Tensor, mask_JK: Tensor) -> Tracks:
    if clips_JKD.ndim != 3 or mask_JK.shape != clips_JKD.shape[:2] or clips_JKD.shape[2] != texts.text_ID.shape[1]:
        raise ValueError(
            f"expected clips [J, K, {texts.text_ID.shape[1]}] and a mask [J, K], "
            f"got {list(clips_JKD.shape)} and {list(mask_JK.shape)}"
        )
    ends_K = torch.arange(1, mask_JK.shape[1] + 1, device=mask_JK.device)
    extents: list[int] = (mask_JK * ends_K).amax(1).tolist()
    if 0 in extents:
        raise ValueError(f"track {extents.index(0)} has no real clip: its row of the mask is all False")
    return Tracks(clips_JKD=clips_JKD.float(), mask_JK=mask_JK, at_JK=_places(mask_JK), extents=extents)


def _places(mask_NM: Tensor) -> Tensor:
    """Middle of each real member of a row, in 0..1 of all real ones: ``(rank + 1/2) / count``, ``[N, M]``."""
    return (mask_NM.cumsum(1) - 0.5) / mask_NM.sum(1, keepdim=True)


def _expected(mask_IP: Tensor) -> Tensor:
    """Where in a track each part expects its music, ``[I, P]``, see ``fusion.ordered``; NaN for the first."""
    rank_IP, count_I1 = mask_IP.cumsum(1), mask_IP.sum(1, keepdim=True)
    places_IP = (rank_IP - 1.5) / (count_I1 - 1).clamp(min=1)
    return places_IP.masked_fill(rank_IP <= 1, torch.nan)
