"""Models of other packages with random weights, against the packages' own calls. Left out where one is not installed.

Each package takes its text tower from a hub name: a folder of that name in the working directory comes first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from transformers import (
    GPT2Config,
    GPT2Model,
    RobertaConfig,
    RobertaModel,
    Wav2Vec2ConformerConfig,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from collap_model.baselines.baseline import Samples
from collap_model.baselines.muq_mulan import _let_layers_be_seen
from collap_model.baselines.open import open_baseline
from tests.collap_model.baselines.clap_models import CAPTIONS, byte_tokenizer

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
SMALL = {"num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def noise(*lengths: int) -> list[Samples]:
    rng = np.random.default_rng(1)
    return [(0.1 * rng.standard_normal(length)).astype(np.float32) for length in lengths]


def save_roberta(folder: Path, config_class: type, model_class: type) -> None:
    tokenizer = byte_tokenizer(folder)
    config = config_class(
        vocab_size=len(tokenizer), hidden_size=768, max_position_embeddings=514, pad_token_id=1, **SMALL
    )
    torch.manual_seed(0)
    model_class(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_laion_clap(here: Path) -> None:
    laion_clap = pytest.importorskip("laion_clap")
    save_roberta(here / "roberta-base", RobertaConfig, RobertaModel)
    torch.manual_seed(0)
    own = laion_clap.CLAP_Module(enable_fusion=False, device="cpu", amodel="HTSAT-tiny")
    state = {f"module.{name}": value for name, value in own.model.state_dict().items()}
    state["module.text_branch.embeddings.position_ids"] = torch.arange(514)[None]
    torch.save({"epoch": 15, "best": np.float64(0.9), "state_dict": state}, here / "music.pt")
    model = open_baseline("laion-clap", "music.pt", CPU)
    assert model.sample_rate_hz == own.model_cfg["audio_cfg"]["sample_rate"]
    assert model.window_samples == own.model_cfg["audio_cfg"]["clip_samples"]

    windows = noise(480_000, 480_000, 20_000)
    heard = model.embed_audio(windows)
    expected = [own.get_audio_embedding_from_data([window], use_tensor=False)[0] for window in windows]
    torch.testing.assert_close(heard, torch.from_numpy(np.stack(expected)), atol=1e-5, rtol=0)
    assert torch.equal(heard, model.embed_audio(windows)), "a window is cropped at random"
    texts = [*CAPTIONS, "la " * 200]
    torch.testing.assert_close(
        model.embed_text(texts), torch.as_tensor(own.get_text_embedding(texts)), atol=1e-5, rtol=0
    )
    assert torch.equal(model.embed_text(["la " * 200]), model.embed_text(["la " * 300]))
    assert model.num_tokens("la " * 200) > model.max_tokens >= model.num_tokens(CAPTIONS[0])

    torch.save({"state_dict": {"weight": torch.zeros(2)}}, here / "other.pt")
    with pytest.raises(ValueError, match=r"other\.pt is no checkpoint of LAION-CLAP with HTSAT"):
        open_baseline("laion-clap", "other.pt", CPU)
    del state["module.logit_scale_a"]
    torch.save({"state_dict": state}, here / "less.pt")
    with pytest.raises(ValueError, match=r"less\.pt does not fit HTSAT-tiny.*"):
        open_baseline("laion-clap", "less.pt", CPU)


def test_ms_clap(here: Path) -> None:
    msclap = pytest.importorskip("msclap")
    tokenizer = byte_tokenizer(here / "gpt2")
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer) + 1, n_embd=768, n_layer=1, n_head=4, n_positions=80)
    GPT2Model(config).save_pretrained(here / "gpt2")
    tokenizer.save_pretrained(here / "gpt2")
    torch.save({"model": {}}, here / "empty.pth")
    own = msclap.CLAP(model_fp=str(here / "empty.pth"), version="2023")
    torch.save({"model": own.clap.state_dict(), "epoch": np.float64(1)}, here / "clap.pth")
    model = open_baseline("ms-clap", "clap.pth", CPU)
    assert (model.sample_rate_hz, model.window_samples, model.max_tokens) == (44_100, 308_700, 77)

    windows = noise(308_700, 100_000, 50)
    heard = model.embed_audio(windows)
    for window, vector in zip(windows, heard, strict=True):
        own.read_audio = lambda path, resample, sound=window: (torch.from_numpy(sound)[None], 44_100)
        alone = own.get_audio_embeddings(["any.wav"])[0]
        torch.testing.assert_close(normalize(vector, dim=0), normalize(alone, dim=0), atol=1e-5, rtol=0)
    assert torch.equal(heard, model.embed_audio(windows)), "a window is cropped at random"
    alone = torch.cat([model.embed_text([text]) for text in CAPTIONS])
    torch.testing.assert_close(model.embed_text(CAPTIONS), alone, atol=1e-5, rtol=0)
    assert torch.equal(model.embed_text(["la " * 200]), model.embed_text(["la " * 300]))
    assert model.num_tokens("la " * 200) > model.max_tokens

    with pytest.raises(ValueError, match=r"empty\.pth lacks .* weights of MS-CLAP 2023"):
        open_baseline("ms-clap", "empty.pth", CPU)


def test_muq_mulan(here: Path) -> None:
    muq = pytest.importorskip("muq")
    save_roberta(here / "xlm-roberta-base", XLMRobertaConfig, XLMRobertaModel)
    form = Wav2Vec2ConformerConfig(hidden_size=32, conv_depthwise_kernel_size=3, **SMALL).to_dict()
    del form["id2label"]  # the package wants names for keys
    base = muq.MuQConfig(
        encoder_dim=32,
        encoder_depth=1,
        conv_dim=8,
        w2v2_config=form,
        stat={"melspec_2048_mean": 0, "melspec_2048_std": 1},
    )
    torch.manual_seed(0)
    muq.MuQ(base).save_pretrained(here / "muq-base", config=base.__dict__)
    tower = {"dim": 16, "tf_depth": 1, "heads": 2, "dim_head": 8, "attn_dropout": 0.0, "ff_dropout": 0.0, "ff_mult": 2}
    config = {
        "mulan": {"sr": 24_000, "clip_secs": 2, "dim_latent": 8, "rank_contrast": True},
        "audio_model": {"name": "muq-base", "model_dim": 32, "use_layer_idx": -1},
        "text_model": {"name": "xlm-roberta-base", "model_dim": 768},
        "audio_transformer": tower,
        "text_transformer": {**tower, "max_seq_len": 1024},
    }
    own = muq.MuQMuLan(config).eval()
    own.save_pretrained(here / "mulan", config=config)
    model = open_baseline("muq-mulan", "mulan", CPU)
    _let_layers_be_seen(own.mulan.audio.model.model.conformer)  # without it transformers 5 fails
    assert (model.sample_rate_hz, model.window_samples, model.max_tokens) == (24_000, 48_000, 512)

    windows = noise(48_000, 48_000, 30_000)
    heard = model.embed_audio(windows)
    expected = torch.cat([own(wavs=torch.from_numpy(window)[None]) for window in windows])
    torch.testing.assert_close(heard, expected, atol=1e-5, rtol=0)
    with torch.inference_mode():
        beside = own(texts=[CAPTIONS[0], "la " * 100])[0]
        alone = own(texts=[CAPTIONS[0]])[0]
    assert (beside - alone).abs().max() > 1e-4, "its text tower averages over padding: the reason to read texts alone"
    texts = [CAPTIONS[0], "la " * 600, CAPTIONS[1]]
    read = model.embed_text(texts)
    torch.testing.assert_close(read[0], alone, atol=1e-6, rtol=0)
    with pytest.raises((IndexError, RuntimeError)):
        own(texts=["la " * 600])
    assert model.num_tokens(texts[1]) > model.max_tokens
    assert torch.equal(read[1:2], model.embed_text(["la " * 700]))
