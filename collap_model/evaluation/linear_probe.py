"""Logistic regression on frozen vectors: what a linear reader can tell from them.

Shapes: J tracks, D width, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from collap_model.evaluation.class_metrics import class_metrics

__all__ = ["PENALTIES", "Labelled", "Probe", "fit_probe"]

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Of half the squared weights, beside the mean loss; the best one on the validation tracks is taken."""

_MAX_STEPS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Tracks as vectors, and which classes they have."""

    vectors_JD: Tensor
    has_JC: Tensor
    """Boolean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A fitted probe."""

    mean_D: Tensor
    std_D: Tensor
    weights_DC: Tensor
    bias_C: Tensor
    penalty: float

    def scores(self, vectors_JD: Tensor) -> Tensor:
        """Logits ``[J, C]`` in float64."""
        return ((vectors_JD.double() - self.mean_D) / self.std_D) @ self.weights_DC + self.bias_C


def fit_probe(train: Labelled, valid: Labelled, *, single_label: bool) -> Probe:
    """The probe with the penalty that does best on ``valid``: by accuracy, or by ROC-AUC where labels are several.

    The problem is convex and solved in float64 by L-BFGS from zero, so the result depends on no seed.

    Raises:
        ValueError: no tracks, or as ``class_metrics`` says of ``valid``.
    """
    if not len(train.vectors_JD) or not len(valid.vectors_JD):
        raise ValueError(
            f"a probe needs tracks to fit and to choose by, not {len(train.vectors_JD)} and {len(valid.vectors_JD)}"
        )
    probes = [_fit(train, penalty, single_label) for penalty in PENALTIES]

    def quality(probe: Probe) -> float:
        found = class_metrics(probe.scores(valid.vectors_JD).numpy(), valid.has_JC.numpy(), single_label=single_label)
        return found.roc_auc if found.accuracy is None else found.accuracy

    return max(probes, key=quality)


def _fit(train: Labelled, penalty: float, single_label: bool) -> Probe:
    vectors_JD, has_JC = train.vectors_JD.double(), train.has_JC.double()
    mean_D, std_D = vectors_JD.mean(0), vectors_JD.std(0, correction=0)
    std_D = torch.where(std_D > 1e-8, std_D, 1.0)
    weights_DC = torch.zeros(vectors_JD.shape[1], has_JC.shape[1], dtype=torch.float64, requires_grad=True)
    bias_C = torch.zeros(has_JC.shape[1], dtype=torch.float64, requires_grad=True)
    inputs_JD = (vectors_JD - mean_D) / std_D
    solver = torch.optim.LBFGS(
        [weights_DC, bias_C], max_iter=_MAX_STEPS, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        logits_JC = inputs_JD @ weights_DC + bias_C
        misfit = (
            cross_entropy(logits_JC, has_JC)
            if single_label
            else binary_cross_entropy_with_logits(logits_JC, has_JC, reduction="none").sum(1).mean()
        )
        total = misfit + penalty / 2 * weights_DC.square().sum()
        total.backward()
        return total

    solver.step(loss)
    return Probe(mean_D=mean_D, std_D=std_D, weights_DC=weights_DC.detach(), bias_C=bias_C.detach(), penalty=penalty)
