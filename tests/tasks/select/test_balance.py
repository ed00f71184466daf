from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.select import balance, select
from tasks.select.balance import Balance
from tests.tasks.select.test_audioset import audioset, spec


def naive(order: list[int], labels: list[tuple[str, ...]], most: int) -> list[int]:
    taken: Counter[str] = Counter()
    kept = []
    for row in order:
        if any(taken[label] < most for label in labels[row]):
            kept.append(row)
            taken.update(labels[row])
    return kept


SETS = st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=4, unique=True).map(tuple), min_size=1)


@given(sets=SETS, data=st.data(), most=st.integers(1, 4), block=st.integers(1, 50))
def test_balance_is_the_walk_over_tracks(
    sets: list[tuple[str, ...]], data: st.DataObject, most: int, block: int
) -> None:
    set_of_row = data.draw(st.lists(st.integers(0, len(sets) - 1), max_size=60))
    order = data.draw(st.permutations(range(len(set_of_row))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(balance, "_BLOCK_ROWS", block)
        taken = Balance(most, sets, np.array(set_of_row, np.int32)).take(np.array(order, np.intp))
    assert taken.tolist() == naive(order, [sets[number] for number in set_of_row], most)


def test_the_root_counts_only_where_it_stands_alone(tmp_path: Path) -> None:
    source = audioset(tmp_path, max_per_label=2)
    rows = [f'{name}{number}, 0.000, 10.000, "{mids}"' for number in range(5) for name, mids in TRACKS.items()]
    (tmp_path / "train.csv").write_text("\n".join(rows))
    (tmp_path / "eval_segments.csv").write_text("# none\n")
    everything = select(spec(source.model_copy(update={"max_per_label": None}))).tracks
    balanced = select(spec(source))
    labels = {track.track_id: tuple(TRACKS[track.track_id[:-1]].split(",")) for track in everything}
    counted = [
        tuple(mid for mid in labels[track.track_id] if mid in {"/m/rock", "/m/jazz"}) or ("/m/04rlf",)
        for track in sorted(everything, key=lambda track: _order(track.track_id))
    ]
    ordered = sorted(labels, key=_order)
    assert {track.track_id for track in balanced.tracks} == {
        ordered[row] for row in naive(list(range(len(ordered))), counted, 2)
    }
    assert sum(track.track_id.startswith("root") for track in balanced.tracks) == 2
    assert balanced.counts["above the balance"] == 25 - len(balanced.tracks)


TRACKS = {
    "root": "/m/04rlf",
    "rock": "/m/04rlf,/m/rock",
    "dog": "/m/dog,/m/rock",
    "both": "/m/jazz,/m/rock",
    "jazz": "/m/jazz",
}


def _order(track_id: str) -> bytes:
    return hashlib.blake2b(f"collap\0{track_id}".encode(), digest_size=16).digest()
