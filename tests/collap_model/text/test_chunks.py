"""Reading texts in chunks against twins that keep everything, for every tower."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import collap_model.training.text_chunks
from collap_model.choices import FusionName
from collap_model.model import CoLLAP
from collap_model.text import TextTower
from collap_model.text.texts import Texts
from collap_model.training.text_chunks import embed_in_chunks
from tests.collap_model.models import form
from tests.collap_model.text.conftest import CAPTIONS

TEXTS = [*CAPTIONS, "Drums.", " ".join(CAPTIONS), "A quiet organ, then nothing.", "Loud."]
FUSIONS: list[FusionName] = ["attention", "token", "ordered"]


def new_model(tower: TextTower, fusion: FusionName, dropout: bool) -> CoLLAP:
    torch.manual_seed(0)
    return CoLLAP(form(fusion, text_tower=tower.architecture), tower).train(dropout)


def values_and_gradients(model: CoLLAP, size: int, seed: int = 5) -> list[Tensor]:
    """Of a function that reads every embedding and every part."""
    torch.manual_seed(seed)
    texts = embed_in_chunks(model, model.tower.tokenize(TEXTS), size)
    after = torch.rand(3)
    weights = torch.linspace(-1, 1, texts.text_ID.numel()).view_as(texts.text_ID)
    total = (texts.text_ID * weights).sum()
    if texts.parts_IPD is not None:
        total = total + (texts.parts_IPD.sum(1) * weights.flip(0)).pow(2).sum()
    parameters = [*model.tower.parameters(), *model.text.parameters()]
    return [texts.text_ID.detach(), total.detach(), *torch.autograd.grad(total, parameters), after, torch.rand(3)]


def keep_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    def plainly(function: Any, *inputs: Tensor, **_: object) -> Any:
        return function(*inputs)

    monkeypatch.setattr(collap_model.training.text_chunks, "checkpoint", plainly)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_dropout_is_replayed_to_the_bit(tower: TextTower, fusion: FusionName, monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_model(tower, fusion, dropout=True)
    found = values_and_gradients(model, 2)
    keep_everything(monkeypatch)
    twin = values_and_gradients(model, 2)
    assert not torch.equal(values_and_gradients(model, 2, seed=6)[0], twin[0])  # there is dropout to replay
    for ours, theirs in zip(found, twin, strict=True):
        assert torch.equal(ours, theirs)  # the last: random state after the backward pass is that of a kept one


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("size", [1, 3, 99])
def test_without_dropout_every_size_equals_one_pass(tower: TextTower, fusion: FusionName, size: int) -> None:
    model = new_model(tower, fusion, dropout=False)
    for ours, whole in zip(values_and_gradients(model, size), values_and_gradients(model, 0), strict=True):
        # Gradients here are of sums in the tens; rounding grows with the largest.
        torch.testing.assert_close(ours, whole, atol=1e-6 * max(1.0, whole.abs().max().item()), rtol=1e-5)


def test_one_chunk_of_all_equals_one_pass_to_the_bit_with_dropout(tower: TextTower) -> None:
    model = new_model(tower, "attention", dropout=True)
    for ours, whole in zip(values_and_gradients(model, len(TEXTS)), values_and_gradients(model, 0), strict=True):
        assert torch.equal(ours, whole)


def test_activations_wait_for_no_backward_pass(tower: TextTower) -> None:
    model = new_model(tower, "attention", dropout=True)
    tokens = model.tower.tokenize(TEXTS * 8)
    own = {parameter.data_ptr() for parameter in model.parameters()}

    def kept_bytes(size: int) -> int:
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in own:
                kept[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            texts = embed_in_chunks(model, tokens, size)
        assert isinstance(texts, Texts)
        return sum(kept.values())

    assert kept_bytes(0) > 100 * kept_bytes(4)


def test_chunks_are_padded_to_their_own_longest(tower: TextTower) -> None:
    tokens = tower.tokenize(TEXTS)
    chunks = list(tokens.split(3))
    assert [len(chunk.ids_IL) for chunk in chunks] == [3, 3, 1]
    assert all(chunk.mask_IL[:, -1].any() for chunk in chunks)
    assert sum(int(chunk.mask_IL.sum()) for chunk in chunks) == int(tokens.mask_IL.sum())
    assert sum(int(chunk.words_IL.sum()) for chunk in chunks) == int(tokens.words_IL.sum())
