"""MERT (Li et al. 2024, arXiv:2306.00107), a music encoder of HuBERT's form, through transformers' own HuBERT.

Its published code is not run: for checkpoints without the constant-Q extractor and deep-norm, such as
MERT-v1-95M, it computes what HuBERT computes (https://huggingface.co/m-a-p/MERT-v1-95M).

Shapes: N windows, T samples, P taps, F frames, H hidden states, E encoder dim.
"""

from __future__ import annotations

from functools import cache
from typing import Self

import torch
from torch import Tensor
from transformers import HubertConfig, HubertModel

from collap_model.encoders.pretrained import load_form, load_network
from collap_model.encoders.windowed import Precision, WindowedEncoder
from collap_model.features.encoder_keys import ENCODER_VERSIONS

__all__ = ["MertEncoder", "to_24_khz"]

_RATE_HZ = 24_000
_TOLD = (
    "num_attention_heads",
    "hidden_act",
    "feat_extract_activation",
    "feat_extract_norm",
    "layer_norm_eps",
    "conv_stride",
    "do_stable_layer_norm",
)


class MertEncoder(WindowedEncoder):
    """Windows of 5 s, as in training; a frame is the mean of the network's input and all layers' outputs.

    Sound comes at 16 kHz and is resampled to MERT's 24 kHz: what MERT would hear above 8 kHz is absent.
    Windows of different lengths pass one length at a time, without a mask: the normalisation of the first
    layer is over time, so that padding would change every frame.
    """

    name = "mert"
    version = ENCODER_VERSIONS[name]
    window_seconds = 5.0
    frames_per_s = 75.0

    def __init__(self, network: HubertModel, *, precision: Precision = "float32", windows_per_batch: int = 32) -> None:
        super().__init__(precision=precision, windows_per_batch=windows_per_batch)
        self.dim = network.config.hidden_size
        self.network = network.requires_grad_(False)
        # What changes vectors and is not to be seen in the weights is told too.
        shape = [(name, getattr(network.config, name)) for name in _TOLD]
        self.preprocessing = f"24 kHz from 16 kHz; mean 0 and variance 1 per window; mean of all states; {shape}"

    @classmethod
    def load(cls, model: str, *, precision: Precision = "float32", windows_per_batch: int = 32) -> Self:
        """Load ``m-a-p/MERT-v1-95M``, another name or a folder.

        Raises:
            ValueError: no such checkpoint, one of another architecture, rate or extractor, or truncated or
                missing weights.
        """
        form = load_form(model, "mert_model", "hubert")
        if form.get("feature_extractor_cqt"):
            raise ValueError(f"{model} needs a constant-Q extractor, which is not here; MERT-v1-95M does without")
        if form.get("deepnorm"):
            raise ValueError(f"{model} is trained with deep-norm, which HuBERT lacks; MERT-v1-95M does without")
        if (rate_hz := form.get("sample_rate")) != _RATE_HZ:
            raise ValueError(f"{model} hears sound at sample_rate {rate_hz}; expected {_RATE_HZ} (MERT-v1)")
        config = HubertConfig.from_dict({**form, "model_type": "hubert"})
        network = load_network(HubertModel, model, config=config)
        return cls(network, precision=precision, windows_per_batch=windows_per_batch)

    def frames(self, windows_NT: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        rows: list[Tensor] = []
        frames: list[Tensor] = []
        num_frames_N = torch.zeros_like(lengths_N)
        for length in lengths_N.unique().tolist():
            row_N = (lengths_N == length).nonzero().squeeze(1)
            frames_NFE = self._frames(windows_NT[row_N, :length])
            num_frames_N[row_N] = frames_NFE.shape[1]
            rows.append(row_N)
            frames.extend(frames_NFE)
        order_N = torch.cat(rows).argsort()
        return torch.nn.utils.rnn.pad_sequence(frames, batch_first=True)[order_N], num_frames_N

    def _frames(self, windows_NT: Tensor) -> Tensor:
        windows_NT = to_24_khz(windows_NT)
        variance_N1, mean_N1 = torch.var_mean(windows_NT, dim=1, correction=0, keepdim=True)
        windows_NT = (windows_NT - mean_N1) / (variance_N1 + 1e-7).sqrt()
        with self.autocast():
            states_H = self.network(windows_NT, output_hidden_states=True).hidden_states
        return torch.stack([state_NFE.float() for state_NFE in states_H]).mean(0)


def to_24_khz(samples_NT: Tensor) -> Tensor:
    """Resample 16 kHz to 24 kHz, ``T * 3 / 2`` samples rounded up: a windowed sinc, three phases of 64 taps.

    Flat to 7.3 kHz within 0.1 dB; silence is assumed around the recording.
    """
    filters_31P = _filters(samples_NT.device)
    half = filters_31P.shape[-1] // 2
    num_samples = samples_NT.shape[1]
    padded_N1T = torch.nn.functional.pad(samples_NT, (half - 1, half + 1))[:, None]
    # Output 3 q + p lies at input 2 q + 2 p / 3.
    phases_N3T = torch.nn.functional.conv1d(padded_N1T, filters_31P, stride=2)
    return phases_N3T.mT.flatten(1)[:, : -(-num_samples * 3 // 2)]


@cache
def _filters(device: torch.device) -> Tensor:
    half = 32
    with torch.inference_mode(False):  # a cached inference tensor would break every later backward pass
        tap_P = torch.arange(1 - half, half + 1, dtype=torch.float64)
        away_3P = tap_P - torch.arange(3, dtype=torch.float64)[:, None] * 2.0 / 3.0
        inside_3P = (1.0 - (away_3P / half).square()).clamp_min(0.0).sqrt()
        kaiser_3P = torch.special.i0(8.0 * inside_3P) / torch.special.i0(torch.tensor(8.0, dtype=torch.float64))
        filters_3P = torch.sinc(away_3P) * kaiser_3P
        filters_3P /= filters_3P.sum(1, keepdim=True)  # a constant stays one
        return filters_3P[:, None].float().to(device)
