"""Whatever a model answers is read as far as it says anything, and nothing raises."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.caption.model.lenient import Members, read_lenient, read_strict
from tasks.caption.model.parse import MAX_PART_CHARACTERS, Parsed, Wanted, parse_answer
from tasks.caption.validate import ANSWER_FLAWS, RULES

SPANS = ((0.0, 60.0), (60.0, 120.0), (120.0, 180.0))
TEXTS = ("A piano opens softly.", "Drums and bass join in.", "The piano is alone again.")
WHOLE = "A calm piece for piano."
ALL = Wanted(indices=(0, 1, 2), wants_global=True, anchored=True, duration_s=180.0, spans=SPANS)
UNTIMED = Wanted(indices=(0, 1, 2), wants_global=True, anchored=True, duration_s=180.0)
OWN = Wanted(indices=(), wants_global=True, anchored=False, duration_s=180.0)
FUTGA = Path(__file__).parents[4] / ".." / "shared" / "data" / "futga"


def _entries(order: tuple[int, ...] = (0, 1, 2)) -> list[dict[str, Any]]:
    return [{"start": SPANS[i][0], "end": SPANS[i][1], "label": "section", "description": TEXTS[i]} for i in order]


def _answer(order: tuple[int, ...] = (0, 1, 2), **more: Any) -> dict[str, Any]:
    return {"sections": _entries(order), "global": WHOLE, **more}


GOOD = json.dumps(_answer())


def _is_all(parsed: Parsed) -> bool:
    said = {index: " ".join(text.split()) for index, text in parsed.descriptions.items()}
    return said == dict(enumerate(TEXTS)) and parsed.global_text == WHOLE


def test_the_answer_that_was_asked_for() -> None:
    attributes = {
        "genres": ["classical"],
        "moods": [],
        "instruments": ["piano"],
        "vocals": "none",
        "tempo": "slow",
        "production": [],
    }
    parsed = parse_answer(json.dumps(_answer(attributes=attributes)), ALL)
    assert _is_all(parsed)
    assert parsed.repairs == ()
    assert parsed.flaws == ()
    assert parsed.spans == ()
    assert parsed.attributes.genres == ("classical",)
    assert parsed.attributes.vocals == "none"
    assert parsed.attributes.tempo_word == "slow"


MENDED: dict[str, tuple[str, set[str], set[str]]] = {
    "fence": (f"```json\n{GOOD}\n```", {"parse:fence"}, {"json"}),
    "text around": (f"Sure! Here it is:\n{GOOD}\nHope this helps!", {"parse:around"}, {"json", "preamble"}),
    "thought": (f'<think>Maybe {{"global": "x"}}?</think>\n{GOOD}', {"parse:thought"}, set()),
    "trailing commas": (GOOD.replace("}]", "},]").replace(f'"{WHOLE}"', f'"{WHOLE}",'), {"parse:comma"}, {"json"}),
    "missing commas": (GOOD.replace("}, {", "}\n{").replace('", "', '"\n"'), {"parse:comma"}, {"json"}),
    "single quotes": (str(_answer()), {"parse:quotes"}, {"json"}),
    "curly quotes": (GOOD.replace('"', "“", 1).replace('"', "”", 1), {"parse:quotes"}, {"json"}),
    "bare keys": (GOOD.replace('"start"', "start").replace('"end"', "end"), {"parse:bare_key"}, {"json"}),
    "comments": (GOOD.replace("[", "[ // the list\n", 1).replace("]", "/* end */ ]"), {"parse:comment"}, {"json"}),
    "line breaks in strings": (GOOD.replace("opens softly", "opens\nsoftly"), set(), {"json"}),
    "nothing closed": (GOOD[:-2], {"parse:truncated"}, {"json", "length"}),
    "NaN": (GOOD.replace("60.0", "NaN"), {"parse:bare_value"}, {"json"}),
    "duplicate keys": (GOOD[:-1] + ', "global": "Calm."}', {"parse:duplicate_key"}, set()),
    "out of order": (json.dumps(_answer((2, 0, 1))), {"parse:order"}, set()),
    "extra": (
        json.dumps({"sections": [*_entries(), {**_entries()[1], "start": 300}]} | {"global": WHOLE}),
        set(),
        {"section_extra"},
    ),
    "percent": (
        GOOD.replace("120.0", "66.7").replace("180.0", "100").replace("60.0", "33.3"),
        {"parse:percent"},
        set(),
    ),
    "m:ss": (
        json.dumps(_answer()).replace("120.0", '"2:00"').replace("180.0", '"3:00"').replace("60.0", '"1:00"'),
        set(),
        set(),
    ),
    "bare m:ss": (GOOD.replace("120.0", "2:00").replace("180.0", "3:00").replace(": 60.0", ": 1:00"), set(), {"json"}),
    "other names": (
        json.dumps(
            {
                "result": {
                    "Segments": [
                        {"time": f"{a / 60:.0f}:00 - {b / 60:.0f}:00", "text": text}
                        for (a, b), text in zip(SPANS, TEXTS, strict=True)
                    ],
                    "Overall Summary": WHOLE,
                }
            }
        ),
        set(),
        set(),
    ),
    "spans as keys": (
        json.dumps({"0-33%": TEXTS[0], "33-67%": {"text": TEXTS[1]}, "67-100%": TEXTS[2], "global": {"text": WHOLE}}),
        {"parse:percent"},
        set(),
    ),
    "numbers": (
        json.dumps({"sections": [{"section": i + 1, "description": TEXTS[i]} for i in (1, 0, 2)], "global": WHOLE}),
        {"parse:order"},
        set(),
    ),
    "keys with numbers": (
        json.dumps({**{f"Section {i + 1}": text for i, text in enumerate(TEXTS)}, "global": WHOLE}),
        set(),
        set(),
    ),
    "lists": (
        json.dumps(_answer() | {"sections": [{**e, "description": e["description"].split()} for e in _entries()]}),
        set(),
        set(),
    ),
    "texts only": (json.dumps({"sections": list(TEXTS), "global": WHOLE}), set(), set()),
    "a list at the top": (json.dumps([*_entries(), {"global": WHOLE}]), set(), set()),
    "prose": (
        "\n".join(f"**{int(a // 60)}:00-{int(b // 60)}:00:** {t}" for (a, b), t in zip(SPANS, TEXTS, strict=True))
        + f"\n\nOverall: {WHOLE}",
        {"parse:prose"},
        {"json"},
    ),
    "a numbered list": (
        f"Summary: {WHOLE}\n" + "\n".join(f"{i}. {text}" for i, text in enumerate(TEXTS, 1)),
        {"parse:prose"},
        {"json"},
    ),
    "headings": (
        f"## Intro:\n{TEXTS[0]}\n## Verse 1:\n{TEXTS[1]}\n## Outro:\n{TEXTS[2]}\n## Overall:\n{WHOLE}",
        {"parse:prose"},
        {"json"},
    ),
    "control characters": (
        GOOD.replace("softly", "soft\x00ly").replace("calm", "ca\ud800lm"),
        {"parse:control"},
        set(),
    ),
}


@pytest.mark.parametrize("name", MENDED)
def test_what_models_do_to_an_answer(name: str) -> None:
    text, repairs, flaws = MENDED[name]
    parsed = parse_answer(text, ALL)
    assert _is_all(parsed), parsed
    assert repairs <= set(parsed.repairs)
    assert flaws <= set(parsed.flaws) <= flaws | {"section_times", "json"}


def test_quotes_within_strings() -> None:
    said = 'The "hook", loud and bright, returns: it\'s "big".'
    text = GOOD.replace(TEXTS[1], said)
    assert parse_answer(text, ALL).descriptions[1] == said
    single = "{'sections': [{'start': 60, 'description': 'It's loud, isn't it?'}]}"
    assert parse_answer(single, ALL).descriptions == {1: "It's loud, isn't it?"}


def test_an_answer_that_was_cut_off_keeps_what_is_there() -> None:
    for end in range(len(GOOD)):
        parsed = parse_answer(GOOD[:end], ALL)
        for index, text in parsed.descriptions.items():
            assert TEXTS[index].startswith(text)
    cut = parse_answer(GOOD[: GOOD.index("bass")], ALL)
    assert cut.descriptions == {0: TEXTS[0], 1: "Drums and"}
    assert {"length", "json", "section_missing", "global_missing"} == set(cut.flaws)


@pytest.mark.parametrize(
    ("text", "flaws"),
    [
        ("", {"empty"}),
        (" \n\t ", {"empty"}),
        ("I'm sorry, I cannot listen to audio.", {"json", "refusal"}),
        ("{}", {"json"}),
        ("[]", {"json"}),
        ("null", {"json"}),
        ('{"sections": [], "global": ""}', {"json"}),
        ("}]{[", {"json", "length"}),
    ],
)
def test_an_answer_that_holds_nothing(text: str, flaws: set[str]) -> None:
    parsed = parse_answer(text, ALL)
    assert parsed.descriptions == {}
    assert parsed.global_text == ""
    assert set(parsed.flaws) - {"section_missing", "global_missing"} == flaws
    assert {"section_missing", "global_missing"} <= set(parsed.flaws)


def test_sections_find_their_place_by_time() -> None:
    only_last = json.dumps({"sections": _entries((2,)), "global": WHOLE})
    parsed = parse_answer(only_last, ALL)
    assert parsed.descriptions == {2: TEXTS[2]}
    assert parsed.flaws == ("section_missing",)
    # Without the times of those asked for, place is all there is.
    assert parse_answer(only_last, UNTIMED).descriptions == {0: TEXTS[2]}


def test_other_times_are_noted_and_the_order_kept() -> None:
    entries = [{**entry, "start": entry["start"] + 9, "end": entry["end"] + 9} for entry in _entries()]
    parsed = parse_answer(json.dumps({"sections": entries, "global": WHOLE}), ALL)
    assert _is_all(parsed)
    assert parsed.flaws == ("section_times",)
    far = [{**entry, "start": 1000 + entry["start"], "end": 1000 + entry["end"]} for entry in _entries()]
    assert _is_all(parse_answer(json.dumps({"sections": far, "global": WHOLE}), ALL))


def test_a_refill_answers_for_its_indices_alone() -> None:
    wanted = Wanted(indices=(1,), wants_global=False, anchored=True, duration_s=180.0, spans=SPANS[1:2])
    for text in (
        json.dumps({"sections": _entries((1,))}),
        json.dumps({"sections": _entries((0, 1, 2)), "global": WHOLE}),
        TEXTS[1],
        json.dumps({"sections": [{"description": TEXTS[1]}]}),
    ):
        parsed = parse_answer(text, wanted)
        assert parsed.descriptions == {1: TEXTS[1]}
        assert parsed.global_text == ""


def test_prose_without_sections_is_the_paragraph_on_the_whole() -> None:
    parsed = parse_answer(WHOLE, ALL)
    assert parsed.global_text == WHOLE
    assert parsed.descriptions == {}


def test_sections_of_its_own() -> None:
    parsed = parse_answer(json.dumps(_answer((1, 0, 2))), OWN)
    assert parsed.spans == tuple((a, b, "section") for a, b in SPANS)
    assert parsed.descriptions == dict(enumerate(TEXTS))
    assert parsed.flaws == ()
    without_ends = json.dumps({"sections": [{"start": 0, "description": "x"}, {"start": "1:00", "description": "y"}]})
    assert parse_answer(without_ends, OWN).spans == ((0.0, 60.0, ""), (60.0, 180.0, ""))
    untimed = parse_answer(json.dumps({"sections": list(TEXTS)}), OWN)
    assert untimed.spans == ()
    assert "section_missing" in untimed.flaws


def test_attributes_in_other_forms() -> None:
    text = json.dumps({"global": WHOLE, "Genre": "rock, pop", "attributes": {"Mood": ["calm"], "vocals": "Male voice"}})
    attributes = parse_answer(text, ALL).attributes
    assert attributes.genres == ("rock", "pop")
    assert attributes.moods == ("calm",)
    assert attributes.vocals == "Male voice"  # mending knows the vocabulary


@pytest.mark.skipif(not FUTGA.is_dir(), reason="no ../shared/data/futga")
@pytest.mark.parametrize("number", range(1, 6))
def test_real_futga_records(number: int) -> None:
    parsed = parse_answer((FUTGA / f"songData{number}.json").read_text(encoding="utf-8"), OWN)
    assert len(parsed.spans) == len(parsed.descriptions) >= 4
    assert parsed.spans[0][0] == 0
    assert parsed.spans[-1][1] == 180
    assert parsed.global_text
    assert parsed.flaws == ()


LONG = {
    "braces": ("", "{"),
    "brackets": ("", "["),
    "nested objects": ("", '{"a":'),
    "open strings": ("", '{"'),
    "quotes": ('{"a":"', '" \n'),
    "single quotes": ("{'a':'", "' "),
    "quotes and commas": ('{"a":"', '", '),
    "backslashes": ('{"a":"', "\\"),
    "comments": ("", "{/*"),
    "hashes": ("", "{#"),
    "blanks": ('{"a":', " "),
    "entries": ('{"sections":[', '{"start":0,"description":"x"},'),
    "members": ("{", '"a":1,'),
    "numbers": ("", "1. "),
    "list": ("", "1. x\n"),
    "headings": ("", "0:00-0:17: x\n"),
    "bullets": ("", "- "),
    "stars": ("", "*"),
    "words": ("", "the drums "),
    "one word": ("", "a"),
    "digits": ("", "0"),
    "fences": ("", "```"),
    "thoughts": ("", "<think>"),
    "loop": ('{"sections":[{"start":0,"description":"', "on and "),
}


def _seconds(name: str, characters: int) -> float:
    head, unit = LONG[name]
    text = head + unit * (characters // len(unit))
    begun = time.process_time()
    parsed = parse_answer(text, ALL)
    assert all(len(said) <= MAX_PART_CHARACTERS for said in parsed.descriptions.values())
    return time.process_time() - begun


@pytest.mark.parametrize("name", LONG)
def test_time_is_linear_in_the_length(name: str) -> None:
    # Quadratic time would take a hundred times as long.
    assert _seconds(name, 100_000) < 1 + 30 * _seconds(name, 10_000)


@pytest.mark.parametrize("name", ["loop", "quotes and commas"])
def test_a_million_characters(name: str) -> None:
    assert _seconds(name, 1_000_000) < 20


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_a_million_characters_of_anything(name: str) -> None:
    assert _seconds(name, 1_000_000) < 60


_PIECES = st.sampled_from(
    "{ } [ ] \" ' “ ” : , \\ \n # // /* */ * ` ``` NaN null true 0:17 0-18% 12.5 -1e9 1. start end label".split(" ")
    + 'sections description global attributes vocals "start": "description": "sections":['.split(" ")
    + ['{"start":0,', "Section 2", "Overall:", "\x00", "\ud800"]
)
_TEXT = st.one_of(
    st.text(max_size=300),
    st.lists(_PIECES, max_size=60).map(" ".join),
    st.lists(_PIECES, max_size=60).map("".join),
    st.builds(lambda cut, junk: GOOD[:cut] + junk + GOOD[cut + 1 :], st.integers(0, len(GOOD)), st.text(max_size=5)),
)


@settings(max_examples=600, deadline=None)
@given(_TEXT, st.sampled_from([ALL, UNTIMED, OWN]))
@example('{"start":' + "9" * 5000, ALL)
@example('{"a":{"description":1e400,"start":1e400}}', OWN)
def test_no_text_raises(text: str, wanted: Wanted) -> None:
    parsed = parse_answer(text, wanted)
    texts = [parsed.global_text, *parsed.descriptions.values()]
    for said in texts:
        said.encode("utf-8")
        assert not any(ord(c) < 32 and c not in "\n\t" for c in said)
        assert said == said.strip()
    assert set(parsed.flaws) <= {*ANSWER_FLAWS, *RULES}
    assert all(repair.startswith("parse:") for repair in parsed.repairs)
    if wanted.anchored:
        assert parsed.descriptions.keys() <= set(wanted.indices)
        assert parsed.spans == ()
    else:
        assert len(parsed.spans) == len(parsed.descriptions)
        assert [span[0] for span in parsed.spans] == sorted(span[0] for span in parsed.spans)


_STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False, width=16) | _STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_STRINGS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_STRINGS, _JSON, max_size=4))
def test_the_lenient_reader_agrees_with_json_on_json(value: dict[str, Any]) -> None:
    """The naive twin: on what is JSON, both readers say the same, apart from quotes that JSON would read otherwise."""
    text = json.dumps(value)
    strict, lenient = read_strict(text), read_lenient(text)
    assert strict is not None
    assert _as_python(strict.values[0]) == value
    assert lenient.repairs == set()
    assert _as_python(lenient.values[0]) == _as_python(strict.values[0])


def _as_python(value: Any) -> Any:
    if isinstance(value, Members):
        return {key: _as_python(item) for key, item in value}
    return [_as_python(item) for item in value] if isinstance(value, list) else value
