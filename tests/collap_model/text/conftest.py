"""All four towers, built from small random configurations and saved as published models are. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPT2Config,
    GPT2Model,
    GPT2Tokenizer,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    RobertaTokenizer,
)

from collap_model.text import TextTower, new_tower

CAPTIONS = [
    "A slow song in A minor at 72 BPM, dark and sparse.",
    "A fast song in C# major at 160 BPM; it grows louder at 1:45.",
    "Steady percussion drives the bright chorus, 1,850 Hz.",
]
MAX_TOKENS = 96


@pytest.fixture(scope="session")
def roberta_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RoBERTa with ``MAX_TOKENS`` positions, with the pooler that published weights have."""
    folder = tmp_path_factory.mktemp("roberta")
    tokenizer = RobertaTokenizer(**_files(folder, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]))
    tokenizer.save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
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
    """GPT-2 with ``MAX_TOKENS`` positions and, as published, no padding token."""
    folder = tmp_path_factory.mktemp("gpt2")
    tokenizer = GPT2Tokenizer(**_files(folder, ["<|endoftext|>"]))
    tokenizer.save_pretrained(folder)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=MAX_TOKENS)
    torch.manual_seed(0)
    GPT2Model(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def modernbert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ModernBERT, every second layer local: 4 tokens to either side. Its tokenizer cuts and pads by itself."""
    folder = tmp_path_factory.mktemp("modernbert")
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    trained = _trained(special)
    trained.enable_truncation(7)
    trained.enable_padding(pad_id=3, pad_token="[PAD]")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
    )
    tokenizer.save_pretrained(folder)
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        max_position_embeddings=MAX_TOKENS,
        layer_types=["full_attention", "sliding_attention"] * 2,
        local_attention=8,
        **{f"{name}_token_id": number for name, number in [("cls", 1), ("bos", 1), ("sep", 2), ("eos", 2), ("pad", 3)]},
    )
    torch.manual_seed(0)
    ModernBertModel(config).save_pretrained(folder)
    return folder


def _trained(special: list[str]) -> Tokenizer:
    """A byte-level BPE learned from ``CAPTIONS``."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(CAPTIONS, trainer)
    return tokenizer


def _files(folder: Path, special: list[str]) -> dict[str, str]:
    vocabulary, merges = _trained(special).model.save(str(folder))
    return {"vocab": vocabulary, "merges": merges}


@pytest.fixture(params=["tiny", "roberta", "gpt2", "modernbert"])
def tower(request: pytest.FixtureRequest) -> TextTower:
    """Each tower in turn, ``MAX_TOKENS`` long, in evaluation mode."""
    name = request.param
    folder = None if name == "tiny" else str(request.getfixturevalue(f"{name}_folder"))
    torch.manual_seed(0)
    tower = new_tower(name, pretrained=folder, captions=CAPTIONS, dropout=0.1).eval()
    if name == "tiny":
        tower.max_tokens = MAX_TOKENS
    return tower
