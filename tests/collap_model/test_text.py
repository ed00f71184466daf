"""The three towers, built from tiny random configurations: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2Model, GPT2Tokenizer, RobertaConfig, RobertaModel, RobertaTokenizer

from collap_model.text import TextTower, TowerName, new_tower, tower_from_form
from collap_model.text.pretrained import GPT2Tower, RobertaTower
from collap_model.text.tiny import TinyTower, train_tokenizer

CAPTIONS = [
    "A slow song in A minor at 72 BPM, dark and sparse.",
    "A fast song in C# major at 160 BPM; it grows louder at 1:45.",
    "Steady percussion drives the bright chorus, 1,850 Hz.",
]
MAX_TOKENS = 24


@pytest.fixture(scope="session")
def roberta_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer RoBERTa with ``MAX_TOKENS`` positions, saved as published models are."""
    folder = tmp_path_factory.mktemp("roberta")
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = RobertaTokenizer(**_files(folder, special))
    tokenizer.save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=MAX_TOKENS + 2,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    RobertaModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer GPT-2 with ``MAX_TOKENS`` positions and, as published, no padding token."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = GPT2Tokenizer(**_files(folder, ["<|endoftext|>"]))
    tokenizer.save_pretrained(folder)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=MAX_TOKENS)
    torch.manual_seed(0)
    GPT2Model(config).save_pretrained(folder)
    return folder


def _files(folder: Path, special: list[str]) -> dict[str, str]:
    """Vocabulary and merges of a byte-level BPE learned from ``CAPTIONS``."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(CAPTIONS, trainer)
    vocabulary, merges = tokenizer.model.save(str(folder))
    return {"vocab": vocabulary, "merges": merges}


@pytest.fixture(params=["tiny", "roberta", "gpt2"])
def tower(request: pytest.FixtureRequest) -> TextTower:
    """Each tower in turn, in evaluation mode."""
    name = request.param
    folder = None if name == "tiny" else str(request.getfixturevalue(f"{name}_folder"))
    torch.manual_seed(0)
    return new_tower(name, pretrained=folder, captions=CAPTIONS, dropout=0.1).eval()


def name_of(tower: TextTower) -> TowerName:
    return {TinyTower: "tiny", RobertaTower: "roberta", GPT2Tower: "gpt2"}[type(tower)]  # type: ignore[return-value]


@torch.no_grad()
def test_a_text_reads_the_same_in_any_company(tower: TextTower) -> None:
    texts = ["A dark song", "at 72 BPM", "A slow song in A minor at 72 BPM"]
    together = tower.tokenize(texts)
    alone = [tower.tokenize([text]) for text in texts]
    expected = torch.cat([tower(tokens.ids_IL, tokens.mask_IL) for tokens in alone])
    torch.testing.assert_close(tower(together.ids_IL, together.mask_IL), expected, atol=2e-6, rtol=0)
    assert expected.shape == (3, tower.width)


@torch.no_grad()
def test_long_texts_are_cut_and_counted(tower: TextTower) -> None:
    tower.max_tokens = MAX_TOKENS
    tokens = tower.tokenize(["short", "very long indeed " * 40])
    assert tokens.num_truncated == 1
    assert tokens.ids_IL.shape == (2, MAX_TOKENS)
    assert tokens.mask_IL.sum(1).tolist()[1] == MAX_TOKENS
    assert tower(tokens.ids_IL, tokens.mask_IL).isfinite().all()


@torch.no_grad()
def test_empty_and_foreign_texts_are_readable(tower: TextTower) -> None:
    tokens = tower.tokenize(["", "Ünïcode 🎵 日本"])
    assert tokens.num_truncated == 0
    assert tower(tokens.ids_IL, tokens.mask_IL).isfinite().all()


@torch.no_grad()
def test_survives_saving(tower: TextTower, tmp_path: Path) -> None:
    tower.save_form(tmp_path)
    again = tower_from_form(name_of(tower), tmp_path).eval()
    again.load_state_dict(tower.state_dict())
    first, second = tower.tokenize(CAPTIONS), again.tokenize(CAPTIONS)
    assert torch.equal(first.ids_IL, second.ids_IL)
    assert torch.equal(tower(first.ids_IL, first.mask_IL), again(second.ids_IL, second.mask_IL))


def test_every_weight_learns(tower: TextTower) -> None:
    tokens = tower.tokenize(CAPTIONS)
    tower(tokens.ids_IL, tokens.mask_IL).square().sum().backward()
    assert [name for name, parameter in tower.named_parameters() if parameter.grad is None] == []


@torch.no_grad()
def test_roberta_pools_the_first_token_at_its_own_positions(roberta_folder: Path) -> None:
    tower = RobertaTower.from_pretrained(str(roberta_folder)).eval()
    assert tower.max_tokens == MAX_TOKENS
    tokens = tower.tokenize(CAPTIONS)
    assert tokens.ids_IL[:, 0].tolist() == [0, 0, 0]
    ends = tokens.ids_IL[torch.arange(3), tokens.mask_IL.sum(1) - 1]
    assert ends.tolist() == [2, 2, 2]
    reference = RobertaModel.from_pretrained(roberta_folder).eval()
    row = tokens.ids_IL[2:, : int(tokens.mask_IL[2].sum())]
    expected = reference(input_ids=row, position_ids=torch.arange(2, 2 + row.shape[1])[None]).last_hidden_state[:, 0]
    torch.testing.assert_close(tower(tokens.ids_IL, tokens.mask_IL)[2:], expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_gpt2_pools_the_last_real_token(gpt2_folder: Path) -> None:
    tower = GPT2Tower.from_pretrained(str(gpt2_folder)).eval()
    tokens = tower.tokenize(["A dark song", CAPTIONS[0]])
    length = int(tokens.mask_IL[0].sum())
    assert length < tokens.ids_IL.shape[1]
    assert tokens.ids_IL[0, length - 1] == tower.tokenizer.eos_token_id
    expected = tower.backbone(input_ids=tokens.ids_IL[:1, :length]).last_hidden_state[:, -1]
    torch.testing.assert_close(tower(tokens.ids_IL, tokens.mask_IL)[:1], expected, atol=1e-6, rtol=0)


def test_tiny_tokenizer_is_the_same_every_time_and_keeps_numbers_whole() -> None:
    first, second = train_tokenizer(CAPTIONS), train_tokenizer(CAPTIONS)
    assert first.to_str() == second.to_str()
    known = {first.id_to_token(number) for number in first.encode("117 BPM at 3.5 dB", add_special_tokens=False).ids}
    assert {"117", "3", "5"} <= known
    assert first.token_to_id("1001") is None


@torch.no_grad()
def test_tiny_reads_numbers_it_never_saw_by_their_size() -> None:
    tower = TinyTower(train_tokenizer(CAPTIONS)).eval()
    for words in tower.words:
        words.weight.zero_()  # leaves the number scale alone
    tokens = tower.tokenize(["at 117 BPM", "at 119 BPM", "at 60 BPM"])
    near, close, far = tower(tokens.ids_IL, tokens.mask_IL)
    assert (near - close).norm() < 0.5 * (near - far).norm()


def test_pretrained_towers_need_a_source() -> None:
    with pytest.raises(ValueError, match="needs a model name"):
        new_tower("gpt2", pretrained=None, captions=CAPTIONS, dropout=0.0)
