"""Which sentences stay. One token per word here, so that counts can be read off the text."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collap_model.text.shorten import shorten

SECTIONS = 6
SONG = "\n\n".join(
    ["The song is dark. It is slow too. Its key is unknown. It has no words at all."]
    + [f"From {part}:00 section {part} plays. Drums lead it on. The bass is deep." for part in range(SECTIONS)]
)


def starts_of(text: str) -> list[int]:
    return [match.start() for match in re.finditer(r"\S+", text)]


def shortened(text: str, room: int) -> str:
    starts = starts_of(text)
    words = text.split()
    return " ".join(words[token] for token in shorten(text, starts, room))


def test_the_whole_song_stays_described() -> None:
    short = shortened(SONG, 60)
    assert short.startswith("The song is dark.")
    assert all(f"From {part}:00 section {part} plays." in short for part in range(SECTIONS))
    assert 50 < len(short.split()) <= 60


def test_whole_sentences_go_from_every_paragraph_about_the_same_share() -> None:
    sentences = {" ".join(sentence.split()) for sentence in re.split(r"(?<=\.)\s+", SONG)}
    short = shortened(SONG, 70)
    kept = re.split(r"(?<=\.)\s+", short)
    assert set(kept) <= sentences
    per_section = short.count("Drums lead") + short.count("The bass is deep")
    assert SECTIONS <= per_section < 2 * SECTIONS
    assert 2 <= sum(sentence in short for sentence in ("It is slow", "Its key", "It has no words")) < 3


def test_where_not_even_the_first_sentences_fit_they_are_spread_over_the_song() -> None:
    short = shortened(SONG, 20)
    assert short == "The song is dark. " + " ".join(f"From {part}:00 section {part} plays." for part in (0, 2, 5))


def test_sentences_of_one_paragraph_are_spread_over_it() -> None:
    text = " ".join(f"Part {part} plays now." for part in range(9))
    assert shortened(text, 20) == " ".join(f"Part {part} plays now." for part in (0, 2, 4, 6, 8))


def test_a_text_without_a_full_stop_keeps_runs_from_all_over() -> None:
    text = " ".join(map(str, range(1000)))
    kept = [int(word) for word in shortened(text, 40).split()]
    assert len(kept) == 40
    assert kept[0] == 0
    assert kept[-1] == 999
    assert sum(after != before + 1 for before, after in pairwise(kept)) == 3


def test_decimals_clock_times_quotes_and_foreign_full_stops() -> None:
    sentence = "It is 3.4 dB down (at 1:45 here.)"
    assert shortened(f"{sentence} " * 6, 32) == " ".join([sentence] * 4)
    text = "暗い歌。" * 20
    assert [text[token] for token in shorten(text, range(len(text)), 17)] == list("暗い歌。" * 4)


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=6),
    st.integers(1, 60),
)
def test_always_fits_in_order_and_never_empty(lengths: list[list[int]], room: int) -> None:
    text = "\n".join(" ".join("w " * (n - 1) + "w." for n in paragraph) for paragraph in lengths)
    starts = starts_of(text)
    kept = shorten(text, starts, room)
    assert 1 <= len(kept) <= room
    assert kept == sorted(set(kept))
    assert kept[0] == 0
    assert kept[-1] < len(starts)
    if len(starts) <= room // 4:
        assert kept == list(range(len(starts)))
