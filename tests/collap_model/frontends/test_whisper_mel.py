"""Whisper's log-mel against transformers' extractor."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor

from collap_model.frontends import whisper_mel
from collap_model.frontends.whisper_mel import NUM_FRAMES, WINDOW_SAMPLES, log_mel
from tests.collap_model.frontends.sounds import sounds

SOUNDS = sounds(3.0)
EXTRACTORS = {num_mels: WhisperFeatureExtractor(feature_size=num_mels) for num_mels in (80, 128)}


def naive_mel(samples: list[np.ndarray], num_mels: int) -> Tensor:
    return EXTRACTORS[num_mels](samples, sampling_rate=16_000, return_tensors="pt").input_features


@pytest.mark.parametrize("num_mels", [80, 128])
def test_equals_transformers(num_mels: int) -> None:
    ours_NMF = log_mel(torch.stack(list(SOUNDS.values())), num_mels)
    expected_NMF = naive_mel([samples_T.numpy() for samples_T in SOUNDS.values()], num_mels)
    assert ours_NMF.shape == (len(SOUNDS), num_mels, NUM_FRAMES)
    assert ours_NMF.dtype == torch.float32
    torch.testing.assert_close(ours_NMF, expected_NMF, rtol=0, atol=1e-5)


@pytest.mark.parametrize("num_mels", [80, 128])
def test_equals_transformers_on_a_full_window(num_mels: int) -> None:
    samples_T = sounds(30.0)["chirp"]
    expected_NMF = naive_mel([samples_T.numpy()], num_mels)
    torch.testing.assert_close(log_mel(samples_T[None], num_mels), expected_NMF, rtol=0, atol=1e-5)


@pytest.mark.parametrize("num_samples", [1, 199, 200, 201, 3_200, WINDOW_SAMPLES - 1])
def test_short_windows_are_filled_with_silence(num_samples: int) -> None:
    samples_T = torch.linspace(-1.0, 1.0, num_samples)
    torch.testing.assert_close(log_mel(samples_T[None]), naive_mel([samples_T.numpy()], 80), rtol=0, atol=1e-5)


def test_company_and_what_stands_in_the_padding_change_nothing() -> None:
    loud_T, soft_T = SOUNDS["tone"], 1e-3 * SOUNDS["noise"][:20_000]
    batch_NT = torch.full((2, len(loud_T)), math.nan)
    batch_NT[0], batch_NT[1, : len(soft_T)] = loud_T, soft_T
    together_NMF = log_mel(batch_NT, lengths_N=torch.tensor([len(loud_T), len(soft_T)]))
    for found_MF, samples_T in zip(together_NMF, (loud_T, soft_T), strict=True):
        torch.testing.assert_close(found_MF, log_mel(samples_T[None])[0], rtol=0, atol=1e-6)


def test_autocast_does_not_round_the_filters() -> None:
    samples_NT = SOUNDS["noise"][None]
    with torch.autocast("cpu", torch.bfloat16):
        inside_NMF = log_mel(samples_NT)
    torch.testing.assert_close(inside_NMF, log_mel(samples_NT), rtol=0, atol=0)


@pytest.fixture
def _nothing_cached() -> None:
    whisper_mel._window.cache_clear()
    whisper_mel._mel_filters.cache_clear()


@pytest.mark.usefixtures("_nothing_cached")
def test_every_tensor_is_on_the_device_of_the_samples() -> None:
    samples_NT, lengths_N = SOUNDS["noise"][None], torch.tensor([800])
    with torch.device("meta"):  # where a tensor lands that is made without a device; it cannot be mixed with others
        found_NMF = log_mel(samples_NT, lengths_N=lengths_N)
    torch.testing.assert_close(found_NMF, log_mel(samples_NT, lengths_N=lengths_N), rtol=0, atol=0)


@pytest.mark.usefixtures("_nothing_cached")
def test_first_use_in_inference_mode_leaves_gradients_possible() -> None:
    with torch.inference_mode():
        log_mel(torch.zeros(1, 800))
    samples_NT = SOUNDS["noise"][None, :800].clone().requires_grad_()
    log_mel(samples_NT).sum().backward()
    assert samples_NT.grad is not None and samples_NT.grad.abs().sum() > 0


def test_refuses_more_than_a_window() -> None:
    with pytest.raises(ValueError, match="at most 480000 samples"):
        log_mel(torch.zeros(1, WINDOW_SAMPLES + 1))


def test_refuses_numbers_of_mels_that_no_whisper_has() -> None:
    with pytest.raises(ValueError, match="80 or 128 mels, got 64"):
        log_mel(torch.zeros(1, 800), 64)
