"""What the batched path must equal: one window at a time, one frame at a time."""

from __future__ import annotations

import numpy as np
import torch

from collap_model.encoders.encoder import SAMPLE_RATE_HZ, Seconds, num_seconds
from collap_model.encoders.windowed import WindowedEncoder


def tones(*lengths_s: float) -> list[np.ndarray]:
    """Tracks of noise under a moving tone, no two alike."""
    rng = np.random.default_rng(0)
    tracks = []
    for number, length_s in enumerate(lengths_s):
        time_T = np.arange(round(length_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        tone_T = np.sin(2 * np.pi * (200.0 + 90.0 * number + 30.0 * time_T) * time_T)
        tracks.append((0.3 * tone_T + 0.1 * rng.standard_normal(time_T.size)).clip(-1, 1).astype(np.float32))
    return tracks


@torch.inference_mode()
def encode_one_by_one(encoder: WindowedEncoder, samples: np.ndarray) -> Seconds:
    encoder.eval()
    seconds = num_seconds(len(samples))
    held: list[list[np.ndarray]] = [[] for _ in range(seconds)]
    step = round(encoder.window_seconds * SAMPLE_RATE_HZ)
    for start in range(0, len(samples), step):
        window = torch.from_numpy(samples[start : start + step])
        length = len(window)
        shortest = round(encoder.shortest_seconds * SAMPLE_RATE_HZ)
        window = torch.nn.functional.pad(window, (0, max(0, shortest - length)))
        frames_NFE, num_frames_N = encoder.frames(window[None], torch.tensor([len(window)]))
        for index in range(int(num_frames_N)):
            centre_s = (index + 0.5) / encoder.frames_per_s
            if centre_s < length / SAMPLE_RATE_HZ or (start == 0 and index == 0):
                second = min(int(start / SAMPLE_RATE_HZ + centre_s), seconds - 1)
                held[second].append(frames_NFE[0, index].float().numpy())
    return Seconds(np.stack([np.mean(frames, axis=0) for frames in held]), np.array([len(frames) for frames in held]))


def assert_close(found: list[Seconds], expected: list[Seconds], tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.vectors_SE, other.vectors_SE, atol=tolerance, rtol=0)
        np.testing.assert_array_equal(one.frames_S, other.frames_S)
