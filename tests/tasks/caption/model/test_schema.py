from __future__ import annotations

import itertools
import json
import random
import re
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from data_specs.records import LABELS, Structure
from tasks.caption.model.schema import (
    Budget,
    Span,
    answer_schema,
    bounds,
    own_section_counts,
    spans_schema,
)
from tests.tasks.caption.model.scripted import fewest_words, prose
from tests.tasks.caption.songs import plain_song, random_song

DURATIONS = [3.0, 30.0, 119.0, 120.0, 231.48, 900.0, 5400.0]


def song(num_sections: int, duration_s: float) -> Structure:
    return random_song(num_sections, num_sections=num_sections, duration_s=duration_s)[1]


def every(node: Any) -> list[dict[str, Any]]:
    """All schemas inside one."""
    if isinstance(node, list):
        return [found for item in node for found in every(item)]
    if not isinstance(node, dict):
        return []
    own = [node] if {"type", "const", "enum"} & node.keys() and not isinstance(node.get("type"), dict) else []
    return own + [found for value in node.values() for found in every(value)]


@pytest.mark.parametrize("anchored", [True, False])
@pytest.mark.parametrize("num_sections", [1, 2, 10, 40, 300])
def test_is_valid_and_bounds_everything(num_sections: int, anchored: bool) -> None:
    schema = answer_schema(song(num_sections, 12.0 * num_sections), range(num_sections), True, anchored)
    jsonschema.Draft202012Validator.check_schema(schema)
    for rule in every(schema):
        if rule.get("type") == "object":
            assert rule["additionalProperties"] is False
            assert rule["required"] == list(rule["properties"])
        elif rule.get("type") == "array":
            assert 0 <= rule["minItems"] <= rule["maxItems"]
            assert rule["items"] is False if "prefixItems" in rule else rule["items"]
        elif rule.get("type") == "string":
            # xgrammar and vLLM drop a pattern beside a length silently, so there is never both.
            assert re.fullmatch(r"\^.*\{\d+,\d+\}.*\$", rule["pattern"])
            assert not {"minLength", "maxLength"} & rule.keys()
            assert not re.search(r"[*+](?!\w)|\{\d*,\}", re.sub(r"\[[^]]*\]", "", rule["pattern"])), "unbounded"
        elif rule.get("type") == "number":
            assert rule["minimum"] <= rule["maximum"]
            assert rule["multipleOf"] > 0


def test_times_and_labels_are_constants_in_order() -> None:
    structure = song(7, 200.0)
    fields = answer_schema(structure, [5, 0, 2], False, True)["properties"]
    assert list(fields) == ["sections"]
    items = [item["properties"] for item in fields["sections"]["prefixItems"]]
    assert [(i["start"]["const"], i["end"]["const"], i["label"]["const"]) for i in items] == [
        (round(s.start_s, 2), round(s.end_s, 2), s.label) for s in (structure.sections[k] for k in (0, 2, 5))
    ]
    assert list(items[0]) == ["start", "end", "label", "description"]
    assert fields["sections"]["items"] is False


def test_global_alone_and_evidence_before_summary() -> None:
    structure = song(3, 100.0)
    assert list(answer_schema(structure, [], True, True)["properties"]) == ["global", "attributes"]
    assert list(answer_schema(structure, [1], True, True)["properties"]) == ["sections", "global", "attributes"]


def test_an_index_that_the_song_lacks_is_refused() -> None:
    with pytest.raises(IndexError):
        answer_schema(song(3, 100.0), [3], True, True)


@pytest.mark.parametrize("duration_s", DURATIONS)
@pytest.mark.parametrize("num_sections", [1, 2, 3, 6, 10, 16, 25, 40, 300])
@pytest.mark.parametrize("min_words", [0, 250, 400])
def test_floors_add_up_to_a_long_enough_caption(duration_s: float, num_sections: int, min_words: int) -> None:
    budget = Budget.of(duration_s, num_sections, min_words)
    floor = bounds(budget.section)[0] * num_sections + bounds(budget.global_)[0]
    assert floor >= min_words * min(1.0, duration_s / 120)
    if duration_s >= 120 and num_sections <= 40 and min_words <= 250:
        aim = budget.section * num_sections + budget.global_
        assert 295 <= aim <= 475


