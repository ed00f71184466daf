"""Small ``ClapModel``s of random weights, saved as published ones are."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor, RobertaTokenizer

MAX_TOKENS = 40
CAPTIONS = (
    "A slow piano in a dark room.",
    "Fast drums and a distorted guitar.",
    "A choir sings over an organ; it grows louder towards the end.",
)


def save_clap(folder: Path, *, is_fused: bool = False, collapsed: bool = False) -> Path:
    """A model that hears windows of 2 s at 48 kHz and reads ``MAX_TOKENS`` tokens."""
    tokenizer = byte_tokenizer(folder)
    config = ClapConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": MAX_TOKENS + 2,
            "projection_dim": 8,
        },
        audio_config={
            "spec_size": 64,
            "num_mel_bins": 16,
            "window_size": 4,
            "patch_size": 4,
            "patch_stride": [4, 4],
            "depths": [1, 1],
            "num_attention_heads": [2, 2],
            "patch_embeds_hidden_size": 8,
            "hidden_size": 16,
            "projection_dim": 8,
            "enable_fusion": is_fused,
            "enable_patch_layer_norm": True,
        },
        projection_dim=8,
    )
    torch.manual_seed(3)
    model = ClapModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        model.text_model.embeddings.word_embeddings.weight.mul_(30)  # so that texts differ
        if collapsed:  # the fault of laion/larger_clap_music: what is read does not arrive
            model.text_projection.linear2.weight.mul_(1e-4)
    model.save_pretrained(folder)
    hearer = ClapFeatureExtractor(
        feature_size=16,
        max_length_s=2,
        hop_length=480,
        truncation="fusion" if is_fused else "rand_trunc",
    )
    ClapProcessor(hearer, tokenizer).save_pretrained(folder)
    return folder


def byte_tokenizer(folder: Path) -> RobertaTokenizer:
    """Of few tokens; its files go to the folder."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(CAPTIONS, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    trained.model.save(str(folder))
    return RobertaTokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=512)
