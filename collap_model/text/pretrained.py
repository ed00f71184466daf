"""RoBERTa and GPT-2, the paper's two text towers, and ModernBERT, which reads 8192 tokens, through transformers.

Shapes: I texts, L tokens, W tower width.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoTokenizer,
    GPT2Model,
    ModernBertModel,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaModel,
)

from collap_model.text.tower import TextStates, TextTower, check_architecture, read_form

__all__ = ["GPT2Tower", "ModernBertTower", "PretrainedTower", "RobertaTower"]


class PretrainedTower(TextTower):
    """A transformers model with its own tokenizer."""

    model_class: ClassVar[Any]
    """Of transformers."""
    options: ClassVar[dict[str, Any]] = {}
    """What the model is built with beside its configuration."""

    def __init__(
        self,
        backbone: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_tokens: int,
        pad_id: int,
        before: tuple[int, ...] = (),
        after: tuple[int, ...] = (),
    ) -> None:
        if len(tokenizer) > backbone.config.vocab_size:
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens, the {self.architecture} model embeds "
                f"{backbone.config.vocab_size}; they do not belong together"
            )
        super().__init__(
            tokenizer.backend_tokenizer,
            width=backbone.config.hidden_size,
            max_tokens=max_tokens,
            pad_id=pad_id,
            before=before,
            after=after,
        )
        self.backbone = backbone
        self.tokenizer = tokenizer

    @classmethod
    @abstractmethod
    def build(cls, backbone: Any, tokenizer: PreTrainedTokenizerBase) -> Self:
        """The tower of a loaded model."""

    @classmethod
    def from_pretrained(cls, name_or_path: str) -> Self:
        """Weights and tokenizer of a Hugging Face name or a folder, in float32.

        Raises:
            ValueError: it cannot be loaded, is of another architecture, or lacks weights, which
                transformers would fill in at random.
        """
        try:
            check_architecture(PreTrainedConfig.get_config_dict(name_or_path)[0], cls.architecture, name_or_path)
            backbone, loaded = cls.model_class.from_pretrained(
                name_or_path, dtype=torch.float32, output_loading_info=True, **cls.options
            )
            tokenizer = AutoTokenizer.from_pretrained(name_or_path)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise ValueError(f"cannot load a {cls.architecture} text model from {name_or_path}: {error}") from error
        if missing := sorted(loaded["missing_keys"]):
            raise ValueError(
                f"{name_or_path} lacks {len(missing)} weights of a {cls.architecture} model, {missing[0]} for one"
            )
        return cls.build(backbone, tokenizer)

    @classmethod
    def from_form(cls, folder: Path) -> Self:
        check_architecture(read_form(folder), cls.architecture, folder)
        config = cls.model_class.config_class.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return cls.build(cls.model_class(config, **cls.options), tokenizer)

    def save_form(self, folder: Path) -> None:
        self.backbone.config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


class RobertaTower(PretrainedTower):
    """The first token (``<s>``) of RoBERTa, 512 tokens."""

    architecture = "roberta"
    model_class = RobertaModel
    # Without the pooler: its weights would get no gradient, which DDP refuses.
    options: ClassVar[dict[str, Any]] = {"add_pooling_layer": False}

    @classmethod
    def build(cls, backbone: Any, tokenizer: PreTrainedTokenizerBase) -> Self:
        # RoBERTa numbers positions from padding id + 1: 514 rows of its table hold 512 tokens.
        pad_id = backbone.embeddings.padding_idx
        return cls(
            backbone,
            tokenizer,
            max_tokens=backbone.config.max_position_embeddings - pad_id - 1,
            pad_id=pad_id,
            before=(tokenizer.bos_token_id,),
            after=(tokenizer.eos_token_id,),
        )

    def forward(self, ids_IL: Tensor, mask_IL: Tensor) -> TextStates:
        positions_IL = (mask_IL.cumsum(1) * mask_IL) + self.pad_id
        states_ILW = self.backbone(
            input_ids=ids_IL, attention_mask=mask_IL.long(), position_ids=positions_IL
        ).last_hidden_state
        return TextStates(pooled_IW=states_ILW[:, 0], states_ILW=states_ILW)


class GPT2Tower(PretrainedTower):
    """The last real token of GPT-2, 1024 tokens, right padding.

    An end-of-text token closes every text, so that the pooled position always sees the same token
    after the whole text. Padding uses the same id; the mask, not the id, finds the last position.
    """

    architecture = "gpt2"
    model_class = GPT2Model

    @classmethod
    def build(cls, backbone: Any, tokenizer: PreTrainedTokenizerBase) -> Self:
        end = tokenizer.eos_token_id
        return cls(backbone, tokenizer, max_tokens=backbone.config.n_positions, pad_id=end, after=(end,))

    def forward(self, ids_IL: Tensor, mask_IL: Tensor) -> TextStates:
        states_ILW = self.backbone(input_ids=ids_IL, attention_mask=mask_IL.long()).last_hidden_state
        last_I = mask_IL.sum(1) - 1
        pooled_IW = states_ILW[torch.arange(len(states_ILW), device=last_I.device), last_I]
        return TextStates(pooled_IW=pooled_IW, states_ILW=states_ILW)


class ModernBertTower(PretrainedTower):
    """The mean of all real tokens of ModernBERT, 8192 tokens.

    The published models' own classifiers take the mean too (``classifier_pooling``): two layers in
    three look 64 tokens to either side only, so ``[CLS]`` sees little of a long text.
    """

    architecture = "modernbert"
    model_class = ModernBertModel

    @classmethod
    def build(cls, backbone: Any, tokenizer: PreTrainedTokenizerBase) -> Self:
        return cls(
            backbone,
            tokenizer,
            max_tokens=backbone.config.max_position_embeddings,
            pad_id=tokenizer.pad_token_id,
            before=(tokenizer.cls_token_id,),
            after=(tokenizer.sep_token_id,),
        )

    def forward(self, ids_IL: Tensor, mask_IL: Tensor) -> TextStates:
        states_ILW = self.backbone(input_ids=ids_IL, attention_mask=mask_IL.long()).last_hidden_state
        real_IL1 = mask_IL.unsqueeze(-1)
        pooled_IW = states_ILW.masked_fill(~real_IL1, 0).sum(1) / real_IL1.sum(1)
        return TextStates(pooled_IW=pooled_IW, states_ILW=states_ILW)
