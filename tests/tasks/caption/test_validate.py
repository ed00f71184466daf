"""Every rule has a caption that breaks it, and only valid captions pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data_specs.outcomes import Status
from data_specs.reasons import Reason
from data_specs.records import Attributes, Caption, SectionCaption
from data_specs.spec import RulesCaptions
from tasks.caption.assemble import assemble
from tasks.caption.draft import Draft
from tasks.caption.rules.captioner import RulesCaptioner
from tasks.caption.validate import (
    ANSWER_FLAWS,
    RULES,
    count_violations,
    in_order,
    judge,
    repetition,
    sentences,
    validate_caption,
    words_bound,
)
from tasks.caption.validation.text_rules import alike, alike_pairs, global_words_bound, section_words_bound
from tests.tasks.caption.songs import plain_song, random_song

AUDIO, STRUCTURE = plain_song()
VALID = RulesCaptioner(RulesCaptions()).caption(AUDIO, STRUCTURE, 0, Path()).record
assert VALID is not None


def _made(caption: Caption, **changes: Any) -> Caption:
    """The caption with other parts, assembled anew: only what is said differs."""
    parts = {name: getattr(caption, name) for name in ("global_text", "attributes", "sections", "anchored")}
    return assemble(
        caption.track_id,
        Draft(**(parts | changes)),
        captioner=caption.captioner,
        model=None,
        prompt=None,
        version=0,
        seed=0,
    )


def _say(text: str) -> Callable[[Caption], Caption]:
    """The valid caption with one more sentence in its global text."""
    return lambda c: _made(c, global_text=f"{c.global_text} {text}")


def _say_in(index: int, text: str) -> Callable[[Caption], Caption]:
    """The valid caption with one more sentence in a section."""
    return lambda c: _section(index, description=f"{c.sections[index].description} {text}")(c)


def _section(index: int, **values: object) -> Callable[[Caption], Caption]:
    def change(caption: Caption) -> Caption:
        sections = list(caption.sections)
        sections[index] = replace(sections[index], **values)  # type: ignore[arg-type]
        return _made(caption, sections=tuple(sections))

    return change


def _attributes(**values: Any) -> Callable[[Caption], Caption]:
    return lambda c: _made(c, attributes=Attributes(**values))


def _terse(caption: Caption) -> Caption:
    sections = tuple(replace(s, description=f"Here it is {i}.") for i, s in enumerate(caption.sections))
    return _made(caption, sections=sections, global_text="All in all it is a song.")


def _endless(caption: Caption) -> Caption:
    drone = " ".join(f"Softly it goes on and on and never stops, {number}." for number in range(150))
    return _made(caption, global_text=drone)


def _also(caption: Caption, text: str) -> Caption:
    """Words in a rendering that nobody wrote."""
    return replace(caption, clock_free_text=caption.clock_free_text.replace("\n\n", f" {text}\n\n", 1))


BREAKS: list[tuple[str, Callable[[Caption], Caption]]] = [
    ("words_min", _terse),
    ("words_max", _endless),
    ("section_words", _section(1, description="Drums and bass play on.")),
    ("order_free_words", lambda c: replace(c, order_free_text=sentences(c.order_free_text)[0])),
    ("counts", lambda c: replace(c, num_words=c.num_words + 1)),
    ("counts", lambda c: replace(c, repetition=0.5)),
    ("track_id", lambda c: replace(c, track_id="somebody")),
    ("empty_text", _section(2, description=" ")),
    ("empty_text", lambda c: _made(c, global_text="")),
    ("section_count", lambda c: _made(c, sections=c.sections[:-1])),
    ("section_count", lambda c: replace(c, sections=())),
    ("section_tiling", _section(1, start_s=0.0)),
    ("section_tiling", lambda c: _made(c, sections=c.sections[::-1])),
    ("section_tiling", lambda c: replace(c, sections=(replace(c.sections[0], start_s=float("nan")), *c.sections[1:]))),
    ("section_fields", _section(1, letter="Z")),
    ("section_fields", _section(0, label="intro")),
    ("label", _section(0, label="guitar solo")),
    ("writer", _section(0, writer="somebody")),
    ("attributes", _attributes(vocals="loud")),
    ("attributes", _attributes(genres=tuple(f"genre {i}" for i in range(9)))),
    ("attributes", _attributes(instruments=("a guitar that is played with a great deal of distortion",))),
    ("attributes", _attributes(moods=("calm", "Calm"))),
    ("attributes", _attributes(production=("wide\n",))),
    (
        "assembled",
        lambda c: _also(c, "Nobody wrote this, and it is far too long to be the lead of any section at all."),
    ),
    ("assembled", lambda c: replace(c, long_text=c.long_text.replace(c.sections[1].description[9:], "Lost."))),
    ("assembled", lambda c: replace(c, long_text=c.long_text.rpartition("\n\n")[0])),
    ("order_free", lambda c: replace(c, order_free_text=f"{c.order_free_text} Made up.")),
    ("order_free", lambda c: replace(c, order_free_text=c.clock_free_text)),
    ("clock_free", lambda c: replace(c, clock_free_text=c.clock_free_text + " At 1:20 it stops.")),
    ("clock_free", lambda c: replace(c, order_free_text=c.order_free_text + " That is 20 seconds in.")),
    ("not_text", _say("A tone\x07 is heard.")),
    ("not_text", _say("It is called \ufffd by some.")),
    ("not_text", _say("这首歌很安静.")),
    ("not_text", _say("La canción comienza con una guitarra y el ritmo de la batería.")),
    ("refusal", _say("I'm sorry, as an AI I cannot hear it.")),
    ("refusal", _say("No audio was provided.")),
    ("preamble", _say("Here is the description.")),
    ("preamble", _say("Sure, it goes on like this.")),
    ("preamble", _say("Let me know what is missing.")),
    ("prompt_echo", _say("The music analysis below summarizes the song's overall mood.")),
    ("prompt_echo", _say("It keeps to 20-35 words.")),
    ("prompt_echo", _say("Start 20.0, end 60.0, label section.")),
    ("prompt_echo", _say_in(1, "Music B; 16 bars; louder by about 7 dB.")),
    ("debris", _say("The **drums** are loud.")),
    ("debris", _say('The drums are loud."}]')),
    ("debris", _say("The global_text ends.")),
    ("recording_quality", _say("It is a low-quality recording.")),
    ("usage_speculation", _say("It could be playing in a cafe.")),
    ("lyrics", _say("The lyrics tell of a journey.")),
    ("lyrics", _say('He sings "hold me tonight" twice.')),
    ("named_work", _say("The song is called Deep House.")),
    ("named_work", _say("It was performed by Miles Davis.")),
    ("clock", _say("It ends at 2:20.")),
    ("clock", _say_in(1, "That is 20 seconds in.")),
    ("time_range", _say_in(0, "A flute plays for 45 seconds.")),
    ("bpm", _say("It runs at 128 BPM.")),
    ("key", _say("It is in C major.")),
    ("negative", _say("There are no vocals.")),
    ("negative", _say_in(1, "The drums are absent.")),
    ("contradiction", _say_in(1, "The music becomes quieter.")),
    ("contradiction", _say_in(2, "The drums come in.")),
    ("function_name", _say("A chorus comes.")),
    ("section_number", _say_in(2, "It is the music of section 1.")),
    ("vocals", _attributes(vocals="none")),
    ("duplicate_sentence", _say("So it is. So it is.")),
    ("repetition", _endless),
    ("sections_alike", lambda c: _section(1, description=c.sections[0].description + " Yes.")(c)),
]
SUNG = _say_in(1, "A singer sings.")(VALID)


def _broken(caption: Caption, rule: str) -> list[str]:
    if RULES[rule].severity == "warning":
        record = judge(caption, AUDIO, STRUCTURE, 250).record
        assert record is not None
        return [name for name in record.warnings if name == rule]
    return [str(v) for v in validate_caption(caption, AUDIO, STRUCTURE, 250) if v.rule == rule]


def test_the_plain_caption_breaks_nothing() -> None:
    outcome = judge(VALID, AUDIO, STRUCTURE, 250)
    assert outcome.status is Status.OK
    assert outcome.record == VALID
    assert VALID.warnings == ()


@pytest.mark.parametrize(("rule", "breaking"), BREAKS, ids=[f"{i}-{rule}" for i, (rule, _) in enumerate(BREAKS)])
def test_each_rule_finds_its_fault(rule: str, breaking: Callable[[Caption], Caption]) -> None:
    base = SUNG if rule == "vocals" else VALID
    assert not _broken(base, rule)
    assert _broken(breaking(base), rule)


EXACT = set(RULES) - {
    # These change what other rules count.
    "words_min",
    "words_max",
    "section_count",
    "section_tiling",
    "empty_text",
    "repetition",
    "clock_free",
    "assembled",
    "order_free",
}


@pytest.mark.parametrize("rule", sorted(EXACT))
def test_the_fault_of_one_rule_is_no_fault_of_another(rule: str) -> None:
    for name, breaking in BREAKS:
        if name == rule:
            base = SUNG if rule == "vocals" else VALID
            before = set(count_violations(validate_caption(base, AUDIO, STRUCTURE, 250)))
            after = set(count_violations(validate_caption(breaking(base), AUDIO, STRUCTURE, 250)))
            assert after - before <= {rule, *ALONGSIDE.get(rule, ())}


ALONGSIDE = {
    "clock": {"clock_free"},
    "section_fields": {"section_tiling"},
    "label": {"section_fields"},
    "lyrics": {"contradiction"},
    "prompt_echo": {"preamble"},
    "debris": {"prompt_echo"},
    "sections_alike": {"duplicate_sentence", "repetition", "contradiction", "bpm", "key", "negative"},
}
"""What cannot be broken without the other."""


def test_no_rule_lacks_an_example() -> None:
    assert {rule for rule, _ in BREAKS} == set(RULES)


def test_every_rule_says_what_it_asks_and_what_is_done() -> None:
    for name, rule in RULES.items():
        assert rule.what
        assert rule.repair
        assert rule.severity in ("error", "warning")
        assert name not in ANSWER_FLAWS


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_the_rules_captioner_breaks_no_rule_on_any_song(seed: int) -> None:
    audio, structure = random_song(seed)
    outcome = RulesCaptioner(RulesCaptions()).caption(audio, structure, 0, Path())
    assert outcome.status is Status.OK, outcome.detail


@pytest.mark.parametrize("text", ["It runs at 96 BPM.", "Or 48 BPM.", "It beats at 192.0 bpm.", "About 100 BPM."])
def test_tempo_and_its_other_readings_pass(text: str) -> None:
    assert not _broken(_say(text)(VALID), "bpm")


def test_key_needs_confidence_and_knows_enharmonics() -> None:
    sections = tuple(replace(s, key_confidence=0.2) for s in STRUCTURE.sections)
    unsure = replace(STRUCTURE, key_confidence=0.2, sections=sections)
    said = _made(VALID, global_text="It is in Db minor.")
    assert "key" in count_violations(validate_caption(said, AUDIO, unsure, 0))
    sharp = replace(STRUCTURE, key="C# minor", sections=sections)
    assert "key" not in count_violations(validate_caption(said, AUDIO, sharp, 0))


def test_a_section_may_have_a_key_of_its_own() -> None:
    sections = list(STRUCTURE.sections)
    sections[3] = replace(sections[3], key="E major", key_confidence=0.9)
    changed = replace(STRUCTURE, sections=tuple(sections))
    here, elsewhere = (_say_in(index, "It is in E major.")(VALID) for index in (3, 4))
    assert "key" not in count_violations(validate_caption(here, AUDIO, changed, 250))
    assert "key" in count_violations(validate_caption(elsewhere, AUDIO, changed, 250))


@pytest.mark.parametrize("text", ["A major change occurs.", "A minor detail stays.", "The chords are majestic."])
def test_not_every_major_thing_is_a_key(text: str) -> None:
    assert not _broken(_say(text)(VALID), "key")


def test_function_names_pass_where_the_analysis_has_them() -> None:
    labelled = replace(STRUCTURE, sections=tuple(replace(s, label="chorus") for s in STRUCTURE.sections))
    caption = _say("The chorus rises; a pre-chorus never comes.")(VALID)
    found = [v.value for v in validate_caption(caption, AUDIO, labelled, 250) if v.rule == "function_name"]
    assert len(found) == 1
    assert "pre-chorus" in found[0]


GOOD_ENGLISH = """
A distant siren may be heard in the left channel.
Bells may be heard at the end of each phrase.
The beat might be played on a drum machine or by hand.
The bass may be played with a pick.
You can hear the room around the drums.
We hear a soft piano and a distant violin.
Pads provide a backdrop for the voice.
The strings provide a soft backdrop to a soaring tenor.
The kick is panned in mono while the guitars spread wide.
Vinyl crackle and tape hiss are part of the sound.
High-pitched strings soar over a low-pitched drone.
Here is a quieter moment, with only piano and voice.
Below is a low drone; above are bells.
Great swells of brass arrive.
Of course the groove keeps rolling.
It has a "lo-fi" charm and a "wall of sound" at its peak.
The words are drawn out over several notes.
The guitar strums a G major chord.
The piano alternates between A minor and F major chords.
Chords of A-flat major and D-flat major colour the passage.
The drums stop for two bars.
The bass drops out and returns with more weight.
A short fill bridges the two ideas.
Chords bridge the gap between piano and strings.
The strings are a bridge between the two halves.
The strings refrain from vibrato.
A lush chorus on the guitars widens them.
A chorus-drenched guitar rings over reverb and chorus.
A male chorus hums.
The drums no longer play on every beat.
A bass voice sings a low line beneath the choir.
It sounds like a recording of rain on a tin roof.
The melody is free, almost improvised, and free of any rigid meter.
A D'Angelo-style groove sits behind the beat, an 808 under a Rhodes.
An undefined drone hangs in the air.
The following sections grow denser.
""".strip().splitlines()


@pytest.mark.parametrize("text", GOOD_ENGLISH)
def test_good_english_breaks_no_rule(text: str) -> None:
    assert validate_caption(_say_in(1, text)(VALID), AUDIO, STRUCTURE, 250) == []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("usage_speculation", "This song may be played live by a busker."),
        ("usage_speculation", "It could also be used in the background of social media content."),
        ("usage_speculation", "This may be heard in a bar."),
        ("usage_speculation", "It makes a fine backdrop for an evening."),
        ("usage_speculation", "You would hear this in a lift."),
        ("recording_quality", "The recording is a bit noisy and in mono."),
        ("preamble", "Sure! The drums are loud."),
        ("preamble", "Below is a detailed description of it."),
        ("preamble", "Here are my results."),
        ("key", "The song is in G major, with chords to match."),
        ("contradiction", "The bass drops out."),
        ("function_name", "The bridge is quiet."),
        ("function_name", "The choruses are loud."),
    ],
)
def test_what_good_english_is_near_to_is_still_found(rule: str, text: str) -> None:
    assert _broken(_say_in(1, text)(VALID), rule)


@pytest.mark.parametrize("text", ["A chorus effect is heard.", "The guitar has chorus and reverb on it."])
def test_a_chorus_effect_is_no_form_part(text: str) -> None:
    assert not _broken(_say(text)(VALID), "function_name")


@pytest.mark.parametrize(
    ("index", "text", "allowed"),
    [
        (0, "It has no marked percussion.", True),  # 0.05 of its beats
        (1, "It has no marked percussion.", False),
        (2, "It goes without drums.", True),
        (1, "It is never without drums.", True),
        (1, "It is no longer soft, and the bass is heavy.", True),
        (4, "There is almost no bass.", True),
        (1, "There is almost no bass.", False),
        (0, "It does without guitars.", False),
    ],
)
def test_negatives_need_a_measurement(index: int, text: str, allowed: bool) -> None:
    assert bool(_broken(_say_in(index, text)(VALID), "negative")) != allowed


def test_instrumental_against_singing_is_told_apart_from_an_instrumental_part() -> None:
    sung = _say_in(1, "A singer sings softly.")(VALID)
    assert not _broken(_made(sung, attributes=Attributes(vocals="female")), "vocals")
    for caption in (
        _say_in(1, "It is purely instrumental.")(sung),
        _say("This is an instrumental piece.")(sung),
        _made(sung, attributes=Attributes(vocals="none")),
    ):
        assert _broken(caption, "vocals")
    assert not _broken(_say_in(2, "It is purely instrumental.")(sung), "vocals")


def test_captions_with_sections_of_their_own_are_not_held_to_the_analysis() -> None:
    sections = (
        replace(VALID.sections[0], end_s=90.0, label="verse", letter="", writer="model", description="A piano plays."),
        replace(
            VALID.sections[1],
            start_s=90.0,
            end_s=180.0,
            label="chorus",
            letter="",
            writer="model",
            description="The drums come in.",
        ),
    )
    caption = _made(VALID, anchored=False, sections=sections, global_text="A chorus comes after the verse.")
    assert set(count_violations(validate_caption(caption, AUDIO, STRUCTURE, 0))) == set()
    assert "section_count" in count_violations(validate_caption(replace(caption, anchored=True), AUDIO, STRUCTURE, 0))
    gap = _made(caption, sections=(sections[0], replace(sections[1], start_s=100.0)))
    assert "section_tiling" in count_violations(validate_caption(gap, AUDIO, STRUCTURE, 0))


@pytest.mark.parametrize(("duration_s", "bound"), [(240.0, 250), (120.0, 250), (60.0, 125), (3.0, 7), (0.5, 2)])
def test_short_tracks_need_fewer_words(duration_s: float, bound: int) -> None:
    assert words_bound(250, duration_s) == bound


def test_brief_sections_and_tracks_need_fewer_words_still() -> None:
    section = replace(VALID.sections[0], start_s=0.0, end_s=30.0)
    assert section_words_bound(section, 6) == 12
    assert section_words_bound(replace(section, end_s=5.0), 6) < 12
    assert section_words_bound(section, 40) < 12
    assert global_words_bound(5.0) < global_words_bound(60.0) == 12


def test_a_length_is_no_clock_time() -> None:
    assert not _broken(_say("The opening is around 30 seconds long.")(VALID), "clock")
    assert _broken(_say("A flute enters around 30 seconds.")(VALID), "clock")


def test_too_short_and_broken_have_reasons_of_their_own() -> None:
    short = judge(_terse(VALID), AUDIO, STRUCTURE, 250)
    assert short.status is Status.REJECTED
    assert short.reason is Reason.CAPTION_TOO_SHORT
    broken = judge(_say("It runs at 128 BPM. A chorus comes. A verse goes.")(VALID), AUDIO, STRUCTURE, 250)
    assert broken.reason is Reason.CAPTION_INVALID
    assert broken.record is not None
    assert broken.detail is not None
    assert "bpm: '128 BPM' in global_text" in broken.detail
    assert "function_name: 'chorus' in global_text" in broken.detail
    assert "(and 1 more)" in broken.detail


def test_warnings_are_kept_once_and_let_through() -> None:
    caption = replace(_section(1, description="Drums and bass play on.")(VALID), warnings=("heard",))
    outcome = judge(judge(caption, AUDIO, STRUCTURE, 0).record or caption, AUDIO, STRUCTURE, 0)
    assert outcome.status is Status.OK
    assert outcome.record is not None
    assert outcome.record.warnings == ("heard", "section_words")


def test_flaws_are_in_the_order_of_the_table() -> None:
    assert in_order(["key", "bpm", "json", "bpm"]) == ("json", "bpm", "key")


def test_repetition_is_the_share_of_grams_heard_before() -> None:
    assert repetition("a b c d") == 0.0
    assert repetition("a b c d a b c d") == pytest.approx(1 / 5)
    assert repetition("too short") == 0.0


def test_alike_is_the_jaccard_similarity_of_words() -> None:
    assert alike("The drums play.", "the DRUMS stop") == pytest.approx(2 / 4)
    assert alike("", "") == 0.0


def test_only_the_same_music_may_be_told_alike() -> None:
    def pairs(letters: str) -> list[tuple[int, int]]:
        made = [
            SectionCaption(start_s=i, end_s=i + 1, label="section", letter=x, description="a b c", writer="model")
            for i, x in enumerate(letters.replace(" ", "\0"))
        ]
        return alike_pairs([replace(s, letter="" if s.letter == "\0" else s.letter) for s in made])

    assert pairs("AA") == []
    assert pairs("ABA") == [(0, 1), (1, 2)]
    assert pairs("  ") == [(0, 1)]


def test_decimals_do_not_end_a_sentence() -> None:
    assert sentences("About 3.2 onsets a second. It ends.") == ["About 3.2 onsets a second.", "It ends."]
