"""What holds for every tower."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NoReturn, get_args

import pytest
import torch

from collap_model.text import TextStates, TextTower, TokenBatch, TowerName, new_tower, tower_from_form
from tests.collap_model.test_device import run_on_gpu
from tests.collap_model.text.conftest import CAPTIONS, MAX_TOKENS

LONG = "It grows louder at 1:45. " * 40


def read(tower: TextTower, tokens: TokenBatch) -> TextStates:
    return tower(tokens.ids_IL, tokens.mask_IL)


def name_of(tower: TextTower) -> TowerName:
    return tower.architecture  # type: ignore[return-value]


@torch.no_grad()
def test_a_text_reads_the_same_in_any_company(tower: TextTower) -> None:
    tower.double()
    texts = ["A", "A dark song", "A slow song in A minor at 72 BPM", LONG]
    tokens = tower.tokenize(texts)
    together = read(tower, tokens)
    assert together.pooled_IW.shape == (4, tower.width)
    assert together.states_ILW.shape == (*tokens.ids_IL.shape, tower.width)
    assert tokens.ids_IL.shape[1] > MAX_TOKENS - 20
    for index, text in enumerate(texts):
        alone = read(tower, tower.tokenize([text]))
        states_LW = together.states_ILW[index][tokens.mask_IL[index]]
        torch.testing.assert_close(together.pooled_IW[index], alone.pooled_IW[0], atol=1e-12, rtol=0)
        torch.testing.assert_close(states_LW, alone.states_ILW[0], atol=1e-12, rtol=0)


def test_values_and_gradients_stay_finite_where_a_text_is_mostly_padding(tower: TextTower) -> None:
    states = read(tower, tower.tokenize(["A", LONG]))
    assert states.pooled_IW.isfinite().all()
    assert states.states_ILW.isfinite().all()
    (states.pooled_IW.square().sum() + states.states_ILW.square().sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in tower.parameters())


@torch.no_grad()
def test_the_id_in_the_padding_does_not_matter(tower: TextTower) -> None:
    tokens = tower.tokenize(["A dark song", LONG])
    other_IL = tokens.ids_IL.where(tokens.mask_IL, 7)
    torch.testing.assert_close(
        tower(other_IL, tokens.mask_IL).pooled_IW, read(tower, tokens).pooled_IW, atol=1e-6, rtol=0
    )


@torch.no_grad()
def test_the_end_of_a_text_counts_as_its_beginning_does(tower: TextTower) -> None:
    texts = ["slow, dark, A minor", "fast, dark, A minor", "slow, dark, A major"]
    slow, fast, major = read(tower, tower.tokenize(texts)).pooled_IW
    assert (slow - fast).abs().max() > 1e-4
    assert (slow - major).abs().max() > 1e-4


def test_every_weight_learns(tower: TextTower) -> None:
    read(tower, tower.tokenize(CAPTIONS)).pooled_IW.square().sum().backward()
    assert [name for name, parameter in tower.named_parameters() if parameter.grad is None] == []


@torch.no_grad()
def test_survives_saving_without_a_network(tower: TextTower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("asked the network")

    texts = [*CAPTIONS, LONG, "</s> <pad>"]
    tower.save_form(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    again = tower_from_form(name_of(tower), tmp_path).eval()
    assert again.max_tokens == (1024 if name_of(tower) == "tiny" else MAX_TOKENS)
    again.max_tokens = tower.max_tokens
    again.load_state_dict(tower.state_dict())
    first, second = tower.tokenize(texts), again.tokenize(texts)
    assert torch.equal(first.ids_IL, second.ids_IL)
    assert first.num_tokens_lost == second.num_tokens_lost > 0
    assert torch.equal(read(tower, first).pooled_IW, read(again, second).pooled_IW)


def test_a_folder_of_another_architecture_is_refused(tower: TextTower, tmp_path: Path) -> None:
    tower.save_form(tmp_path)
    others = [name for name in get_args(TowerName) if name != name_of(tower)]
    assert len(others) == 3
    for name in others:
        expected = f"of type '{tower.architecture}'; this tower needs '{name}'"
        with pytest.raises(ValueError, match=expected):
            tower_from_form(name, tmp_path)
        if name != "tiny":
            with pytest.raises(ValueError, match=expected):
                new_tower(name, pretrained=str(tmp_path), captions=CAPTIONS, dropout=0.0)


def test_a_folder_without_a_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config\.json is missing"):
        tower_from_form("tiny", tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "ti')
    with pytest.raises(ValueError, match="is not JSON"):
        tower_from_form("roberta", tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ValueError, match="holds a list; expected an object"):
        tower_from_form("gpt2", tmp_path)


def test_towers_read_and_learn_on_a_pretended_gpu(
    roberta_folder: Path, gpt2_folder: Path, modernbert_folder: Path
) -> None:
    run_on_gpu("reading", roberta_folder, gpt2_folder, modernbert_folder)
