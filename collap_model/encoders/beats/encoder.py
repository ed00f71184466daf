"""BEATs as an encoder of tracks.

Shapes: N windows, T samples, F time steps, E encoder dim.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from collap_model.encoders.beats.checkpoint import load_beats
from collap_model.encoders.beats.model import Beats, padding_of_steps
from collap_model.encoders.windowed import Precision, WindowedEncoder
from collap_model.features.encoder_keys import ENCODER_VERSIONS
from collap_model.frontends.kaldi import beats_fbank, num_frames

__all__ = ["BeatsEncoder"]


class BeatsEncoder(WindowedEncoder):
    """Windows of 10 s, as in BEATs' training; one frame per time step, the mean of its tokens over frequency.

    A released model has time steps of 160 ms, 6.25 a second, 62 in a window: its last 80 ms fill no patch and are
    not heard. Padding is masked by whole time steps, so that a window hears nothing of its company; the official
    code's mask (``model.official_padding``) cuts through a time step.
    """

    name = "beats"
    version = ENCODER_VERSIONS[name]
    window_seconds = 10.0

    def __init__(self, model: Beats, *, precision: Precision = "float32", windows_per_batch: int = 16) -> None:
        super().__init__(precision=precision, windows_per_batch=windows_per_batch)
        self.model = model.requires_grad_(False)
        self.dim = model.config.encoder_embed_dim
        patch = model.config.input_patch_size
        self.frames_per_s = 100.0 / patch
        self.shortest_seconds = (25 + 10 * (patch - 1)) / 1000  # frames of 25 ms every 10 ms
        # The shape is told too: heads and distance change vectors and are not to be seen in the weights.
        self.preprocessing = f"kaldi fbank, BEATs' mean and deviation; {json.dumps(model.config.to_official())}"
        self.eval()

    @classmethod
    def load(cls, path: Path, *, precision: Precision = "float32", windows_per_batch: int = 16) -> BeatsEncoder:
        """Load a checkpoint, the authors' or one by ``save_beats``.

        Raises:
            ValueError: as ``load_beats``, or an unknown precision.
        """
        return cls(load_beats(path), precision=precision, windows_per_batch=windows_per_batch)

    def frames(self, windows_NT: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        config = self.model.config
        fbank_NFM = beats_fbank(windows_NT, lengths_N)
        num_steps_N = torch.tensor(
            [num_frames(length) // config.input_patch_size for length in lengths_N.tolist()], device=windows_NT.device
        )
        num_steps = fbank_NFM.shape[1] // config.input_patch_size
        padded_NL = None
        if int(num_steps_N.min()) < num_steps:
            padded_NL = padding_of_steps(num_steps_N, num_steps, config.bands)
        with self.autocast():
            states_NLE = self.model(fbank_NFM, padded_NL)
        return states_NLE.float().unflatten(1, (num_steps, config.bands)).mean(2), num_steps_N
