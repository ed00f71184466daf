"""The network of BEATs: patches of a filter bank, a positional convolution, post-norm layers with deep norm.

Source: Chen et al. 2022, BEATs: Audio Pre-Training with Acoustic Tokenizers, arXiv 2212.09058, and its code
https://github.com/microsoft/unilm/tree/master/beats (MIT); deep norm is of Wang et al. 2022, arXiv 2203.00555.
For frozen use: there is no dropout and no layer drop. Parameters are named as in the checkpoints, save two
that ``checkpoint`` reads in another form.

Shapes: N windows, F fbank frames, M mels, L tokens, W model width.
Tokens are time-major: the patches of one time step, low mels first, then those of the next.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from collap_model.encoders.beats.attention import GatedAttention, RelativeBias
from collap_model.encoders.beats.config import BeatsConfig
from collap_model.frontends.kaldi import NUM_MELS

__all__ = ["Beats", "official_padding", "padding_of_steps"]


class Beats(nn.Module):
    """BEATs without its head, weights as ``load_beats`` finds them or random."""

    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        self.config = config
        patch, embed, width = config.input_patch_size, config.embed_dim, config.encoder_embed_dim
        self.patch_embedding = nn.Conv2d(1, embed, kernel_size=patch, stride=patch, bias=False)
        self.layer_norm = nn.LayerNorm(embed)
        self.post_extract_proj = nn.Linear(embed, width) if embed != width else nn.Identity()
        self.encoder = _Transformer(config)

    def forward(self, fbank_NFM: Tensor, padded_NL: Tensor | None = None) -> Tensor:
        """States of the last layer, ``[N, L, W]``, ``L = bands * (F // patch)``; frames of half a patch are cut.

        Args:
            fbank_NFM: as ``kaldi.beats_fbank`` gives it.
            padded_NL: true where a token is padding (``padding_of_steps``): nothing hears it, whatever it is of.
                Its own state means nothing. Every window needs a token that is none.

        Raises:
            ValueError: another number of mels, fewer frames than a patch, or a mask of another shape.
        """
        if fbank_NFM.ndim != 3 or fbank_NFM.shape[2] != NUM_MELS or fbank_NFM.shape[1] < self.config.input_patch_size:
            raise ValueError(
                f"expected fbank [N, F, {NUM_MELS}] with F of at least {self.config.input_patch_size}, "
                f"got {list(fbank_NFM.shape)}"
            )
        x_NLW = self.patch_embedding(fbank_NFM[:, None]).flatten(2).transpose(1, 2)
        if padded_NL is not None and padded_NL.shape != x_NLW.shape[:2]:
            raise ValueError(f"expected a padding mask {list(x_NLW.shape[:2])}, got {list(padded_NL.shape)}")
        return self.encoder(self.post_extract_proj(self.layer_norm(x_NLW)), padded_NL)


class _Transformer(nn.Module):
    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        width = config.encoder_embed_dim
        self.pos_conv = nn.Conv1d(
            width, width, config.conv_pos, padding=config.conv_pos // 2, groups=config.conv_pos_groups
        )
        self.layer_norm = nn.LayerNorm(width)
        self.relative_attention_bias = RelativeBias(
            config.num_buckets, config.max_distance, config.encoder_attention_heads
        )
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.encoder_layers))

    def forward(self, x_NLW: Tensor, padded_NL: Tensor | None) -> Tensor:
        num_tokens = x_NLW.shape[1]
        if padded_NL is not None:
            x_NLW = x_NLW.masked_fill(padded_NL[:, :, None], 0.0)
        # Not under autocast: in bfloat16 on a CPU, torch 2.13 computes groups of under 16 channels wrong.
        with torch.autocast(x_NLW.device.type, enabled=False):
            x_NLW = x_NLW.to(self.pos_conv.weight.dtype)
            # An even kernel gives one token too many, the last.
            position_NWL = self.pos_conv(x_NLW.transpose(1, 2))[:, :, :num_tokens]
            x_NLW = self.layer_norm(x_NLW + nn.functional.gelu(position_NWL).transpose(1, 2))
        bias_HLL = self.relative_attention_bias(num_tokens)
        for layer in self.layers:
            x_NLW = layer(x_NLW, bias_HLL, padded_NL)
        return x_NLW


class _Layer(nn.Module):
    def __init__(self, config: BeatsConfig) -> None:
        super().__init__()
        width = config.encoder_embed_dim
        self.residual_scale = (2 * config.encoder_layers) ** 0.25
        self.self_attn = GatedAttention(width, config.encoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.encoder_ffn_embed_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_embed_dim, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x_NLW: Tensor, bias_HLL: Tensor, padded_NL: Tensor | None) -> Tensor:
        x_NLW = self.self_attn_layer_norm(x_NLW * self.residual_scale + self.self_attn(x_NLW, bias_HLL, padded_NL))
        forward_NLW = self.fc2(nn.functional.gelu(self.fc1(x_NLW)))
        return self.final_layer_norm(x_NLW * self.residual_scale + forward_NLW)


def padding_of_steps(num_steps_N: Tensor, num_steps: int, bands: int) -> Tensor:
    """Mask ``[N, L]`` for windows of ``num_steps_N`` whole time steps in a batch of ``num_steps``.

    A window then gives the states that it gives alone: a time step counts with all of its bands or not at all.
    """
    step_L = torch.arange(num_steps, device=num_steps_N.device).repeat_interleave(bands)
    return step_L >= num_steps_N[:, None]


def official_padding(lengths_N: Tensor, num_samples: int, num_frames: int, num_tokens: int) -> Tensor:
    """Mask ``[N, L]`` as the official code has it, by the ratio of samples to frames and of frames to tokens.

    To compare with published numbers: at the end of a window it keeps some bands of a time step and drops others,
    and states depend on the batch's length.
    """
    padded = torch.arange(num_samples, device=lengths_N.device) >= lengths_N[:, None]
    for parts in (num_frames, num_tokens):
        run = padded.shape[1] // parts
        padded = padded[:, : run * parts].unflatten(1, (parts, run)).all(-1)
    return padded
