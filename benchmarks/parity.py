"""How far our ports are from their originals: the largest difference of any value, on seeded input.

    python -m benchmarks.parity

A row is a function that computes both and returns the largest difference; add it to ``ROWS``. The command fails
where one exceeds its bound.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from collap_model.frontends.kaldi import beats_fbank, fbank
from collap_model.frontends.whisper_mel import log_mel


@dataclass(frozen=True, slots=True)
class Row:
    """``difference`` is what is measured; ``bound`` what a port may differ by."""

    what: str
    against: str
    bound: float
    difference: Callable[[], float]


def music(num_recordings: int, duration_s: float) -> Tensor:
    """Chords of decaying partials over faint noise, ``[N, T]`` at 16 kHz: wide dynamics within a frame, as in music."""
    generator = torch.Generator().manual_seed(0)
    time_T = torch.arange(round(16_000 * duration_s)) / 16_000
    pitch_NP1 = 55.0 * 2.0 ** (torch.randint(0, 48, (num_recordings, 24, 1), generator=generator) / 12)
    decay_T = (-3.0 * (time_T % 0.5)).exp()
    tones_NT = (torch.sin(2 * math.pi * pitch_NP1 * time_T) * decay_T).mean(1)
    return tones_NT + 1e-4 * torch.randn(tones_NT.shape, generator=generator)


def largest(ours: Tensor, theirs: Tensor) -> float:
    """Difference of any two values in the same place."""
    if ours.shape != theirs.shape:
        raise ValueError(f"ours is {list(ours.shape)}, theirs {list(theirs.shape)}")
    return float((ours - theirs).abs().max())


def _torchaudio(samples_NT: Tensor) -> Tensor:
    from torchaudio.compliance import kaldi

    return torch.stack([kaldi.fbank(samples_T[None], num_mel_bins=128) for samples_T in samples_NT])


def filter_bank() -> float:
    samples_NT = music(8, 10.0)
    return largest(fbank(samples_NT), _torchaudio(samples_NT))


def filter_bank_of_beats() -> float:
    samples_NT = music(8, 10.0)
    # As unilm's BEATs.preprocess has it.
    return largest(beats_fbank(samples_NT), (_torchaudio(samples_NT * 2**15) - 15.41663) / (2 * 6.55582))


def filter_bank_in_a_batch() -> float:
    samples_NT = music(4, 5.0)
    lengths_N = torch.tensor([80_000, 400, 31_337, 64_000])
    silent_NT = samples_NT * (torch.arange(80_000) < lengths_N[:, None])
    return largest(fbank(samples_NT, lengths_N), _torchaudio(silent_NT))


def whisper_mel(num_mels: int) -> Callable[[], float]:
    def difference() -> float:
        from transformers import WhisperFeatureExtractor

        samples_NT = music(2, 30.0)
        extract = WhisperFeatureExtractor(feature_size=num_mels)
        theirs = extract(list(samples_NT.numpy()), sampling_rate=16_000, return_tensors="pt").input_features
        return largest(log_mel(samples_NT, num_mels), theirs)

    return difference


ROWS = [
    Row("filter bank, 8 x 10 s", "torchaudio.compliance.kaldi, one by one", 1e-5, filter_bank),
    Row("BEATs' input, 8 x 10 s", "torchaudio and the official scaling", 1e-5, filter_bank_of_beats),
    Row("filter bank, 4 lengths in a batch", "torchaudio, one by one", 1e-5, filter_bank_in_a_batch),
    Row("log-mel, 80 mels, 2 x 30 s", "transformers.WhisperFeatureExtractor", 1e-5, whisper_mel(80)),
    Row("log-mel, 128 mels, 2 x 30 s", "transformers.WhisperFeatureExtractor", 1e-5, whisper_mel(128)),
]


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    num_beyond = 0
    print(f"{'what':36} {'against':42} {'difference':>10} {'bound':>8}")
    for row in ROWS:
        with torch.inference_mode():
            difference = row.difference()
        is_beyond = not difference <= row.bound  # NaN too
        num_beyond += is_beyond
        print(f"{row.what:36} {row.against:42} {difference:10.1e} {row.bound:8.0e}{'  BEYOND' if is_beyond else ''}")
    return 1 if num_beyond else 0


if __name__ == "__main__":
    sys.exit(main())
