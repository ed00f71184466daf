"""The encoders, of small random weights, against what they follow and against themselves done simply. See ``parity``.

transformers is imported within functions: ``collap_model`` goes first and keeps a broken torchaudio away from it.

Shapes: N windows, T samples, F frames, S seconds, K clips, E encoder dim.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.beats_golden import CASES, GOLDEN, official_weights, ported
from benchmarks.parity_frontends import largest, music
from collap_model.encoders.beats import BeatsEncoder
from collap_model.encoders.encoder import SAMPLE_RATE_HZ
from collap_model.encoders.mert import MertEncoder, to_24_khz
from collap_model.encoders.whisper import WhisperEncoder
from collap_model.encoders.windowed import WindowedEncoder
from collap_model.features.feature_store import pool_clips

__all__ = ["beats", "company", "mert", "re_pooling", "whisper"]

_LENGTHS_S = (47.3, 0.2, 30.4, 10.0, 33.0, 1.6)


def beats(name: str) -> float:
    """States of a stored case of the official code, padding included."""
    [case] = (case for case in CASES if case.name == name)
    states, padded = ported(case)
    golden = np.load(GOLDEN)
    if not np.array_equal(padded.numpy(), golden[f"{name}_padded"]):
        raise ValueError(f"the padding mask of case {name} is not the official one")
    return largest(states, torch.from_numpy(golden[f"{name}_states"]))


@torch.inference_mode()
def whisper() -> float:
    """A whole window and a short one, by transformers one after the other."""
    from transformers import WhisperFeatureExtractor

    encoder, network = _whisper()
    windows_NT, lengths_N = _windows(30.0, 7.3)
    extract = WhisperFeatureExtractor(feature_size=network.config.num_mel_bins)
    theirs = []
    for window_T, length in zip(windows_NT, lengths_N.tolist(), strict=True):
        mel = extract(window_T[:length].numpy(), sampling_rate=16_000, return_tensors="pt").input_features
        theirs.append(network(mel).last_hidden_state[0])
    return largest(encoder.frames(windows_NT, lengths_N)[0], torch.stack(theirs))


@torch.inference_mode()
def mert() -> float:
    """A whole window and a short one, by transformers one after the other, from the same 24 kHz."""
    from transformers import Wav2Vec2FeatureExtractor

    encoder, network = _mert()
    windows_NT, lengths_N = _windows(5.0, 3.3)
    extract = Wav2Vec2FeatureExtractor(sampling_rate=24_000, do_normalize=True)
    frames_NFE, num_frames_N = encoder.frames(windows_NT, lengths_N)
    differences = []
    for row, length in enumerate(lengths_N.tolist()):
        samples = to_24_khz(windows_NT[row : row + 1, :length])[0].numpy()
        heard = extract(samples, sampling_rate=24_000, return_tensors="pt").input_values
        states = torch.stack(network(heard, output_hidden_states=True).hidden_states)
        differences.append(largest(frames_NFE[row, : num_frames_N[row]], states.mean(0)[0]))
    return max(differences)


def company(name: str) -> float:
    """Tracks of many lengths together against each alone."""
    encoder = _encoder(name)
    tracks = [track[: round(length_s * SAMPLE_RATE_HZ)] for track, length_s in _tracks()]
    together, alone = encoder.encode(tracks), [encoder.encode([track])[0] for track in tracks]
    return max(
        float(np.abs(one.vectors_SE - other.vectors_SE).max()) for one, other in zip(together, alone, strict=True)
    )


def re_pooling(name: str, *, is_stored: bool) -> float:
    """Clips of 1 to 60 s from the seconds of a track, as float16 where stored, against means of its frames."""
    encoder = _encoder(name)
    samples = _tracks()[0][0]
    [seconds] = encoder.encode([samples])
    vectors_SE = seconds.vectors_SE.astype(np.float16) if is_stored else seconds.vectors_SE
    centre_F, frames_FE = _frames(encoder, samples)
    differences = []
    for clip_s in range(1, 61):
        clips_KE = pool_clips(vectors_SE, seconds.frames_S, clip_s)
        clip_F = np.minimum(centre_F // clip_s, len(clips_KE) - 1)
        direct_KE = np.stack([frames_FE[clip_F == clip].mean(0) for clip in range(len(clips_KE))])
        differences.append(float(np.abs(clips_KE - direct_KE).max()))
    return max(differences)


@torch.inference_mode()
def _frames(encoder: WindowedEncoder, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres in seconds and frames of a track, window by window, in float64."""
    centres, frames = [], []
    step = round(encoder.window_seconds * SAMPLE_RATE_HZ)
    for start in range(0, len(samples), step):
        window_NT = torch.from_numpy(samples[start : start + step])[None]
        frames_NFE, num_frames_N = encoder.frames(window_NT, torch.tensor([window_NT.shape[1]]))
        centre_F = (np.arange(int(num_frames_N[0])) + 0.5) / encoder.frames_per_s
        centre_F = centre_F[centre_F < window_NT.shape[1] / SAMPLE_RATE_HZ]  # beyond it is only padding
        centres.append(start / SAMPLE_RATE_HZ + centre_F)
        frames.append(frames_NFE[0, : len(centre_F)].double().numpy())
    return np.concatenate(centres), np.concatenate(frames)


def _tracks() -> list[tuple[np.ndarray, float]]:
    """Samples, all of the first length, and how long each is to be."""
    return list(zip(music(len(_LENGTHS_S), max(_LENGTHS_S)).numpy(), _LENGTHS_S, strict=True))


def _windows(*lengths_s: float) -> tuple[Tensor, Tensor]:
    """Windows ``[N, T]``, zero beyond their lengths ``[N]``."""
    lengths_N = torch.tensor([round(length_s * SAMPLE_RATE_HZ) for length_s in lengths_s])
    windows_NT = music(len(lengths_s), max(lengths_s))
    return windows_NT * (torch.arange(windows_NT.shape[1]) < lengths_N[:, None]), lengths_N


def _encoder(name: str) -> WindowedEncoder:
    if name == "beats":
        return _beats()
    return _whisper()[0] if name == "whisper" else _mert()[0]


@cache
def _beats() -> BeatsEncoder:
    config = CASES[0].config
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "beats.pt")
        torch.save({"cfg": config.to_official(), "model": official_weights(config)}, path)
        return BeatsEncoder.load(path)


@cache
def _whisper() -> tuple[WhisperEncoder, Any]:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as WhisperNetwork

    torch.manual_seed(0)
    config = WhisperConfig(d_model=64, encoder_layers=3, encoder_attention_heads=4, encoder_ffn_dim=128)
    network = WhisperNetwork(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        return WhisperEncoder.load(folder), network


@cache
def _mert() -> tuple[MertEncoder, Any]:
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    config = HubertConfig(
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=128,
        conv_dim=(32,) * 7,
        num_conv_pos_embedding_groups=2,
    )
    config.sample_rate = 24_000  # a field of MERT's
    network = HubertModel(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        return MertEncoder.load(folder), network
