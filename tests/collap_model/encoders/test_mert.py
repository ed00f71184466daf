from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from collap_model.encoders.mert import MertEncoder, to_24_khz
from tests.collap_model.encoders.naive import assert_close, encode_one_by_one, tones


def save_mert(folder: Path, *, large: bool = False, **changes: Any) -> HubertModel:
    """Random weights in the form of MERT-v1-95M: its type, its fields, a pickle of tensors, old names."""
    torch.manual_seed(0)
    model = HubertModel(
        HubertConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            conv_dim=(16,) * 7,
            num_conv_pos_embeddings=16,
            # 16 channels each: with 8, oneDNN of torch 2.13 convolves bfloat16 wrongly on the CPU
            num_conv_pos_embedding_groups=2,
            feat_extract_norm="layer" if large else "group",
            conv_bias=large,
            do_stable_layer_norm=large,
        )
    ).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("conv.bias"):  # zero at first, which would hide the level of the sound
            torch.nn.init.constant_(parameter, 0.05)
    model.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    renamed = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in weights.items()
    }
    assert any(name.endswith("weight_g") for name in renamed)
    torch.save(renamed, folder / "pytorch_model.bin")
    form = json.loads((folder / "config.json").read_text())
    form |= {"model_type": "mert_model", "architectures": ["MERTModel"], "sample_rate": 24_000}
    form |= {"feature_extractor_cqt": False, "deepnorm": False, "attention_relax": -1.0}
    (folder / "config.json").write_text(json.dumps(form | changes))
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mert")
    save_mert(path)
    return path


@pytest.mark.parametrize("large", [False, True])
def test_frames_are_those_of_hubert_and_its_extractor(large: bool, tmp_path: Path) -> None:
    model = save_mert(tmp_path, large=large)
    encoder = MertEncoder.load(str(tmp_path))
    loud_T, quiet_T = tones(5.0, 5.0)
    windows_NT = torch.from_numpy(np.stack([loud_T, 0.05 * quiet_T + 0.02]))
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=24_000, do_normalize=True)
    with torch.inference_mode():
        frames_NFE, num_frames_N = encoder.frames(windows_NT, torch.tensor([80_000, 80_000]))
        assert num_frames_N.tolist() == [374, 374]  # 75 a second, less the edge
        for frames_FE, window_T in zip(frames_NFE, windows_NT, strict=True):
            samples = to_24_khz(window_T[None])[0].numpy()
            heard = extractor(samples, sampling_rate=24_000, return_tensors="pt").input_values
            states = model(heard, output_hidden_states=True).hidden_states
            assert len(states) == 3
            torch.testing.assert_close(frames_FE, torch.stack(states).mean(0)[0], atol=1e-5, rtol=0)


def test_equals_one_window_at_a_time_in_any_company(folder: Path) -> None:
    encoder = MertEncoder.load(str(folder), windows_per_batch=4)
    tracks = tones(0.05, 0.2, 6.3, 10.0, 5.6, 7.3)
    found = encoder.encode(tracks)
    assert_close(found, [encode_one_by_one(encoder, track) for track in tracks], 1e-5)
    assert_close(found, encoder.encode(tracks[::-1])[::-1], 1e-5)
    assert [len(seconds.frames_S) for seconds in found] == [1, 1, 6, 10, 6, 7]
    assert all(seconds.frames_S.min() >= 1 for seconds in found)


def test_bfloat16_leaves_the_frontend_exact(folder: Path) -> None:
    tracks = tones(3.0)
    (exact,) = MertEncoder.load(str(folder)).encode(tracks)
    (rough,) = MertEncoder.load(str(folder), precision="bfloat16").encode(tracks)
    assert 1e-5 < np.abs(exact.vectors_SE - rough.vectors_SE).max() < 0.1


def test_silence_is_finite(folder: Path) -> None:
    (seconds,) = MertEncoder.load(str(folder)).encode([np.zeros(20_000, np.float32)])
    assert np.isfinite(seconds.vectors_SE).all()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"feature_extractor_cqt": True}, "constant-Q"),
        ({"deepnorm": True}, "deep-norm"),
        ({"sample_rate": 16_000}, "16000; expected 24000"),
        ({"model_type": "wav2vec2"}, "'wav2vec2'; expected 'mert_model'"),
    ],
)
def test_refuses_checkpoints_that_hubert_would_get_wrong(changes: dict[str, Any], match: str, tmp_path: Path) -> None:
    save_mert(tmp_path, **changes)
    with pytest.raises(ValueError, match=match):
        MertEncoder.load(str(tmp_path))


@pytest.mark.parametrize("hz", [50.0, 440.0, 3_000.0, 7_200.0])
def test_resampling_keeps_tones_where_they_were(hz: float) -> None:
    time_T = np.arange(16_000) / 16_000
    sine = torch.from_numpy(np.sin(2 * np.pi * hz * time_T)).float()
    expected = np.sin(2 * np.pi * hz * np.arange(24_000) / 24_000)
    found = to_24_khz(torch.stack([sine, -sine]))
    assert found.shape == (2, 24_000)
    np.testing.assert_allclose(found[0, 100:-100], expected[100:-100], atol=5e-4)  # edges hear silence around
    assert torch.equal(found[0], -found[1])


@pytest.mark.parametrize("num_samples", [1, 2, 3, 1000, 1001])
def test_resampling_is_the_sum_it_says(num_samples: int) -> None:
    samples = np.random.default_rng(0).standard_normal(num_samples)
    found = to_24_khz(torch.from_numpy(samples).float()[None])[0].numpy()
    assert len(found) == -(-num_samples * 3 // 2)
    half, beta = 32, 8.0
    for index in {*range(min(4, len(found))), len(found) // 2, len(found) - 1}:
        place = index * 2 / 3
        taps = np.arange(index // 3 * 2 + 1 - half, index // 3 * 2 + half + 1)
        away = place - taps
        window = np.i0(beta * np.sqrt(np.clip(1 - (away / half) ** 2, 0, None))) / np.i0(beta)
        weights = np.sinc(away) * window
        weights /= weights.sum()
        heard = [samples[tap] if 0 <= tap < num_samples else 0.0 for tap in taps]
        assert found[index] == pytest.approx(np.dot(weights, heard), abs=1e-5)
