"""The filter bank against torchaudio's, which takes one recording at a time."""

from __future__ import annotations

import math

import pytest
import torch
import torchaudio.compliance.kaldi as torchaudio_kaldi
from torch import Tensor

from collap_model.frontends import kaldi
from collap_model.frontends.kaldi import NUM_MELS, beats_fbank, fbank, num_frames
from tests.collap_model.frontends.sounds import sounds

SOUNDS = sounds(1.3)


def naive_fbank(samples_T: Tensor) -> Tensor:
    """As the official BEATs calls it."""
    return torchaudio_kaldi.fbank(
        samples_T[None], num_mel_bins=128, sample_frequency=16_000, frame_length=25, frame_shift=10
    )


@pytest.mark.parametrize("scale", [1.0, 2.0**15])
@pytest.mark.parametrize("name", SOUNDS)
def test_equals_torchaudio(name: str, scale: float) -> None:
    samples_T = SOUNDS[name] * scale
    ours_NFM = fbank(samples_T[None])
    assert ours_NFM.dtype == torch.float32
    torch.testing.assert_close(ours_NFM[0], naive_fbank(samples_T), rtol=0, atol=1e-5)


def test_equals_torchaudio_in_double_precision() -> None:
    samples_T = SOUNDS["noise"].double()
    torch.testing.assert_close(fbank(samples_T[None])[0], naive_fbank(samples_T), rtol=0, atol=1e-9)


@pytest.mark.parametrize("num_samples", [400, 401, 559, 560, 561, 720])
def test_short_recordings_have_the_frames_that_fit(num_samples: int) -> None:
    samples_T = SOUNDS["noise"][:num_samples]
    expected_FM = naive_fbank(samples_T)
    assert len(expected_FM) == num_frames(num_samples)
    torch.testing.assert_close(fbank(samples_T[None])[0], expected_FM, rtol=0, atol=1e-5)


@pytest.mark.parametrize("num_samples", [0, 1, 239, 399])
def test_less_than_a_frame_is_no_frame(num_samples: int) -> None:
    assert num_frames(num_samples) == 0
    assert fbank(torch.zeros(3, num_samples)).shape == (3, 0, NUM_MELS)


def test_company_and_what_stands_in_the_padding_change_nothing() -> None:
    lengths = [20_800, 400, 399, 5_003, 16_000]
    recordings = [samples_T[:length] for samples_T, length in zip(SOUNDS.values(), lengths, strict=False)]
    batch_NT = torch.full((len(lengths), max(lengths)), math.nan)
    for row_T, samples_T in zip(batch_NT, recordings, strict=True):
        row_T[: len(samples_T)] = samples_T
    together_NFM = fbank(batch_NT, torch.tensor(lengths))
    assert together_NFM.isfinite().all()
    for found_FM, samples_T in zip(together_NFM, recordings, strict=True):
        alone_FM = fbank(samples_T[None])[0]
        torch.testing.assert_close(found_FM[: len(alone_FM)], alone_FM, rtol=0, atol=1e-6)
        silent_after_T = torch.nn.functional.pad(samples_T, (0, max(lengths) - len(samples_T)))
        torch.testing.assert_close(found_FM, naive_fbank(silent_after_T), rtol=0, atol=1e-5)


def test_beats_hears_sixteen_bit_values_normalised() -> None:
    samples_T = SOUNDS["chirp"]
    expected_FM = (naive_fbank(samples_T * 2**15) - 15.41663) / (2 * 6.55582)
    torch.testing.assert_close(beats_fbank(samples_T[None])[0], expected_FM, rtol=0, atol=1e-5)
    padded_NT = torch.cat([samples_T, torch.full([800], math.nan)])[None]
    assert beats_fbank(padded_NT, torch.tensor([len(samples_T)])).isfinite().all()


def test_autocast_does_not_round_the_filters() -> None:
    samples_NT = SOUNDS["tone over faint noise"][None]
    with torch.autocast("cpu", torch.bfloat16):
        inside_NFM = fbank(samples_NT)
    torch.testing.assert_close(inside_NFM, fbank(samples_NT), rtol=0, atol=0)


@pytest.fixture
def _nothing_cached() -> None:
    kaldi._window.cache_clear()
    kaldi._mel_filters.cache_clear()


@pytest.mark.usefixtures("_nothing_cached")
def test_every_tensor_is_on_the_device_of_the_samples() -> None:
    samples_NT, lengths_N = SOUNDS["noise"][None], torch.tensor([800])
    with torch.device("meta"):  # where a tensor lands that is made without a device; it cannot be mixed with others
        found_NFM = fbank(samples_NT, lengths_N=lengths_N)
    torch.testing.assert_close(found_NFM, fbank(samples_NT, lengths_N=lengths_N), rtol=0, atol=0)


@pytest.mark.usefixtures("_nothing_cached")
def test_first_use_in_inference_mode_leaves_gradients_possible() -> None:
    with torch.inference_mode():
        fbank(torch.zeros(1, 800))
    samples_NT = SOUNDS["noise"][None, :800].clone().requires_grad_()
    fbank(samples_NT).sum().backward()
    assert samples_NT.grad is not None and samples_NT.grad.abs().sum() > 0


@pytest.mark.parametrize("samples", [torch.zeros(800), torch.zeros(1, 2, 800), torch.zeros(1, 800).half()], ids=str)
def test_refuses_other_shapes_and_precisions(samples: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected samples \[N, T\] in float32"):
        fbank(samples)


@pytest.mark.parametrize("lengths_N", [torch.tensor([800]), torch.tensor([[800], [800]]), torch.tensor([0.5, 1.0])])
def test_refuses_lengths_that_do_not_match(lengths_N: Tensor) -> None:
    with pytest.raises(ValueError, match="expected 2 whole lengths"):
        fbank(torch.zeros(2, 800), lengths_N)
