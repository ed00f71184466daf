"""Every rule has a caption that breaks it, and only valid captions pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from data_specs.records import Caption
from data_specs.spec import CaptionSettings
from tasks.caption import build_captioner, count_violations, validate_caption
from tasks.caption.validate import RULES, repetition, sentences
from tests.tasks.caption.songs import plain_song

AUDIO, STRUCTURE = plain_song()
VALID = build_captioner(CaptionSettings()).caption(AUDIO, STRUCTURE)


def _say(text: str) -> Callable[[Caption], Caption]:
    """The valid caption with one more sentence in its global text."""
    return lambda c: replace(c, global_text=f"{c.global_text} {text}")


def _long(text: str) -> Callable[[Caption], Caption]:
    return lambda c: replace(c, long_text=text, num_words=len(text.split()))


def _section(index: int, **values: object) -> Callable[[Caption], Caption]:
    def change(caption: Caption) -> Caption:
        sections = list(caption.sections)
        sections[index] = replace(sections[index], **values)  # type: ignore[arg-type]
        return replace(caption, sections=tuple(sections))

    return change


BREAKS: list[tuple[str, Callable[[Caption], Caption]]] = [
    ("words_min", _long("A short text.")),
    ("word_count", lambda c: replace(c, num_words=c.num_words + 1)),
    ("track_id", lambda c: replace(c, track_id="somebody")),
    ("empty_text", _section(2, description=" ")),
    ("section_count", lambda c: replace(c, sections=c.sections[:-1])),
    ("section_tiling", _section(1, start_s=0.0)),
    ("section_tiling", lambda c: replace(c, sections=c.sections[::-1])),
    ("section_fields", _section(1, letter="Z")),
    ("section_fields", _section(0, label="intro")),
    ("assembled", _section(1, description="Words that the long text lacks.")),
    ("time_range", _say("It ends at 3:20.")),
    ("clock_free", lambda c: replace(c, clock_free_text=c.clock_free_text + " At 1:20 it stops.")),
    ("clock_free", lambda c: replace(c, clock_free_text=c.clock_free_text + " That is 20 seconds in.")),
    ("bpm", _say("It runs at 128 BPM.")),
    ("key", _say("It is in C major.")),
    ("duplicate_sentence", lambda c: replace(c, clock_free_text=c.clock_free_text + " So it is. So it is.")),
    ("repetition", _long(" ".join(f"It goes on and on, {i}." for i in range(80)))),
    ("refusal", _say("I'm sorry, as an AI I cannot hear it.")),
    ("preamble", _say("Here is the description.")),
    ("recording_quality", _say("It is a low-quality recording.")),
    ("usage_speculation", _say("It could be playing in a cafe.")),
    ("function_name", _say("Then comes the chorus.")),
]


def test_the_plain_caption_breaks_nothing() -> None:
    assert validate_caption(VALID, AUDIO, STRUCTURE, 250) == []


@pytest.mark.parametrize(("rule", "breaking"), BREAKS, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(BREAKS)])
def test_each_rule_finds_its_fault(rule: str, breaking: Callable[[Caption], Caption]) -> None:
    violations = validate_caption(breaking(VALID), AUDIO, STRUCTURE, 250)
    assert rule in count_violations(violations)
    assert all(violation.value and violation.bound for violation in violations)


def test_no_rule_lacks_an_example() -> None:
    assert {rule for rule, _ in BREAKS} == set(RULES)


@pytest.mark.parametrize("text", ["It runs at 96 BPM.", "Or 48 BPM.", "It beats at 192.0 bpm.", "About 100 BPM."])
def test_tempo_and_its_other_readings_pass(text: str) -> None:
    assert "bpm" not in count_violations(validate_caption(_say(text)(VALID), AUDIO, STRUCTURE, 250))


def test_key_needs_confidence_and_knows_enharmonics() -> None:
    unsure = replace(STRUCTURE, key_confidence=0.2)
    assert "key" in count_violations(validate_caption(VALID, AUDIO, unsure, 250))
    sharp = replace(STRUCTURE, key="C# minor")
    flat = replace(VALID, global_text="It is in Db minor.", long_text="-", clock_free_text="-")
    assert "key" not in count_violations(validate_caption(flat, AUDIO, sharp, 250))


def test_function_names_pass_where_the_analysis_has_them() -> None:
    labelled = replace(STRUCTURE, sections=tuple(replace(s, label="chorus") for s in STRUCTURE.sections))
    caption = _say("The chorus rises; a pre-chorus never comes.")(VALID)
    found = [v.value for v in validate_caption(caption, AUDIO, labelled, 250) if v.rule == "function_name"]
    assert len(found) == 1
    assert "pre-chorus" in found[0]


def test_repetition_is_the_share_of_grams_heard_before() -> None:
    assert repetition("a b c d") == 0.0
    assert repetition("a b c d a b c d") == pytest.approx(1 / 5)
    assert repetition("too short") == 0.0


def test_decimals_do_not_end_a_sentence() -> None:
    assert sentences("About 3.2 onsets a second. It ends.") == ["About 3.2 onsets a second.", "It ends."]
