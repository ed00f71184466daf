from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from collap_model.pairs import Pair
from collap_model.training import captions as module
from collap_model.training.captions import captions_sha256, read_captions
from data_specs.records import Caption
from tests.collap_model.captions import caption_of_sections, write_captions


def pair_of(caption: Caption) -> Pair:
    return Pair(caption.track_id, caption.long_text)


def test_captions_in_use_are_read_with_what_draws_look_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 2)
    written = [caption_of_sections(f"song{index}", [index, 1, 2]) for index in range(5)]
    write_captions(tmp_path, [*written, replace(written[0], track_id="bare", sections=())])
    used = [*map(pair_of, written[:4]), Pair("song4", "Another text."), Pair("failed", ""), Pair("bare", "")]
    found = read_captions(tmp_path, used)
    assert list(found) == used[:4]
    for caption in written[:4]:
        kept = found[pair_of(caption)]
        assert kept == replace(caption, order_free_text="")
    assert read_captions(tmp_path / "nowhere", used) == {}


def test_two_captions_of_one_track_are_told_apart(tmp_path: Path) -> None:
    first, second = caption_of_sections("t", [0, 1, 2]), caption_of_sections("t", [3, 4, 5])
    write_captions(tmp_path, [first, second])
    found = read_captions(tmp_path, [pair_of(second), pair_of(first)])
    assert found[pair_of(first)].sections == first.sections
    assert found[pair_of(second)].sections == second.sections


def test_a_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    write_captions(tmp_path, [caption_of_sections("t", [0, 1, 2])])
    path = tmp_path / "captions.parquet"
    pq.write_table(pq.read_table(path).drop(["sections"]), path)
    with pytest.raises(ValueError, match=r"captions.parquet lacks the columns \['sections'\]; build"):
        read_captions(tmp_path, [])


def test_the_hash_sees_all_that_a_draw_reads() -> None:
    caption = caption_of_sections("t", [0, 1, 2])
    first, *rest = caption.sections

    def sha256(changed: Caption) -> str:
        return captions_sha256({pair_of(changed): changed})

    others = [
        replace(caption, global_text="Another."),
        replace(caption, clock_free_text="Another."),
        *(
            replace(caption, sections=(replace(first, **change), *rest))
            for change in ({"start_s": 1.0}, {"end_s": 9.0}, {"label": "verse"}, {"letter": "Z"}, {"description": "X."})
        ),
    ]
    assert len({sha256(caption), *map(sha256, others)}) == 8
    both = {pair_of(item): item for item in (caption, replace(caption, track_id="u"))}
    assert captions_sha256(both) == captions_sha256(dict(reversed(both.items())))
