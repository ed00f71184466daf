from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax

from collap_model.evaluation.class_metrics import class_metrics
from collap_model.evaluation.linear_probe import PENALTIES, Labelled, fit_probe


def labelled(num_tracks: int, seed: int, *, noise: float = 0.5, several: bool = False) -> Labelled:
    rng = np.random.default_rng(seed)
    centres = 3 * np.random.default_rng(99).standard_normal((3, 5))
    has = np.eye(3, dtype=bool)[rng.integers(0, 3, num_tracks)]
    if several:
        has |= rng.random(has.shape) < 0.3
    vectors = 7.0 + 100 * (has @ centres + noise * rng.standard_normal((num_tracks, 5)))
    return Labelled(vectors_JD=torch.from_numpy(np.float32(vectors)), has_JC=torch.from_numpy(has))


@pytest.mark.parametrize("several", [False, True])
def test_probe_finds_what_can_be_told(several: bool) -> None:
    train, valid, test = (labelled(80, seed, several=several) for seed in range(3))
    probe = fit_probe(train, valid, single_label=not several)
    found = class_metrics(probe.scores(test.vectors_JD).numpy(), test.has_JC.numpy(), single_label=not several)
    assert found.roc_auc > 0.95 and (several or (found.accuracy or 0) > 0.95)
    assert probe.penalty in PENALTIES


def test_labels_at_random_give_chance() -> None:
    train, valid, test = (labelled(200, seed, noise=1e3) for seed in range(3))
    probe = fit_probe(train, valid, single_label=True)
    found = class_metrics(probe.scores(test.vectors_JD).numpy(), test.has_JC.numpy(), single_label=True)
    assert abs(found.roc_auc - 0.5) < 0.1


def test_probe_is_the_minimum_that_another_solver_finds() -> None:
    train = labelled(40, 0, noise=3.0)
    probe = fit_probe(train, labelled(40, 1, noise=3.0), single_label=True)
    inputs = ((train.vectors_JD.double() - probe.mean_D) / probe.std_D).numpy()
    has = train.has_JC.numpy()

    def loss(flat: np.ndarray) -> float:
        weights, bias = flat[:15].reshape(5, 3), flat[15:]
        likelihood = log_softmax(inputs @ weights + bias, axis=1)[has].mean()
        return float(-likelihood + probe.penalty / 2 * (weights**2).sum())

    ours = np.concatenate([probe.weights_DC.numpy().ravel(), probe.bias_C.numpy()])
    theirs = minimize(loss, np.zeros(18), method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 10**6})
    assert loss(ours) <= theirs.fun + 1e-7
    np.testing.assert_allclose(probe.weights_DC.numpy().ravel(), theirs.x[:15], atol=0.02)


def test_constant_features_and_no_tracks() -> None:
    train = labelled(40, 0)
    train.vectors_JD[:, 0] = 5.0
    probe = fit_probe(train, train, single_label=True)
    assert torch.isfinite(probe.scores(train.vectors_JD)).all()
    none = Labelled(vectors_JD=torch.empty(0, 5), has_JC=torch.empty(0, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match="not 40 and 0"):
        fit_probe(train, none, single_label=True)
