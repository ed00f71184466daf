"""RoBERTa and GPT-2, the paper's two text towers, through transformers.

Shapes: I texts, L tokens, W tower width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2Model,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaConfig,
    RobertaModel,
)

from collap_model.text.tokens import TokenBatch, pad_tokens
from collap_model.text.tower import TextTower

__all__ = ["GPT2Tower", "RobertaTower"]


class RobertaTower(TextTower):
    """The first token (``<s>``) of RoBERTa, 512 tokens."""

    def __init__(self, backbone: RobertaModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.width = backbone.config.hidden_size
        # RoBERTa numbers positions from padding id + 1: 514 rows of its table hold 512 tokens.
        self.pad_id: int = backbone.embeddings.padding_idx
        self.max_tokens = backbone.config.max_position_embeddings - self.pad_id - 1

    @classmethod
    def from_pretrained(cls, name_or_path: str) -> RobertaTower:
        # Without the pooler: its weights would get no gradient, which DDP refuses.
        backbone = RobertaModel.from_pretrained(name_or_path, add_pooling_layer=False, dtype=torch.float32)
        return cls(backbone, _load_tokenizer(name_or_path))

    @classmethod
    def from_form(cls, folder: Path) -> RobertaTower:
        return cls(
            RobertaModel(RobertaConfig.from_pretrained(folder), add_pooling_layer=False), _load_tokenizer(folder)
        )

    def save_form(self, folder: Path) -> None:
        _save_form(self.backbone, self.tokenizer, folder)

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        return pad_tokens(
            _plain_ids(self.tokenizer, texts),
            pad_id=self.pad_id,
            max_tokens=self.max_tokens,
            before=(self.tokenizer.bos_token_id,),
            after=(self.tokenizer.eos_token_id,),
        )

    def forward(self, ids_IL: Tensor, mask_IL: Tensor) -> Tensor:
        return self.backbone(input_ids=ids_IL, attention_mask=mask_IL.long()).last_hidden_state[:, 0]


class GPT2Tower(TextTower):
    """The last real token of GPT-2, 1024 tokens, right padding.

    An end-of-text token closes every text, so that the pooled position always sees the same token
    after the whole text. Padding uses the same id; the mask, not the id, finds the last position.
    """

    def __init__(self, backbone: GPT2Model, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.width = backbone.config.n_embd
        self.max_tokens = backbone.config.n_positions

    @classmethod
    def from_pretrained(cls, name_or_path: str) -> GPT2Tower:
        return cls(GPT2Model.from_pretrained(name_or_path, dtype=torch.float32), _load_tokenizer(name_or_path))

    @classmethod
    def from_form(cls, folder: Path) -> GPT2Tower:
        return cls(GPT2Model(GPT2Config.from_pretrained(folder)), _load_tokenizer(folder))

    def save_form(self, folder: Path) -> None:
        _save_form(self.backbone, self.tokenizer, folder)

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        end = self.tokenizer.eos_token_id
        return pad_tokens(_plain_ids(self.tokenizer, texts), pad_id=end, max_tokens=self.max_tokens, after=(end,))

    def forward(self, ids_IL: Tensor, mask_IL: Tensor) -> Tensor:
        states_ILW = self.backbone(input_ids=ids_IL, attention_mask=mask_IL.long()).last_hidden_state
        last_I = mask_IL.sum(1) - 1
        return states_ILW[torch.arange(len(states_ILW), device=last_I.device), last_I]


def _load_tokenizer(name_or_path: str | Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(name_or_path)


def _plain_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Ids of the words alone, uncut; the towers add their own first and last tokens."""
    return tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]


def _save_form(backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    backbone.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
