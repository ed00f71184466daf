from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from collap_model.features.feature_store import FeatureStore
from collap_model.pairs import Pair, Pairs
from collap_model.training.augment import crop_seconds, global_paragraph, sample_caption, sample_sentences
from collap_model.training.config import TrainConfig
from collap_model.training.data import TrainingData
from collap_model.training.distributed import World
from tests.collap_model.workspaces import make_workspace, sample, write_tables

CAPTION = "A dark song. It is slow!\n\nFrom 0:00 to 0:20 the theme at 3.5 dB plays. Then a bridge.\n\nIt ends."
CONFIG = TrainConfig(
    text_tower="tiny", batch_size=4, clip_seconds=5, crop_chance=0.5, sentences_chance=0.4, global_chance=0.2, seed=3
)


def assert_same_batch(first: TrainingData, second: TrainingData, step: int) -> None:
    a, b = first.batch(step), second.batch(step)
    assert a.texts == b.texts
    assert torch.equal(a.clips_JKE, b.clips_JKE)
    assert torch.equal(a.keys_JX, b.keys_JX)


def test_a_batch_depends_on_its_number_alone(workspace: Path) -> None:
    walked, fresh = (TrainingData(Pairs.open(workspace, "train"), CONFIG, World()) for _ in range(2))
    for step in range(7):
        walked.batch(step)
    assert_same_batch(walked, fresh, 7)
    assert_same_batch(walked, fresh, 2)
    assert walked.batch(0).texts != walked.batch(3).texts


def test_an_epoch_holds_every_pair_once(workspace: Path) -> None:
    plain = CONFIG.model_copy(update={"sentences_chance": 0, "global_chance": 0})
    data = TrainingData(Pairs.open(workspace, "train"), plain, World())
    assert data.batches_per_epoch == 3
    for epoch in (0, 1):
        keys = torch.cat([data.batch(3 * epoch + step).keys_JX[:, 0] for step in range(3)])
        assert len(keys.unique()) == 12


def test_processes_share_the_batch_of_one(workspace: Path) -> None:
    pairs = Pairs.open(workspace, "train")
    whole = TrainingData(pairs, CONFIG, World()).batch(5)
    parts = [TrainingData(pairs, CONFIG, World(rank=rank, size=2)).batch(5) for rank in range(2)]
    assert parts[0].texts + parts[1].texts == whole.texts
    assert torch.equal(torch.cat([part.keys_JX for part in parts]), whole.keys_JX)


def test_clips_are_padded_with_zeros(workspace: Path) -> None:
    batch = TrainingData(Pairs.open(workspace, "train"), CONFIG, World()).batch(0)
    assert batch.mask_JK.any(1).all()
    assert not batch.mask_JK.all()
    assert (batch.clips_JKE[~batch.mask_JK] == 0).all()


def test_statistics_are_those_of_all_seconds(workspace: Path) -> None:
    pairs = Pairs.open(workspace, "train")
    every = np.concatenate([pairs.store.vectors(track_id) for track_id in pairs.track_ids]).astype(np.float64)
    mean, std = pairs.feature_statistics()
    np.testing.assert_allclose(mean, every.mean(0), atol=1e-5)
    np.testing.assert_allclose(std, every.std(0), atol=1e-5)


