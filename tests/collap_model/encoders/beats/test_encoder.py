from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.beats_golden import sound
from collap_model.encoders.beats import Beats, BeatsEncoder
from collap_model.frontends.kaldi import beats_fbank


@pytest.fixture
def encoder(published: Path) -> BeatsEncoder:
    return BeatsEncoder.load(published)


def track(seconds: float) -> np.ndarray:
    return sound(1, round(16_000 * seconds))[0].numpy()


def test_a_frame_is_the_mean_of_a_time_step_over_frequency(encoder: BeatsEncoder) -> None:
    samples_NT = sound(2, 160_000)
    frames_NFE, num_frames_N = encoder.frames(samples_NT, torch.tensor([160_000, 160_000]))
    assert frames_NFE.shape == (2, 62, 24) and num_frames_N.tolist() == [62, 62]
    states_NLE = encoder.model(beats_fbank(samples_NT))
    torch.testing.assert_close(frames_NFE[:, 7], states_NLE[:, 56:64].mean(1))
    assert encoder.frames_per_s == 6.25 and encoder.dim == 24 and encoder.window_seconds == 10.0


@pytest.mark.parametrize("length", [2_800, 2_801, 9_000, 79_999, 159_999])
def test_a_window_hears_nothing_of_its_company(encoder: BeatsEncoder, length: int) -> None:
    samples_NT = sound(3, 160_000)
    alone, alone_N = encoder.frames(samples_NT[1:2, :length], torch.tensor([length]))
    together, together_N = encoder.frames(samples_NT, torch.tensor([160_000, length, 50_000]))
    assert together_N[1] == alone_N[0] == alone.shape[1]
    torch.testing.assert_close(together[1:2, : alone.shape[1]], alone, rtol=0, atol=3e-6)


def test_seconds_take_the_frames_centred_in_them(encoder: BeatsEncoder) -> None:
    samples = track(12.4)
    [seconds] = encoder.encode([samples])
    assert seconds.vectors_SE.shape == (12, 24)
    first, _ = encoder.frames(torch.from_numpy(samples[None, :160_000]), torch.tensor([160_000]))
    rest, _ = encoder.frames(torch.from_numpy(samples[None, 160_000:]), torch.tensor([38_400]))
    # Centres at 0.08 + 0.16 i: 1.04 to 1.84 in second 1; of the tail 14 frames, those from 1.04 on in the last second
    np.testing.assert_allclose(seconds.vectors_SE[1], first[0, 6:12].mean(0), atol=3e-6)
    np.testing.assert_allclose(seconds.vectors_SE[11], rest[0, 6:14].mean(0), atol=3e-6)
    assert seconds.frames_S.tolist() == [6, 6, 7, 6, 6, 6, 7, 6, 6, 6, 6, 8]


@pytest.mark.parametrize("seconds", [1 / 16_000, 0.025, 0.1, 0.17, 0.2])
def test_sounds_shorter_than_a_patch_are_heard_with_silence_after_them(encoder: BeatsEncoder, seconds: float) -> None:
    samples = track(1.0)[: max(1, round(16_000 * seconds))]
    [found] = encoder.encode([samples])
    padded = np.pad(samples, (0, max(0, 2_800 - samples.size)))
    [expected] = encoder.encode([padded])
    assert found.frames_S.tolist() == [1]
    np.testing.assert_array_equal(found.vectors_SE, expected.vectors_SE)


def test_silence_and_one_second_give_finite_vectors(encoder: BeatsEncoder) -> None:
    for found in encoder.encode([np.zeros(48_000, np.float32), track(1.0)]):
        assert np.isfinite(found.vectors_SE).all() and found.vectors_SE.std() > 0.1


def test_bfloat16_is_near_and_float32_in_the_end(encoder: BeatsEncoder, published: Path) -> None:
    half = BeatsEncoder.load(published, precision="bfloat16")
    [exact], [near] = encoder.encode([track(3.0)]), half.encode([track(3.0)])
    assert near.vectors_SE.dtype == np.float32
    difference = np.abs(near.vectors_SE - exact.vectors_SE).max()
    assert 0 < difference < 0.05


def test_identity_names_all_that_moves_vectors(encoder: BeatsEncoder, published: Path) -> None:
    others = [BeatsEncoder.load(published, precision="bfloat16")]
    for change in ({"max_distance": 30}, {"encoder_attention_heads": 3}):
        model = Beats(replace(encoder.model.config, **change))
        model.load_state_dict(encoder.model.state_dict())
        others.append(BeatsEncoder(model))
    same = others.pop()
    moved = BeatsEncoder.load(published)
    moved.model.encoder.layers[0].fc1.bias.data[0] += 1e-3
    identities = {encoder.identity, *(other.identity for other in [*others, moved])}
    assert len(identities) == 4 and same.identity == encoder.identity
    assert all(identity.startswith("beats-1-") for identity in identities)


def test_weights_are_frozen(encoder: BeatsEncoder) -> None:
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
