from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import cast, get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from collap_model.choices import FusionName
from collap_model.layers import AudioHead
from collap_model.model import CoLLAP
from collap_model.tracks import Tracks
from tests.collap_model.models import CAPTIONS, form, model

FUSIONS = get_args(FusionName)


def features(num_tracks: int = 4, num_clips: int = 5, dim: int = 6, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of tracks of different lengths, the first the longest."""
    clips_JKE = torch.randn(num_tracks, num_clips, dim, generator=torch.Generator().manual_seed(seed))
    mask_JK = torch.arange(num_clips) < torch.arange(num_clips, num_clips - num_tracks, -1).unsqueeze(1)
    return clips_JKE, mask_JK


def embedded(made: CoLLAP, clips_JKE: torch.Tensor, mask_JK: torch.Tensor) -> Tracks:
    spans_s = tuple(tuple((5.0 * k, 5.0 * k + 5.0) for k in range(int(count))) for count in mask_JK.sum(1))
    with torch.no_grad():
        return Tracks(clips_JKD=made.embed_clips(clips_JKE, mask_JK), mask_JK=mask_JK, spans_s=spans_s)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_saved_model_scores_the_same_to_the_bit(fusion: FusionName, tmp_path: Path) -> None:
    made = model(fusion)
    made.save_pretrained(tmp_path / "model")
    again = CoLLAP.from_pretrained(tmp_path / "model")
    assert not again.training
    assert again.form == made.form
    clips_JKE, mask_JK = features()
    first, second = (m.score(m.embed_text(CAPTIONS), embedded(m, clips_JKE, mask_JK)) for m in (made, again))
    assert torch.equal(first, second)
    assert first.std() > 0.01


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_score_does_not_depend_on_company(fusion: FusionName) -> None:
    made = model(fusion)
    clips_JKE, mask_JK = features()
    together = made.score(made.embed_text(CAPTIONS * 30), embedded(made, clips_JKE, mask_JK))
    alone = made.score(made.embed_text(CAPTIONS[1]), embedded(made, clips_JKE[2:3, :3], mask_JK[2:3, :3]))
    torch.testing.assert_close(together[1::3, 2:3], alone.expand(30, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_attention_over_time_names_every_clip_once(fusion: FusionName) -> None:
    made = model(fusion)
    tracks = embedded(made, *features())
    moments = made.attention_over_time(CAPTIONS[0], tracks[1])
    assert [moment[:2] for moment in moments] == [(0.0, 5.0), (5.0, 10.0), (10.0, 15.0), (15.0, 20.0)]
    assert math.isclose(sum(weight for *_, weight in moments), 1.0, rel_tol=1e-6)


def test_attention_is_the_softmax_of_cosines() -> None:
    made = model("attention")
    tracks, texts = embedded(made, *features()), made.embed_text(CAPTIONS[0])
    cosines_K = tracks.clips_JKD[1, :4] @ texts.text_ID[0]
    expected = (made.scorer.tau() * cosines_K).softmax(0)
    weights = torch.tensor([weight for *_, weight in made.attention_over_time(texts, tracks[1])])
    torch.testing.assert_close(weights, expected.detach())


def test_texts_may_be_given_as_they_are() -> None:
    made = model("token")
    tracks = embedded(made, *features())
    assert torch.equal(made.score(CAPTIONS, tracks), made.score(made.embed_text(CAPTIONS), tracks))
    with pytest.raises(TypeError, match=r"expected a string, or a list of these, got 3 \(int\)"):
        made.score(3, tracks)  # type: ignore[arg-type]


def test_files_are_embedded_before_they_are_scored() -> None:
    made = model()
    for use in (made.score, made.attention_over_time):
        with pytest.raises(TypeError, match=r"expected tracks as embed_audio returns them, got 'song.mp3' \(str\)"):
            use(CAPTIONS[0], cast(Tracks, "song.mp3"))


def test_tracks_are_taken_one_by_one() -> None:
    tracks = embedded(model(), *features())
    assert [tracks[number].clips_JKD.shape[1] for number in range(len(tracks))] == [5, 4, 3, 2]
    with pytest.raises(TypeError, match="slice"):
        tracks[cast(int, slice(0, 2))]


def test_attention_is_of_one_text_and_one_track() -> None:
    made = model()
    with pytest.raises(ValueError, match=r"one text and one track, got 3 and 4; take tracks\[0\]"):
        made.attention_over_time(made.embed_text(CAPTIONS), embedded(made, *features()))


@pytest.mark.parametrize("fusion", ["attention", "token", "ordered"])
def test_embeddings_are_unit_vectors_in_float32(fusion: FusionName) -> None:
    made = model(fusion)
    clips_JKE, mask_JK = features()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        clips_JKD = made.embed_clips(clips_JKE, mask_JK)
        texts = made.embed_texts(made.tower.tokenize(CAPTIONS))
    real = [clips_JKD[mask_JK], texts.text_ID]
    if texts.parts_IPD is not None:
        assert texts.parts_mask_IP is not None
        assert not texts.parts_IPD[~texts.parts_mask_IP].any()
        real.append(texts.parts_IPD[texts.parts_mask_IP])
    assert (texts.parts_IPD is None) == (fusion == "attention")
    for vectors in real:
        assert vectors.dtype == torch.float32
        torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(vectors)))


def test_nan_padding_poisons_neither_embeddings_nor_gradients() -> None:
    made = model()
    clips_JKE, mask_JK = features()
    grads = []
    for padding in (0.0, math.nan):
        made.zero_grad()
        made.embed_clips(clips_JKE.masked_fill(~mask_JK.unsqueeze(-1), padding), mask_JK)[..., 0].sum().backward()
        grads.append([parameter.grad.clone() for parameter in made.audio.parameters() if parameter.grad is not None])
    assert len(grads[0]) == len(list(made.audio.parameters()))
    assert all(torch.equal(clean, poisoned) for clean, poisoned in zip(*grads, strict=True))


def test_a_feature_that_never_varies_stays_finite() -> None:
    made = model()
    made.set_feature_statistics(torch.zeros(6), torch.zeros(6))
    clips_JKE, mask_JK = features()
    assert made.embed_clips(clips_JKE, mask_JK).isfinite().all()


def test_encoders_side_by_side_are_one_projection_of_their_concatenation() -> None:
    head = AudioHead([6, 30], 8, 0.0)
    inputs = torch.randn(5, 36)
    one, other = (layer for layer in head.projections if isinstance(layer, torch.nn.Linear))
    weight = torch.cat([one.weight, other.weight], dim=1) / math.sqrt(2)
    bias = (one.bias + other.bias) / math.sqrt(2)
    torch.testing.assert_close(head(inputs), head.mix(inputs @ weight.T + bias))


def test_a_model_in_training_is_used_without_dropout_and_left_in_training() -> None:
    made = model().train()
    first, second = (made.embed_text(CAPTIONS).text_ID for _ in range(2))
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert made.training


def test_texts_that_are_too_long_are_shortened_and_said() -> None:
    made = model()
    with pytest.warns(UserWarning, match=r"1 of 2 texts are longer than the 1024 tokens .* tokens were left out"):
        texts = made.embed_text([CAPTIONS[1], "word " * 20_000])
    assert len(texts) == 2


@pytest.mark.parametrize("text", ["", "  \n", [], ["fine", "..."]])
def test_texts_without_words_are_refused(text: str | list[str]) -> None:
    with pytest.raises(ValueError, match=r"has no word|no texts"):
        model().embed_text(text)


def test_an_emoji_is_a_text() -> None:
    assert model().embed_text("🎹").text_ID.isfinite().all()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    model().save_pretrained(folder)
    return folder


@pytest.fixture
def damaged(saved: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def change_form(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_model_in_a_run_or_a_build_is_pointed_at(tmp_path: Path) -> None:
    place = tmp_path / "models" / "mine" / "model"
    model().save_pretrained(place)
    for folder in (tmp_path, place.parent):
        with pytest.raises(ValueError, match=rf"no CoLLAP model in .*; there is one in {place}$"):
            CoLLAP.from_pretrained(folder)


def test_a_folder_of_home_is_written_where_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    model().save_pretrained("~/model")
    assert CoLLAP.from_pretrained("~/model").form == model().form


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no CoLLAP model in .*: config.json, model.safetensors, text missing"):
        CoLLAP.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"no folder .*gone; expected one that CoLLAP.save_pretrained wrote"):
        CoLLAP.from_pretrained(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"no folder './gone', and no name of a hub repository"):
        CoLLAP.from_pretrained("./gone")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"version": 2}, "version 3.*: version: Input should be 3"),
        ({"architecture": "clap"}, "architecture: Input should be 'collap'"),
        ({"fusion": "sum"}, "fusion: Input should be"),
        ({"encoders": []}, "encoders: "),
        ({"surprise": 1}, "surprise: Extra inputs"),
    ],
)
def test_another_form_is_refused(damaged: Path, values: dict[str, object], message: str) -> None:
    change_form(damaged, **values)
    with pytest.raises(ValueError, match=rf"config.json is not the form of a CoLLAP model .*{message}"):
        CoLLAP.from_pretrained(damaged)


def test_a_form_that_is_no_json_is_refused(damaged: Path) -> None:
    for content in (b"{", b"\xff\xfe"):
        (damaged / "config.json").write_bytes(content)
        with pytest.raises(ValueError, match="is not the form of a CoLLAP model"):
            CoLLAP.from_pretrained(damaged)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_weights_that_are_cut_off_are_refused(damaged: Path, share: float) -> None:
    path = damaged / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"model.safetensors is cut off or no safetensors file"):
        CoLLAP.from_pretrained(damaged)


def test_weights_of_another_architecture_are_refused(damaged: Path) -> None:
    path = damaged / "model.safetensors"
    weights = load_file(path)
    weights["surprise"] = weights.pop("audio.mix.2.weight")
    weights["feature_mean_E"] = torch.zeros(7)
    save_file(weights, path)
    with pytest.raises(ValueError, match="another architecture") as caught:
        CoLLAP.from_pretrained(damaged)
    for named in ("missing: audio.mix.2.weight", "not of this model: surprise", "feature_mean_E [7] instead of [6]"):
        assert named in str(caught.value)


def test_a_model_of_unnamed_encoders_says_why_it_hears_nothing() -> None:
    with pytest.raises(ValueError, match=r"trained on features of \['toy-1-a'\] without saying how to make them"):
        model().embed_audio(np.zeros(16_000, np.float32))


def test_the_card_says_what_the_model_is_and_how_to_use_it(tmp_path: Path) -> None:
    encoders = [{"identity": "beats-1-abc", "dim": 768}, {"identity": "spectral-2", "dim": 148}]
    model("ordered", encoders=encoders).save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: collap\n")
    for said in ("`ordered`", "`beats-1-abc` | 768", '{"beats": "FILE"}', "model.embed_audio"):
        assert said in card


def test_a_portable_form_names_no_folder_of_this_machine() -> None:
    settings = [
        {"encoder": "beats", "weights": "/home/me/beats.pt"},
        {"encoder": "whisper", "model": "openai/whisper-small"},
        {"encoder": "mert", "model": "/home/me/mert"},
    ]
    encoders = [{"identity": f"{item['encoder']}-1", "dim": 8} for item in settings]
    portable = form(encoders=encoders, features={"encoders": settings}).portable()
    assert "/home/me" not in portable.model_dump_json()
    assert portable.features is not None
    assert [item.model_dump() for item in portable.features.encoders] == [
        {"encoder": "beats", "weights": "beats.pt"},
        {"encoder": "whisper", "model": "openai/whisper-small"},
        {"encoder": "mert", "model": "mert"},
    ]