def test_fingerprint_sees_captions_and_features(tmp_path: Path) -> None:
    store = FeatureStore.open(make_workspace(tmp_path))
    pairs = [Pair("song000", "A dark song."), Pair("song001", "A bright song.")]
    plain = Pairs(pairs, store, "train").fingerprint()
    assert Pairs(pairs, FeatureStore.open(tmp_path), "train").fingerprint() == plain
    other = [Pair("song000", "A dark song"), pairs[1]]
    assert Pairs(other, store, "train").fingerprint() != plain
    store.rows["song000"] = replace(store.rows["song000"], num_seconds=1)
    assert Pairs(pairs, store, "train").fingerprint() != plain


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no manifest"):
        Pairs.open(tmp_path, "train")
    workspace = make_workspace(tmp_path, num_train=6)
    pairs = Pairs.open(workspace, "train")
    with pytest.raises(ValueError, match=r"no pair in split 'valid'; its splits are \['test', 'train'\]"):
        Pairs.open(workspace, "valid")
    with pytest.raises(ValueError, match=r"batch_size 7 exceeds the 6 pairs .* set batch_size to 6 or less"):
        TrainingData(pairs, CONFIG.model_copy(update={"batch_size": 7}), World())
    with pytest.raises(ValueError, match="no multiple of the 3 processes"):
        TrainingData(pairs, CONFIG, World(size=3))
    with pytest.raises(ValueError, match="has 1 track; training needs at least 2"):
        TrainingData(Pairs(pairs.pairs[:1] * 5, pairs.store, "train"), CONFIG, World())


def test_pairs_without_features_or_words_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_workspace(tmp_path)
    row = FeatureStore.open(tmp_path).rows["song000"]
    write_tables(tmp_path, [sample("song000", "train", "A."), sample("lost", "train", "B.")], [row])
    assert Pairs.open(tmp_path, "train").track_ids == ["song000"]
    assert "1 tracks of split 'train' have no features and are left out: ['lost']" in capsys.readouterr().out
    write_tables(tmp_path, [sample("lost", "train", "B.")], [row])
    with pytest.raises(ValueError, match=r"no track of split 'train' has features, e\.g\. 'lost'"):
        Pairs.open(tmp_path, "train")
    write_tables(tmp_path, [sample("song000", "train", "  ")], [row])
    with pytest.raises(ValueError, match="1 captions of split 'train' are empty"):
        Pairs.open(tmp_path, "train")


def test_nan_features_stop_training_data(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    part = np.load(tmp_path / "features" / "0.npy")
    part[:] = np.nan
    np.save(tmp_path / "features" / "0.npy", part)
    data = TrainingData(Pairs.open(tmp_path, "train"), CONFIG, World())
    with pytest.raises(ValueError, match="NaN or infinity"):
        data.batch(0)


def test_crops_lie_inside_and_keep_their_share() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        num = int(rng.integers(1, 400))
        heard = crop_seconds(rng, num, chance=1.0, min_share=0.5, longest=100)
        length = heard.stop - heard.start
        assert 0 <= heard.start < heard.stop <= num
        assert min(100, num // 2) <= length <= min(100, num)
    assert crop_seconds(rng, 400, chance=0.0, min_share=0.5, longest=300) == slice(0, 300)


def test_captions_lose_whole_sentences_only() -> None:
    rng = np.random.default_rng(0)
    sentences = [
        "A dark song.",
        "It is slow!",
        "From 0:00 to 0:20 the theme at 3.5 dB plays.",
        "Then a bridge.",
        "It ends.",
    ]
    seen = set()
    for _ in range(200):
        text = sample_sentences(rng, CAPTION)
        kept = [sentence for sentence in sentences if sentence in text]
        assert kept
        assert text == " ".join(kept)
        seen.add(len(kept))
    assert seen == {1, 2, 3, 4, 5}
    assert sample_sentences(rng, "Only one.") == "Only one."


def test_caption_choices() -> None:
    rng = np.random.default_rng(0)
    assert global_paragraph(CAPTION) == "A dark song. It is slow!"
    assert global_paragraph(CAPTION.replace("\n\n", " ")) == "A dark song. It is slow!"
    assert global_paragraph("It lasts a minute (1:08). It is slow.") == "It lasts a minute (1:08). It is slow."
    assert global_paragraph("From 0:00 to 0:10 it is slow.") == "From 0:00 to 0:10 it is slow."
    assert sample_caption(rng, CAPTION, sentences_chance=0, global_chance=0) == CAPTION
    assert sample_caption(rng, CAPTION, sentences_chance=0, global_chance=1) == global_paragraph(CAPTION)
