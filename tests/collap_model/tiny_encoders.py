"""Learned encoders of a few thousand random weights, written as checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import WhisperConfig, WhisperModel

from collap_model.encoders.beats.checkpoint import save_beats
from collap_model.encoders.beats.config import BeatsConfig
from collap_model.encoders.beats.model import Beats


def write_beats(path: Path, *, seed: int = 0, layers: int = 1, dim: int = 16) -> Path:
    torch.manual_seed(seed)
    config = BeatsConfig(
        input_patch_size=16,
        embed_dim=dim,
        encoder_layers=layers,
        encoder_embed_dim=dim,
        encoder_ffn_embed_dim=2 * dim,
        encoder_attention_heads=2,
        conv_pos=8,
        conv_pos_groups=2,
        num_buckets=8,
        max_distance=32,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_beats(Beats(config), path)
    return path


def write_whisper(folder: Path, *, seed: int = 0, layers: int = 1, dim: int = 8) -> Path:
    torch.manual_seed(seed)
    config = WhisperConfig(
        d_model=dim,
        encoder_layers=layers,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=4 * dim,
        decoder_ffn_dim=dim,
        vocab_size=16,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=0,
    )
    WhisperModel(config).save_pretrained(folder)
    return folder