def test_the_natural_song_has_twenty_four_words_a_section() -> None:
    assert Budget.of(231.0, 10) == Budget(section=24, global_=60)
    assert Budget.of(231.0, 1).section > 200
    assert Budget.of(231.0, 40).section <= 10


GOOD = ["It's a 6/8 groove.", "F♯ minor, 120 BPM (no. 2)!", "Élan & café–noir; B♭ or 5°?", "808-style kicks: loud."]
BAD = [
    "no capital at the start.",
    "No end",
    'A "quoted" word.',
    "A\nbreak.",
    "A\ttab.",
    "A \x07 bell.",
    "A  gap.",
    "A \\ b.",
]


@pytest.mark.parametrize(("text", "right"), [*((t, True) for t in GOOD), *((t, False) for t in BAD)])
def test_which_texts_pass(text: str, right: bool) -> None:
    schema = spans_schema([Span(0.0, 9.0, "section")], Budget(4, 4), False)
    pattern = schema["properties"]["sections"]["prefixItems"][0]["properties"]["description"]["pattern"]
    words = len(text.split())
    loose = re.sub(r"\{\d+,\d+\}(?=\[\.!\?\]\$$)", f"{{{words - 1},{words - 1}}}", pattern)
    assert bool(re.search(loose, text)) == right


@pytest.mark.parametrize(("share", "right"), [(0.5, False), (1.1, True), (3.0, False)])
def test_words_are_counted(share: float, right: bool) -> None:
    rule = spans_schema([], Budget(20, 60), True)["properties"]["global"]
    text = prose(round(share * fewest_words(rule)), random.Random(1))
    assert jsonschema.Draft202012Validator(rule).is_valid(text) == right


def test_sections_of_the_models_own_lie_within_the_track() -> None:
    structure = song(5, 231.48)
    schema = answer_schema(structure, [], True, False)
    rule = schema["properties"]["sections"]
    entry = rule["items"]["properties"]
    assert entry["label"] == {"enum": list(LABELS)}
    assert entry["start"]["minimum"] == 0
    assert 231.48 <= entry["end"]["maximum"] < 232
    for count in (rule["minItems"], rule["maxItems"]):
        edges = [round(231.5 * i / count * 4) / 4 for i in range(count + 1)]
        words = fewest_words(entry["description"]) + 2
        answer = {
            "sections": [
                {"start": a, "end": b, "label": "verse", "description": prose(words, random.Random(a))[:9999]}
                for a, b in itertools.pairwise(edges)
            ],
            "global": prose(fewest_words(schema["properties"]["global"]), random.Random(2)),
            "attributes": {
                "genres": ["indie rock"],
                "moods": [],
                "instruments": ["12-string guitar"],
                "vocals": "female",
                "tempo": "slow",
                "production": [],
            },
        }
        jsonschema.Draft202012Validator(schema).validate(answer)
    assert not jsonschema.Draft202012Validator(entry["end"]).is_valid(300.0)
    assert not jsonschema.Draft202012Validator(entry["end"]).is_valid(17.123)


@pytest.mark.parametrize("duration_s", DURATIONS)
def test_own_sections_can_tile_any_song(duration_s: float) -> None:
    fewest, most = own_section_counts(duration_s)
    assert 1 <= fewest <= most <= 24


def test_equal_songs_have_equal_schemas() -> None:
    structure = plain_song()[1]
    other = replace(structure, track_id="another")
    assert json.dumps(answer_schema(structure, range(6), True, True)) == json.dumps(
        answer_schema(other, range(6), True, True)
    )
