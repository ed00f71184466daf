"""Each tower against transformers used by hand, and folders that are not whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ModernBertForSequenceClassification, RobertaForMaskedLM, RobertaModel

from collap_model.text import TowerName, new_tower
from collap_model.text.pretrained import GPT2Tower, ModernBertTower, RobertaTower
from tests.collap_model.text.conftest import CAPTIONS, MAX_TOKENS


@torch.no_grad()
def test_roberta_pools_the_first_token_at_its_own_positions(roberta_folder: Path) -> None:
    tower = RobertaTower.from_pretrained(str(roberta_folder)).eval()
    assert tower.max_tokens == MAX_TOKENS
    tokens = tower.tokenize(CAPTIONS)
    assert tokens.ids_IL[:, 0].tolist() == [0, 0, 0]
    ends = tokens.ids_IL[torch.arange(3), tokens.mask_IL.sum(1) - 1]
    assert ends.tolist() == [2, 2, 2]
    reference = RobertaModel.from_pretrained(roberta_folder).eval()
    tokens.ids_IL[2, 3] = tower.pad_id  # the mask alone says what is padding
    row = tokens.ids_IL[2:, : int(tokens.mask_IL[2].sum())]
    expected = reference(input_ids=row, position_ids=torch.arange(2, 2 + row.shape[1])[None]).last_hidden_state[:, 0]
    torch.testing.assert_close(tower(tokens.ids_IL, tokens.mask_IL).pooled_IW[2:], expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_a_short_text_gets_the_ids_that_transformers_gives(roberta_folder: Path) -> None:
    tower = RobertaTower.from_pretrained(str(roberta_folder))
    expected = tower.tokenizer(CAPTIONS, padding=True, return_tensors="pt")
    tokens = RobertaTower.from_pretrained(str(roberta_folder)).tokenize(CAPTIONS)
    assert torch.equal(tokens.ids_IL, expected["input_ids"])
    assert torch.equal(tokens.mask_IL, expected["attention_mask"].bool())


@torch.no_grad()
def test_gpt2_pools_the_last_real_token(gpt2_folder: Path) -> None:
    tower = GPT2Tower.from_pretrained(str(gpt2_folder)).eval()
    assert tower.max_tokens == MAX_TOKENS
    tokens = tower.tokenize(["A dark song", CAPTIONS[0]])
    length = int(tokens.mask_IL[0].sum())
    assert length < tokens.ids_IL.shape[1]
    assert tokens.ids_IL[0, length - 1] == tower.tokenizer.eos_token_id
    expected = tower.backbone(input_ids=tokens.ids_IL[:1, :length]).last_hidden_state[:, -1]
    torch.testing.assert_close(tower(tokens.ids_IL, tokens.mask_IL).pooled_IW[:1], expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_modernbert_pools_as_its_own_classifier_does(modernbert_folder: Path) -> None:
    tower = ModernBertTower.from_pretrained(str(modernbert_folder)).eval()
    assert tower.max_tokens == MAX_TOKENS
    tokens = tower.tokenize(["A dark song", " ".join(CAPTIONS)])
    assert tokens.ids_IL[:, 0].tolist() == [1, 1]
    assert tokens.ids_IL[torch.arange(2), tokens.mask_IL.sum(1) - 1].tolist() == [2, 2]
    classifier = ModernBertForSequenceClassification.from_pretrained(
        modernbert_folder, classifier_pooling="mean", num_labels=2
    ).eval()
    seen: list[torch.Tensor] = []
    classifier.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    classifier(input_ids=tokens.ids_IL, attention_mask=tokens.mask_IL.long())
    torch.testing.assert_close(tower(tokens.ids_IL, tokens.mask_IL).pooled_IW, seen[0], atol=1e-6, rtol=0)


@torch.no_grad()
def test_weights_of_a_model_with_a_head_load(roberta_folder: Path, tmp_path: Path) -> None:
    """Published RoBERTa and GPT-2 are saved with their language-model heads."""
    shutil.copytree(roberta_folder, tmp_path, dirs_exist_ok=True)
    model = RobertaForMaskedLM.from_pretrained(roberta_folder)
    model.save_pretrained(tmp_path)
    tower, plain = (RobertaTower.from_pretrained(str(folder)).eval() for folder in (tmp_path, roberta_folder))
    tokens = tower.tokenize(CAPTIONS)
    assert torch.equal(tower(tokens.ids_IL, tokens.mask_IL).pooled_IW, plain(tokens.ids_IL, tokens.mask_IL).pooled_IW)


@pytest.mark.parametrize("name", ["roberta", "gpt2", "modernbert"])
def test_unusable_weights_are_refused(name: TowerName, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    def load() -> None:
        new_tower(name, pretrained=str(tmp_path), captions=CAPTIONS, dropout=0.0)

    shutil.copytree(request.getfixturevalue(f"{name}_folder"), tmp_path, dirs_exist_ok=True)
    load()
    weights = tmp_path / "model.safetensors"
    whole = load_file(weights)
    block = next(key for key in whole if "attn" in key.lower() or "attention" in key)

    save_file({key: value for key, value in whole.items() if key != block}, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"lacks 1 weights of a {name} model"):
        load()

    save_file(whole | {block: torch.zeros(3, 3)}, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"cannot load a {name} text model"):
        load()

    save_file(whole, weights, metadata={"format": "pt"})
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=f"cannot load a {name} text model"):
        load()

    weights.unlink()
    with pytest.raises(ValueError, match=f"cannot load a {name} text model"):
        load()


def test_a_tokenizer_of_another_model_is_refused(roberta_folder: Path) -> None:
    tower = RobertaTower.from_pretrained(str(roberta_folder))
    tower.tokenizer.add_tokens(["arpeggio"])
    with pytest.raises(ValueError, match="do not belong together"):
        RobertaTower.build(tower.backbone, tower.tokenizer)


def test_pretrained_towers_need_a_source() -> None:
    with pytest.raises(ValueError, match="needs a model name"):
        new_tower("gpt2", pretrained=None, captions=CAPTIONS, dropout=0.0)
