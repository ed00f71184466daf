"""Queries over captions: each field finds what it should, and mistakes are named."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.caption.query import NUMBERS, TEXTS, parse_query
from tasks.engine.errors import BuildError

ROW: dict[str, Any] = {
    "track_id": "a1",
    "split": "train",
    "status": "rejected",
    "reason": "caption_invalid",
    "detail": "repetition: 4-gram repetition 0.310 in long_text, expected at most 0.15; bpm: 200 BPM, expected 100",
    "duration_s": 200.5,
    "num_words": 240,
    "repetition": 0.31,
    "version": 1,
    "settings": "s",
    "prompt": "v2/both/one",
    "captioner": "model-1",
    "model": "org/music@abc",
    "flaws": ["usage_speculation"],
    "repairs": ["parse:fence", "refill:2"],
    "warnings": [],
    "heard_s": 200.5,
    "sections": [{"start_s": 0.0, "writer": "model"}, {"start_s": 50.0, "writer": "rules"}],
}
FAILED: dict[str, Any] = dict.fromkeys(ROW) | {
    "track_id": "b2",
    "split": "test",
    "status": "failed",
    "reason": "timeout",
}


@pytest.mark.parametrize(
    "query",
    [
        "words < 250",
        "words<=240",
        "duration >= 120 and words < 250",
        "sections = 2",
        "repetition > .3",
        "version = 1",
        "heard > 200",
        "prompt < v3",
        "prompt = v2",
        "track = a1",
        "split = train",
        "status = rejected",
        "reason = caption_invalid",
        "captioner = model-1",
        "model = 'org/music@abc'",
        "rule = usage_speculation",
        "rule = repetition",
        "rule = bpm",
        "repair = refill:2",
        "writer = rules",
        "warning != anything",
        "WORDS < 250 AND split != test",
    ],
)
def test_finds_it(query: str) -> None:
    assert parse_query(query).matches(ROW)


@pytest.mark.parametrize(
    "query",
    ["words < 240", "prompt < v2", "rule = key", "rule = long_text", "writer != rules", "words < 250 and split = test"],
)
def test_does_not_find_it(query: str) -> None:
    assert not parse_query(query).matches(ROW)


def test_a_track_without_a_caption_is_found_by_what_is_known_of_it() -> None:
    assert parse_query("reason = timeout").matches(FAILED)
    assert parse_query("split = test").matches(FAILED)
    for field in NUMBERS:
        assert not parse_query(f"{field} < 1000").matches(FAILED)
    for field in TEXTS:
        parse_query(f"{field} = x").matches(FAILED)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("words", "expected <field> <operator> <value>"),
        ("", "expected <field>"),
        ("words < many", "compared with a number, got 'many'"),
        ("word < 250", "no field 'word'; near it: words"),
        ("captioner < 3", "only be compared with = and !="),
        ("prompt < v", "compared with a number"),
        ("words < 250 or words > 300", "compared with a number"),
    ],
)
def test_mistakes_are_named(query: str, said: str) -> None:
    with pytest.raises(BuildError, match=said):
        parse_query(query)
