from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from collap_model.pairs import Pairs
from collap_model.training.config import TrainConfig
from collap_model.training.data import TrainingData
from collap_model.training.distributed import World
from collap_model.training.negatives import Swaps
from tests.collap_model.captions import caption_of_sections, make_ordered_workspace, write_captions
from tests.collap_model.workspaces import make_workspace

CONFIG = TrainConfig(
    text_tower="tiny", batch_size=4, clip_seconds=5, crop_chance=1.0, sentences_chance=0.5, swap_negatives=0.5, seed=3
)


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ordered_workspace(tmp_path_factory.mktemp("ordered"))


def test_a_draw_is_the_clock_free_text_and_the_same_words_in_another_order() -> None:
    caption = caption_of_sections("t", [0, 1, 2, 3, 4])
    swaps = Swaps([caption, caption_of_sections("short", [0, 1, 2])], 300)
    assert len(swaps) == 1
    rng = np.random.default_rng(0)
    drawn = {swaps.draw(rng, "t") for _ in range(60)}
    assert len(drawn) == 3  # of the three inner sections, two at a time
    for swap in drawn:
        assert swap is not None
        assert swap.true == caption.clock_free_text != swap.false
        assert Counter(swap.true.split()) == Counter(swap.false.split())
    assert swaps.draw(rng, "short") is None  # its only inner section has none to be exchanged with
    assert swaps.draw(rng, "another") is None


def test_sections_that_are_not_heard_are_not_exchanged() -> None:
    caption = caption_of_sections("t", [0, 1, 2, 3, 4])
    swaps = Swaps([caption], 30)
    drawn = {swaps.draw(np.random.default_rng(seed), "t") for seed in range(20)}
    assert len(drawn) == 1
    assert len(Swaps([caption], 29)) == 0


def test_batches_hold_the_hard_negatives_of_their_own_tracks(ordered: Path) -> None:
    data = TrainingData(Pairs.open(ordered, "train"), CONFIG, World())
    rows = pq.read_table(ordered / "captions.parquet", columns=["track_id", "clock_free_text", "long_text"]).to_pylist()
    true_texts = {row["clock_free_text"] for row in rows}
    seen = 0
    for step in range(12):
        batch = data.batch(step)
        assert len(batch.swapped) == len(batch.owners_H)
        assert batch.owners_H.tolist() == sorted(set(batch.owners_H.tolist()))
        for owner, false in zip(batch.owners_H.tolist(), batch.swapped, strict=True):
            assert batch.texts[owner] in true_texts
            assert false not in true_texts
            assert Counter(false.split()) == Counter(batch.texts[owner].split())
            assert batch.mask_JK[owner].sum() == 8  # heard whole, although every other track is cropped
        seen += len(batch.swapped)
    assert 12 < seen < 36  # about half of 48


def test_a_batch_with_hard_negatives_depends_on_its_number_alone(ordered: Path) -> None:
    pairs = Pairs.open(ordered, "train")
    whole = TrainingData(pairs, CONFIG, World()).batch(7)
    parts = [TrainingData(pairs, CONFIG, World(rank=rank, size=2)).batch(7) for rank in range(2)]
    assert parts[0].texts + parts[1].texts == whole.texts
    assert parts[0].swapped + parts[1].swapped == whole.swapped
    assert torch.equal(torch.cat([parts[0].owners_H, parts[1].owners_H + 2]), whole.owners_H)


def test_the_text_as_it_is_read_is_a_key(ordered: Path) -> None:
    """Two songs whose captions begin with the same paragraph are no negatives when only that is read."""
    config = CONFIG.model_copy(update={"swap_negatives": 0, "sentences_chance": 0, "global_chance": 1})
    batch = TrainingData(Pairs.open(ordered, "train"), config, World()).batch(0)
    assert batch.texts == ["A song."] * 4
    assert len(batch.keys_JX[:, 2].unique()) == 1
    assert len(batch.keys_JX[:, 1].unique()) == 4


def test_fingerprint_sees_the_sections(ordered: Path, tmp_path: Path) -> None:
    pairs = Pairs.open(ordered, "train")
    plain = TrainingData(pairs, CONFIG.model_copy(update={"swap_negatives": 0}), World()).fingerprint()
    whole = TrainingData(pairs, CONFIG, World()).fingerprint()
    assert plain == pairs.fingerprint() != whole
    caption = caption_of_sections("t", [0, 1, 2, 3])
    other = replace(
        caption, sections=tuple(replace(section, letter=section.letter + "1") for section in caption.sections)
    )
    prints = [Swaps([item], 300).fingerprint() for item in (caption, other, replace(caption, track_id="u"))]
    assert prints[0] == prints[1]  # letters matter only for what can be exchanged
    assert prints[0] != prints[2]


def test_mistakes_are_named(ordered: Path, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    pairs = Pairs.open(workspace, "train")
    with pytest.raises(ValueError, match=r"there is no .*captions.parquet: build .*, or set swap_negatives to 0"):
        TrainingData(pairs, CONFIG, World())
    write_captions(workspace, [caption_of_sections("song000", [0, 1, 2, 3])])
    with pytest.raises(ValueError, match=r"none of the 12 captions has two sections to exchange within the 300 s"):
        TrainingData(pairs, CONFIG, World())  # the manifest has another caption of this song
    pq.write_table(pq.read_table(workspace / "captions.parquet").drop(["sections"]), workspace / "captions.parquet")
    with pytest.raises(ValueError, match=r"captions.parquet lacks the columns \['sections'\]"):
        TrainingData(pairs, CONFIG, World())
    broken = replace(caption_of_sections("t", [0, 1, 2, 3]), clock_free_text="One paragraph.")
    with pytest.raises(ValueError, match=r"caption of 't' cannot be exchanged: .*paragraphs"):
        Swaps([broken], 300)
