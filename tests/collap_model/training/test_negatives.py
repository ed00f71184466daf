from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from collap_model.pairs import Pair, Pairs
from collap_model.training.augment import View
from collap_model.training.config import TrainConfig
from collap_model.training.data import TrainingData
from collap_model.training.distributed import World
from collap_model.training.negatives import Swaps
from data_specs.records import Caption
from tests.collap_model.captions import SOUNDS, caption_of_sections, make_ordered_workspace, write_captions
from tests.collap_model.workspaces import make_workspace

CONFIG = TrainConfig(
    text_tower="tiny", batch_size=4, clip_seconds=5, crop_chance=1.0, sentences_chance=0.5, swap_negatives=0.5, seed=3
)


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ordered_workspace(tmp_path_factory.mktemp("ordered"))


def of(*captions: Caption) -> dict[Pair, Caption]:
    return {Pair(caption.track_id, caption.long_text): caption for caption in captions}


def draws(swaps: Swaps, caption: Caption, num_seconds: int, count: int = 200) -> list[View]:
    rng, pair = np.random.default_rng(0), Pair(caption.track_id, caption.long_text)
    found = [swaps.draw(rng, pair, num_seconds) for _ in range(count)]
    assert None not in found
    return [view for view in found if view is not None]


def test_a_draw_exchanges_two_sections_in_the_text_or_in_the_music() -> None:
    caption, short = caption_of_sections("t", [0, 1, 2, 3, 4]), caption_of_sections("short", [0, 1, 2])
    swaps = Swaps(of(caption, short), 300)
    assert len(swaps) == 1
    views = draws(swaps, caption, 50)
    assert 70 < sum(isinstance(view.seconds, np.ndarray) for view in views) < 130  # of 200
    for view in views:
        assert view.false is not None
        assert Counter(view.text.split()) == Counter(view.false.split())
        heard = np.repeat(range(5), 10)[view.seconds][::10].tolist()
        assert re.findall("|".join(SOUNDS), view.text) == [SOUNDS[sound] for sound in heard]
        unchanged = view.false if isinstance(view.seconds, np.ndarray) else view.text
        assert unchanged == caption.clock_free_text
    assert len({str(view) for view in views}) == 6  # of three inner sections, two at a time; in text or music
    rng = np.random.default_rng(0)
    assert swaps.draw(rng, Pair("short", short.long_text), 30) is None  # none to exchange its one inner section with
    assert swaps.draw(rng, Pair("t", "Another caption."), 50) is None


def test_neither_text_nor_music_alone_says_which_is_true() -> None:
    """Of every pair of texts each is the true one about as often, whatever the music."""
    caption = caption_of_sections("t", [0, 1, 2, 3])
    views = draws(Swaps(of(caption), 300), caption, 40, count=400)
    true, false = (Counter(texts) for texts in ([v.text for v in views], [v.false for v in views]))
    assert true.keys() == false.keys()
    assert len(true) == 2
    assert all(0.4 < count / 400 < 0.6 for count in true.values())  # 4 standard deviations


def test_sections_that_are_not_heard_are_neither_exchanged_nor_told() -> None:
    caption = caption_of_sections("t", [0, 1, 2, 3, 4])
    views = draws(Swaps(of(caption), 30), caption, 50)
    assert len({str(view) for view in views}) == 2
    for view in views:
        assert view.false is not None
        heard = np.arange(50)[view.seconds]
        assert len(heard) == 30
        for text in (view.text, view.false):
            assert sorted(re.findall("|".join(SOUNDS), text)) == sorted(SOUNDS[:3])
    with pytest.raises(ValueError, match="has two to exchange within the 29 s"):
        Swaps(of(caption), 29)


def test_sections_out_of_the_order_of_time_are_not_exchanged() -> None:
    good = caption_of_sections("t", [0, 1, 2, 3])
    late = replace(good, track_id="late", sections=tuple(replace(s, start_s=s.start_s + 2) for s in good.sections))
    first, second, *rest = good.sections
    mixed = replace(good, track_id="mixed", sections=(first, rest[0], second, rest[1]))
    assert len(Swaps(of(good, late, mixed), 300)) == 1


def test_batches_hold_the_hard_negatives_of_their_own_tracks(ordered: Path) -> None:
    data = TrainingData(Pairs.open(ordered, "train"), CONFIG, World())
    rows = pq.read_table(ordered / "captions.parquet", columns=["clock_free_text"]).to_pylist()
    told = {row["clock_free_text"] for row in rows}
    seen, in_the_music = 0, 0
    for step in range(12):
        batch = data.batch(step)
        assert len(batch.swapped) == len(batch.owners_H)
        assert batch.owners_H.tolist() == sorted(set(batch.owners_H.tolist()))
        for owner, false in zip(batch.owners_H.tolist(), batch.swapped, strict=True):
            assert len({batch.texts[owner], false} & told) == 1
            assert Counter(false.split()) == Counter(batch.texts[owner].split())
            assert batch.mask_JK[owner].sum() == 8  # heard whole, although every other track is cropped
            in_the_music += false in told
        seen += len(batch.swapped)
    assert 12 < seen < 36  # about half of 48
    assert 0 < in_the_music < seen


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


def test_mistakes_are_named(ordered: Path, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    pairs = Pairs.open(workspace, "train")
    with pytest.raises(ValueError, match=r"there is no .*captions.parquet: build .*, or set both to 0"):
        TrainingData(pairs, CONFIG, World())
    write_captions(workspace, [caption_of_sections("song000", [0, 1, 2, 3])])
    with pytest.raises(ValueError, match=r"none of the 0 captions with sections has two to exchange"):
        TrainingData(pairs, CONFIG, World())  # the manifest has another caption of this song
    pq.write_table(pq.read_table(workspace / "captions.parquet").drop(["sections"]), workspace / "captions.parquet")
    with pytest.raises(ValueError, match=r"captions.parquet lacks the columns \['sections'\]"):
        TrainingData(pairs, CONFIG, World())
    broken = replace(caption_of_sections("t", [0, 1, 2, 3]), clock_free_text="One paragraph.")
    with pytest.raises(ValueError, match=r"caption of 't' cannot be exchanged: .*paragraphs"):
        Swaps(of(broken), 300)
