from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperModel

from collap_model.encoders.encoder import SAMPLE_RATE_HZ
from collap_model.encoders.whisper import WhisperEncoder
from tests.collap_model.encoders.naive import assert_close, encode_one_by_one, tones


def config(**changes: Any) -> WhisperConfig:
    options: dict[str, Any] = {
        "vocab_size": 64,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    }
    return WhisperConfig(**(options | changes))


@pytest.fixture(scope="module")
def model() -> WhisperModel:
    torch.manual_seed(0)
    return WhisperModel(config()).eval()


@pytest.fixture(scope="module")
def folder(model: WhisperModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whisper")
    model.save_pretrained(path)
    return path


@torch.inference_mode()
def through_transformers(model: WhisperModel, window: np.ndarray) -> torch.Tensor:
    """Its own extractor and its own whole model."""
    extractor = WhisperFeatureExtractor(feature_size=model.config.num_mel_bins)
    mel = extractor(window, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
    return model(mel, decoder_input_ids=torch.ones(1, 1, dtype=torch.long)).encoder_last_hidden_state


@pytest.mark.parametrize("num_mels", [80, 128])
def test_frames_are_those_of_transformers(num_mels: int, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = WhisperModel(config(num_mel_bins=num_mels)).eval()
    model.save_pretrained(tmp_path)
    encoder = WhisperEncoder.load(str(tmp_path))
    tracks = tones(30.0, 7.3)
    windows_NT = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(track) for track in tracks], batch_first=True)
    with torch.inference_mode():
        frames_NFE, num_frames_N = encoder.frames(windows_NT, torch.tensor([len(track) for track in tracks]))
    assert num_frames_N.tolist() == [1500, 1500]
    for frames_FE, track in zip(frames_NFE, tracks, strict=True):
        torch.testing.assert_close(frames_FE, through_transformers(model, track)[0], atol=1e-5, rtol=0)


def test_a_track_is_heard_in_windows_of_30_s_and_pooled_by_the_second(folder: Path, model: WhisperModel) -> None:
    (track,) = tones(41.7)
    (seconds,) = WhisperEncoder.load(str(folder)).encode([track])
    frames_FE = torch.cat([through_transformers(model, part)[0] for part in (track[:480_000], track[480_000:])])
    assert seconds.frames_S.tolist() == [50] * 41 + [35]
    bounds = np.append(np.arange(42) * 50, 41 * 50 + 35)
    means = [frames_FE[first:last].mean(0) for first, last in pairwise(bounds)]
    np.testing.assert_allclose(seconds.vectors_SE, torch.stack(means).numpy(), atol=1e-5)


def test_equals_one_window_at_a_time_in_any_company(folder: Path) -> None:
    encoder = WhisperEncoder.load(str(folder), windows_per_batch=3)
    tracks = tones(0.2, 33.0, 1.6, 30.4)
    assert_close(encoder.encode(tracks), [encode_one_by_one(encoder, track) for track in tracks], 1e-5)


def test_the_decoder_is_not_kept(
    model: WhisperModel, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="transformers"):
        logging.getLogger("transformers").addHandler(caplog.handler)
        encoder = WhisperEncoder.load(str(folder))
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert "UNEXPECTED" not in caplog.text
    assert not any("decoder" in name for name, _ in encoder.named_parameters())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    # as OpenAI's are published: with the head, names begin with "model."
    headed = WhisperForConditionalGeneration(config())
    headed.model.load_state_dict(model.state_dict())
    headed.save_pretrained(tmp_path)
    assert WhisperEncoder.load(str(tmp_path)).identity == encoder.identity


def test_bfloat16_leaves_the_frontend_exact(folder: Path) -> None:
    tracks = tones(3.0)
    (exact,) = WhisperEncoder.load(str(folder)).encode(tracks)
    (rough,) = WhisperEncoder.load(str(folder), precision="bfloat16").encode(tracks)
    apart = np.abs(exact.vectors_SE - rough.vectors_SE).max()
    assert 1e-5 < apart < 0.1


def test_identity_tells_shapes_apart_that_weights_do_not_show(folder: Path) -> None:
    one = WhisperEncoder.load(str(folder))
    form = (folder / "config.json").read_text()
    try:
        (folder / "config.json").write_text(
            form.replace('"encoder_attention_heads": 2', '"encoder_attention_heads": 4')
        )
        other = WhisperEncoder.load(str(folder))
    finally:
        (folder / "config.json").write_text(form)
    assert other.network.config.encoder_attention_heads == 4
    assert one.identity != other.identity


def test_refuses_a_whisper_of_other_windows(tmp_path: Path) -> None:
    WhisperModel(config(max_source_positions=100)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="100 frames; expected 1500"):
        WhisperEncoder.load(str(tmp_path))
