"""One section heard, against the text of another of the same song."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from collap_model.pairs import Pair, Pairs
from collap_model.training.config import TrainConfig
from collap_model.training.data import TrainingData
from collap_model.training.distributed import World
from collap_model.training.section_negatives import OtherSections
from collap_model.training.trainer import train
from data_specs.records import Caption
from tests.collap_model.captions import SOUNDS, caption_of_sections, make_ordered_workspace

CONFIG = TrainConfig(text_tower="tiny", batch_size=6, clip_seconds=5, section_negatives=1.0, device="cpu", threads=1)
ALONE = World(rank=0, local_rank=0, size=1)
CAPTION = caption_of_sections("t", [0, 1, 2, 1])
PAIR = Pair("t", CAPTION.long_text)


@pytest.fixture(scope="module")
def ordered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ordered_workspace(tmp_path_factory.mktemp("ordered"))


def named(text: str) -> list[str]:
    return re.findall("|".join(SOUNDS), text)


def test_what_is_heard_is_what_the_text_says_and_the_false_text_is_of_another_section() -> None:
    others, rng = OtherSections({PAIR: CAPTION}, 300), np.random.default_rng(0)
    said: Counter[tuple[str, str]] = Counter()
    for _ in range(400):
        view = others.draw(rng, PAIR, 40)
        assert view is not None
        assert view.false is not None
        assert isinstance(view.seconds, slice)
        [sound], [other] = named(view.text), named(view.false)
        assert SOUNDS[[0, 1, 2, 1][view.seconds.start // 10]] == sound != other
        assert view.seconds.stop - view.seconds.start == 10
        said[sound, other] += 1
    # Ordered pairs of places with different sounds: 10. Each text is true as often as false.
    for first, second in said:
        assert abs(said[first, second] - said[second, first]) < 40
    assert len(said) == 6


def test_what_is_no_choice() -> None:
    short = replace(CAPTION.sections[0], end_s=3.0)
    rest = replace(CAPTION.sections[1], start_s=3.0)
    brief = replace(CAPTION, track_id="brief", sections=(short, rest))
    alike = caption_of_sections("alike", [1, 1])
    both: dict[Pair, Caption] = {Pair(c.track_id, c.long_text): c for c in (CAPTION, brief, alike)}
    others, rng = OtherSections(both, 300), np.random.default_rng(0)
    assert [others.draw(rng, pair, 40) for pair in both if pair.track_id != "t"] == [None, None]
    heard = [OtherSections({PAIR: CAPTION}, 20).draw(rng, PAIR, 40) for _ in range(20)]
    assert {view.seconds.stop for view in heard if view is not None and isinstance(view.seconds, slice)} == {10, 20}
    with pytest.raises(ValueError, match="set section_negatives to 0"):
        OtherSections({PAIR: CAPTION}, 15)


def test_no_text_is_false_that_says_nothing_of_its_own() -> None:
    first, second = CAPTION.sections[:2]
    alike = replace(second, description=first.description)
    more = replace(second, description=f"{first.description} They are loud.")
    for sections in ((first, alike), (first, replace(second, description="The music gets 8 dB softer."))):
        caption = replace(CAPTION, sections=sections)
        with pytest.raises(ValueError, match="tells of two"):
            OtherSections({PAIR: caption}, 300)
    others, rng = OtherSections({PAIR: replace(CAPTION, sections=(first, more))}, 300), np.random.default_rng(0)
    drawn = {view.false for _ in range(20) if (view := others.draw(rng, PAIR, 40)) is not None}
    assert len(drawn) == 1, "of the shorter one everything holds in the longer"
    assert "They are loud." in str(drawn)


def test_the_last_section_ends_with_the_features() -> None:
    others, rng = OtherSections({PAIR: CAPTION}, 300), np.random.default_rng(0)
    stops = {
        view.seconds.stop for _ in range(50) if (view := others.draw(rng, PAIR, 38)) and isinstance(view.seconds, slice)
    }
    assert stops == {10, 20, 30, 38}


def test_batches_are_of_single_sections_and_equal_at_any_time(ordered: Path) -> None:
    data = TrainingData(Pairs.open(ordered, "train"), CONFIG, ALONE)
    batch, again = data.batch(3), TrainingData(Pairs.open(ordered, "train"), CONFIG, ALONE).batch(3)
    assert (batch.texts, batch.swapped) == (again.texts, again.swapped)
    assert batch.owners_H.tolist() == list(range(6))
    assert batch.mask_JK.sum(1).tolist() == [2] * 6
    for clips_KE, text, false in zip(batch.clips_JKE, batch.texts, batch.swapped, strict=True):
        [sound] = named(text)
        assert clips_KE[0].argmax() == SOUNDS.index(sound)
        assert named(false) != [sound]


def test_shares_of_hard_negatives_add_up_to_all_at_most(ordered: Path) -> None:
    with pytest.raises(ValidationError, match="must not exceed 1"):
        TrainConfig(swap_negatives=0.6, section_negatives=0.5)
    data = TrainingData(
        Pairs.open(ordered, "train"), CONFIG.model_copy(update={"swap_negatives": 0.4, "section_negatives": 0.4}), ALONE
    )
    kinds: Counter[str] = Counter()
    for step in range(60):
        batch = data.batch(step)
        of_whole = {row for row in batch.owners_H.tolist() if len(named(batch.texts[row])) == 4}
        kinds["order"] += len(of_whole)
        kinds["section"] += len(batch.owners_H) - len(of_whole)
        kinds["all"] += 6
    assert 0.33 < kinds["order"] / kinds["all"] < 0.47
    assert 0.33 < kinds["section"] / kinds["all"] < 0.47


def test_it_is_learned_by_who_hears_sections_and_needs_captions(ordered: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(
        update={"dim": 16, "steps": 60, "warmup_steps": 2, "lr": 3e-3, "text_lr": 3e-3, "dropout": 0.0, "log_every": 20}
    )
    train(config, ordered, tmp_path / "run")
    last = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert last["told_apart"] > 0.9
    (ordered / "captions.parquet").rename(ordered / "gone")
    with pytest.raises(ValueError, match="section_negatives need the captions"):
        train(config, ordered, tmp_path / "other")
    (ordered / "gone").rename(ordered / "captions.parquet")
