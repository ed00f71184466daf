from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from collap_model.encoders.encoder import SAMPLE_RATE_HZ
from collap_model.encoders.windowed import Precision, WindowedEncoder, hash_of_weights
from tests.collap_model.encoders.naive import assert_close, encode_one_by_one, tones


class Ears(WindowedEncoder):
    """Ten frames a second; what lies beyond a window is NaN, and the network drops out in training."""

    name, version, preprocessing = "ears", "1", "none"
    window_seconds, frames_per_s, dim = 4.0, 10.0, 3

    def __init__(self, precision: Precision = "float32", windows_per_batch: int = 5, seed: int = 0) -> None:
        super().__init__(precision=precision, windows_per_batch=windows_per_batch)
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(1600, self.dim), nn.Dropout(0.5))
        self.batches: list[list[int]] = []

    def frames(self, windows_NT: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
        self.batches.append(lengths_N.tolist())
        short = -windows_NT.shape[1] % 1600
        chunks_NFT = torch.nn.functional.pad(windows_NT, (0, short)).unflatten(1, (-1, 1600))
        with self.autocast():
            frames_NFE = self.network(chunks_NFT)
        num_frames_N = -(-lengths_N // 1600)
        beyond_NF = torch.arange(frames_NFE.shape[1]) >= num_frames_N[:, None]
        return frames_NFE.masked_fill(beyond_NF[..., None], torch.nan), num_frames_N


LENGTHS_S = (0.01, 0.2, 1.0, 1.49, 3.99, 4.0, 4.03, 4.6, 8.5, 9.4, 21.37)


@pytest.mark.parametrize("windows_per_batch", [1, 5, 100])
def test_equals_one_window_at_a_time(windows_per_batch: int) -> None:
    encoder = Ears(windows_per_batch=windows_per_batch)
    tracks = tones(*LENGTHS_S)
    found = encoder.encode(tracks)
    assert_close(found, [encode_one_by_one(encoder, track) for track in tracks], 1e-5)
    assert [len(seconds.frames_S) for seconds in found] == [1, 1, 1, 1, 4, 4, 4, 5, 9, 9, 21]
    assert all(seconds.vectors_SE.dtype == np.float32 and seconds.frames_S.dtype == np.int32 for seconds in found)


def test_a_track_never_depends_on_its_company() -> None:
    encoder = Ears()
    tracks = tones(*LENGTHS_S)
    together = encoder.encode(tracks)
    assert_close(together, [encoder.encode([track])[0] for track in tracks], 1e-5)
    assert_close(together, encoder.encode(tracks[::-1])[::-1], 1e-5)


def test_whole_windows_go_together_and_tails_with_tails() -> None:
    encoder = Ears(windows_per_batch=3)
    encoder.encode(tones(9.0, 8.5, 4.2))
    assert encoder.batches == [[64_000] * 3, [64_000] * 2 + [16_000], [8_000, 3_200]]


def test_frames_count_where_their_centre_lies() -> None:
    samples = np.zeros(5 * SAMPLE_RATE_HZ, np.float32)
    encoder = Ears()
    for parameter in encoder.parameters():
        nn.init.constant_(parameter, 1 / 1600 if parameter.ndim == 2 else 0.0)
    samples[4 * SAMPLE_RATE_HZ : 4 * SAMPLE_RATE_HZ + 3200] = 0.5  # the first two frames of the second window
    (seconds,) = encoder.encode([samples])
    assert seconds.frames_S.tolist() == [10] * 5
    np.testing.assert_allclose(seconds.vectors_SE[:, 0], [0, 0, 0, 0, 0.1], atol=1e-6)


def test_the_last_second_takes_what_is_left() -> None:
    assert Ears().encode(tones(9.4))[0].frames_S.tolist() == [10] * 8 + [14]
    assert Ears().encode(tones(9.6))[0].frames_S.tolist() == [10] * 9 + [6]


def test_a_second_without_frames_repeats_the_one_before() -> None:
    class Slow(Ears):
        def frames(self, windows_NT: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
            frames_NFE, num_frames_N = super().frames(windows_NT, lengths_N)
            return frames_NFE, num_frames_N.clamp_max(15)  # 1.5 of 4 s

    (seconds,) = Slow().encode(tones(4.0))
    assert seconds.frames_S.tolist() == [10, 5, 1, 1]
    assert np.array_equal(seconds.vectors_SE[2], seconds.vectors_SE[1])
    assert np.array_equal(seconds.vectors_SE[3], seconds.vectors_SE[1])


def test_an_encoder_that_hears_nothing_of_a_short_track_is_told() -> None:
    class Deaf(Ears):
        def frames(self, windows_NT: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
            return super().frames(windows_NT, lengths_N)[0], torch.zeros_like(lengths_N)

    with pytest.raises(RuntimeError, match="shortest_seconds"):
        Deaf().encode(tones(0.05))


def test_damaged_weights_are_told() -> None:
    encoder = Ears()
    next(encoder.parameters()).data[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"ears-1-\w+ gave NaN or infinity .* weights are damaged"):
        encoder.encode(tones(1.0))


def test_deterministic_though_the_model_around_it_trains() -> None:
    encoder = Ears().train()
    tracks = tones(6.0, 2.0)
    for one, other in zip(encoder.encode(tracks), encoder.encode(tracks), strict=True):
        assert np.array_equal(one.vectors_SE, other.vectors_SE)


def test_bfloat16_is_computed_in_bfloat16_and_pooled_in_float32() -> None:
    tracks = tones(8.0)
    exact, rough = Ears().encode(tracks)[0].vectors_SE, Ears("bfloat16").encode(tracks)[0].vectors_SE
    assert 1e-5 < np.abs(exact - rough).max() < 0.01
    means = torch.from_numpy(rough)
    assert not torch.equal(means.bfloat16().float(), means)


def test_silence_is_sound_and_no_tracks_are_none() -> None:
    assert np.isfinite(Ears().encode([np.zeros(30_000, np.float32)])[0].vectors_SE).all()
    assert Ears().encode([]) == []


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (np.zeros((2, 16_000), np.float32), "mono samples"),
        (np.zeros(0, np.float32), "at least one sample"),
        (np.full(16_000, np.nan, np.float32), "NaN or infinite"),
        (np.full(16_000, 8_000, np.int16), "divide 16-bit"),
        (np.full(16_000, 8_000.0, np.float32), "full scale"),
    ],
)
def test_refuses_what_is_no_mono_signal_before_any_work(bad: np.ndarray, match: str) -> None:
    encoder = Ears()
    with pytest.raises(ValueError, match=match):
        encoder.encode([*tones(1.0), bad])
    assert encoder.batches == []


def test_identity_tells_weights_code_precision_and_preprocessing_apart() -> None:
    class Newer(Ears):
        version = "2"

    class Other(Ears):
        preprocessing = "something"

    class Longer(Ears):
        window_seconds = 8.0

    one = Ears().identity
    assert one == Ears(windows_per_batch=1).identity
    assert one.startswith("ears-1-")
    others = [Ears(seed=1), Ears("bfloat16"), Newer(), Other(), Longer()]
    assert len({one, *(encoder.identity for encoder in others)}) == 6


def test_the_hash_of_weights_is_of_names_types_shapes_and_values() -> None:
    weights = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones((), dtype=torch.bfloat16)}
    same = {"b": weights["b"].clone(), "a": torch.arange(6.0).reshape(2, 3).T.contiguous().T}
    assert hash_of_weights(weights) == hash_of_weights(same)
    others = [
        weights | {"a": weights["a"].reshape(3, 2)},
        weights | {"a": weights["a"].double()},
        weights | {"a": -weights["a"]},
        {"a": weights["a"], "c": weights["b"]},
    ]
    assert len({hash_of_weights(weights), *map(hash_of_weights, others)}) == 5


@pytest.mark.parametrize(("option", "match"), [({"precision": "float16"}, "float16"), ({"windows_per_batch": 0}, "0")])
def test_refuses_options_out_of_bounds(option: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Ears(**option)  # type: ignore[arg-type]
