from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, WhisperModel

from collap_model.encoders.beats import Beats, BeatsConfig, save_beats
from collap_model.encoders.open import open_encoder
from data_specs.spec import BeatsEncoding, EncoderSettings, MertEncoding, SpectralEncoding, WhisperEncoding
from tests.collap_model.encoders.naive import tones
from tests.collap_model.encoders.test_mert import save_mert
from tests.collap_model.encoders.test_whisper import config


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EncoderSettings]:
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    WhisperModel(config()).save_pretrained(folder / "whisper")
    save_mert(folder / "mert")
    shape = BeatsConfig(
        input_patch_size=16,
        encoder_layers=2,
        encoder_embed_dim=32,
        encoder_ffn_embed_dim=64,
        encoder_attention_heads=2,
        conv_pos_groups=2,
    )
    save_beats(Beats(shape), folder / "beats.safetensors")
    return {
        "spectral": SpectralEncoding(),
        "beats": BeatsEncoding(encoder="beats", weights=str(folder / "beats.safetensors")),
        "whisper": WhisperEncoding(encoder="whisper", model=str(folder / "whisper")),
        "mert": MertEncoding(encoder="mert", model=str(folder / "mert")),
    }


@pytest.mark.parametrize("name", ["spectral", "beats", "whisper", "mert"])
def test_every_setting_opens_an_encoder_that_hears(name: str, settings: dict[str, EncoderSettings]) -> None:
    encoder = open_encoder(settings[name], "float32", "cpu")
    assert encoder.name == name
    assert encoder.identity.startswith(f"{name}-")
    assert encoder.identity == open_encoder(settings[name], "float32", "cpu").identity
    for seconds, rows in zip(encoder.encode(tones(0.2, 11.6)), (1, 12), strict=True):
        assert seconds.vectors_SE.shape == (rows, encoder.dim)
        assert np.isfinite(seconds.vectors_SE).all()
        assert seconds.frames_S.min() >= 1


@pytest.mark.parametrize("name", ["beats", "whisper", "mert"])
def test_the_precision_is_part_of_the_identity(name: str, settings: dict[str, EncoderSettings]) -> None:
    assert open_encoder(settings[name], "float32", "cpu").identity != (
        open_encoder(settings[name], "bfloat16", "cpu").identity
    )


def bert(folder: Path) -> None:
    BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=8)
    ).save_pretrained(folder)


def nothing(folder: Path) -> None:
    (folder / "empty").touch()


def cut_whisper(folder: Path) -> None:
    WhisperModel(config()).save_pretrained(folder)
    cut(folder / "model.safetensors")


def cut_mert(folder: Path) -> None:
    save_mert(folder)
    cut(folder / "pytorch_model.bin")


def lacking_whisper(folder: Path) -> None:
    model = WhisperModel(config())
    weights = {name: tensor for name, tensor in model.state_dict().items() if "layers.1.fc1" not in name}
    model.save_pretrained(folder, state_dict=weights)


def other_shapes(folder: Path) -> None:
    WhisperModel(config()).save_pretrained(folder)
    form = (folder / "config.json").read_text()
    (folder / "config.json").write_text(form.replace('"d_model": 32', '"d_model": 16'))


def mert_with_code(folder: Path) -> None:
    save_mert(folder)
    torch.save({"a": Code(folder / "ran")}, folder / "pytorch_model.bin")
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    (folder / "ran").unlink()  # so it would have


class Code:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("kind", "spoil", "match"),
    [
        (WhisperEncoding, bert, "is a model of type 'bert'; expected 'whisper'"),
        (MertEncoding, bert, "is a model of type 'bert'; expected 'mert_model' or 'hubert'"),
        (WhisperEncoding, nothing, "holds no config.json"),
        (WhisperEncoding, cut_whisper, "cannot load the weights of"),
        (MertEncoding, cut_mert, "cannot load the weights of"),
        (MertEncoding, mert_with_code, "holds more than tensors; code is not run"),
        (WhisperEncoding, lacking_whisper, "lacks 2 weights of its encoder, layers.1.fc1.bias for one"),
        (WhisperEncoding, other_shapes, "cannot load the weights of"),
    ],
)
def test_a_checkpoint_that_cannot_serve_is_refused(
    kind: type[WhisperEncoding | MertEncoding], spoil: Callable[[Path], None], match: str, tmp_path: Path
) -> None:
    spoil(tmp_path)
    name = "whisper" if kind is WhisperEncoding else "mert"
    with pytest.raises(ValueError, match=match) as caught:
        open_encoder(kind(encoder=name, model=str(tmp_path)), "float32", "cpu")
    assert str(tmp_path) in str(caught.value)
    assert "weights_only" not in str(caught.value)  # torch's advice is to run it
    assert not (tmp_path / "ran").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "nothing.pt")
    with pytest.raises(ValueError, match=r"nothing\.pt"):
        open_encoder(BeatsEncoding(encoder="beats", weights=path), "float32", "cpu")
    with pytest.raises(ValueError, match=r"nothing\.pt"):
        open_encoder(WhisperEncoding(encoder="whisper", model=path), "float32", "cpu")
