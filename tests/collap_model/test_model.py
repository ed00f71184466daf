from __future__ import annotations

from pathlib import Path

import pytest
import torch

from collap_model.choices import FusionName
from collap_model.data import Pairs
from collap_model.evaluate import score_matrix
from collap_model.model import CoLLAP, ModelForm
from collap_model.text import new_tower


def build(pairs: Pairs, fusion: FusionName = "attention") -> CoLLAP:
    torch.manual_seed(0)
    form = ModelForm(
        text_tower="tiny",
        fusion=fusion,
        dim=16,
        dropout=0.1,
        temperature=0.07,
        encoder=pairs.store.encoder,
        encoder_dim=pairs.store.dim,
        clip_seconds=5,
        max_track_seconds=300,
    )
    model = CoLLAP(form, new_tower("tiny", pretrained=None, captions=pairs.captions, dropout=0.1))
    model.set_feature_statistics(*pairs.feature_statistics())
    return model.eval()


@pytest.mark.parametrize("fusion", ["attention", "mean", "max"])
def test_scores_are_the_same_after_saving(workspace: Path, tmp_path: Path, fusion: FusionName) -> None:
    pairs = Pairs.open(workspace, "test")
    model = build(pairs, fusion)
    model.save_pretrained(tmp_path / "model")
    again = CoLLAP.from_pretrained(tmp_path / "model")
    assert not again.training
    assert again.form == model.form
    first, _ = score_matrix(model, pairs.captions, pairs, pairs.track_ids)
    second, _ = score_matrix(again, pairs.captions, pairs, pairs.track_ids)
    assert torch.equal(first, second)


def test_embeddings_are_unit_vectors_in_float32(workspace: Path) -> None:
    pairs = Pairs.open(workspace, "test")
    model = build(pairs)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        clips_JKD = model.embed_clips(torch.randn(2, 3, 6))
        text_ID = model.embed_texts(model.tower.tokenize(pairs.captions))
    for vectors in (clips_JKD, text_ID):
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(vectors.shape[:-1]))


def test_scores_do_not_depend_on_company(workspace: Path) -> None:
    pairs = Pairs.open(workspace, "test")
    model = build(pairs)
    together, _ = score_matrix(model, pairs.captions, pairs, pairs.track_ids)
    alone, _ = score_matrix(model, pairs.captions[2:3], pairs, pairs.track_ids[4:5])
    torch.testing.assert_close(together[2:3, 4:5], alone, atol=1e-6, rtol=0)


def test_a_feature_that_never_varies_stays_finite(workspace: Path) -> None:
    model = build(Pairs.open(workspace, "test"))
    model.set_feature_statistics(torch.zeros(6), torch.zeros(6))
    assert model.embed_clips(torch.randn(1, 2, 6)).isfinite().all()


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no CoLLAP model in .*: config.json, model.safetensors, text missing"):
        CoLLAP.from_pretrained(tmp_path)
