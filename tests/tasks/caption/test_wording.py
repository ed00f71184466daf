"""Numbers as words, bands at their edges, and the choice among wordings."""

from __future__ import annotations

import pytest

from tasks.caption.bands import BRIGHTNESS, DENSITY, TEMPO, Bands
from tasks.caption.facts import same_loop
from tasks.caption.wording import (
    Phrasebook,
    article,
    cardinal,
    clock,
    listed,
    ordinal,
    rough_duration,
    rounded_hz,
    spoken_duration,
)


@pytest.mark.parametrize(
    ("number", "word", "rank"),
    [
        (1, "one", "first"),
        (9, "nine", "ninth"),
        (12, "twelve", "twelfth"),
        (20, "twenty", "twentieth"),
        (21, "twenty-one", "twenty-first"),
        (40, "forty", "fortieth"),
        (112, "112", "112th"),
        (103, "103", "103rd"),
    ],
)
def test_numbers_as_words(number: int, word: str, rank: str) -> None:
    assert cardinal(number) == word
    assert ordinal(number) == rank


def test_articles_follow_the_sound() -> None:
    assert [article(ordinal(n)) for n in (2, 8, 11, 18)] == ["a second", "an eighth", "an eleventh", "an eighteenth"]


def test_times_and_durations() -> None:
    assert clock(59.6) == "1:00"
    assert clock(4722) == "78:42"
    assert spoken_duration(231.48) == "three minutes and fifty-one seconds"
    assert spoken_duration(3600) == "one hour"
    assert rough_duration(17.2) == "seventeen seconds"
    assert rough_duration(0.4) == "one second"
    assert rough_duration(152) == "about two and a half minutes"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert rounded_hz(1847) == "1,850"


def test_an_edge_belongs_to_the_upper_band() -> None:
    assert (TEMPO.word(99.9), TEMPO.word(100)) == ("relaxed", "moderate")
    assert (BRIGHTNESS.word(0), BRIGHTNESS.word(1e9)) == ("dark", "brilliant")
    assert DENSITY.word(1.7) == "medium-dense"
    with pytest.raises(ValueError, match="need 2 words"):
        Bands((1.0,), ("one", "two", "three"))


def test_a_loop_may_begin_anywhere() -> None:
    assert same_loop(("C", "G", "Am"), ("G", "Am", "C"))
    assert not same_loop(("C", "G", "Am"), ("C", "Am", "G"))
    assert same_loop((), ())


def test_phrasebook_uses_every_wording_before_one_again() -> None:
    book = Phrasebook({"slot": ("one {x}", "two {x}", "three {x}")}, "seed")
    assert {book.pick("slot", x=1) for _ in range(3)} == {"one 1", "two 1", "three 1"}
    assert book.pick("slot", x=1) in {"one 1", "two 1", "three 1"}


def test_phrasebook_order_depends_on_the_seed_alone() -> None:
    slots = {"slot": tuple(f"wording {i}" for i in range(20))}
    first = [Phrasebook(slots, "1").pick("slot") for _ in range(2)]
    assert first[0] == first[1]
    assert len({Phrasebook(slots, str(seed)).pick("slot") for seed in range(30)}) > 8
