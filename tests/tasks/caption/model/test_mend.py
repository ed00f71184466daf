"""Mending takes out what breaks a rule, once and for all, and says what is past it."""

from __future__ import annotations

import csv
import math
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_specs.outcomes import Status
from data_specs.records import LABELS, VOCALS, Attributes, SectionCaption
from data_specs.spec import RulesCaptions
from tasks.caption.assemble import assemble
from tasks.caption.draft import GLOBAL, Draft
from tasks.caption.model.cuts import cut
from tasks.caption.model.mend import Mended, mend
from tasks.caption.model.parse import Wanted, parse_answer
from tasks.caption.model.spans import MIN_SECTION_S, alias
from tasks.caption.model.tidy import MAX_CHARACTERS, finished, normalised, plain, shortened, unlooped
from tasks.caption.rules.captioner import write_draft
from tasks.caption.validate import ANSWER_FLAWS, RULES, judge, validate_caption
from tests.tasks.caption.songs import plain_song

AUDIO, STRUCTURE = plain_song()
SHARED = Path(__file__).parents[4] / ".." / "shared" / "data"
GOOD = (
    "A soft piano plays a rocking figure in the middle register with pedal.",
    "Guitars and a busy bass carry a bright tune over firm snare hits.",
    "Muted chords hang under a slow flute line that wanders through low notes.",
    "Handclaps push a warm organ riff while two trumpets answer each other.",
    "Plucked strings and marimba weave small patterns around one long held tone.",
    "Everything joins for a wide hymn of brass, choir pads and ringing bells.",
)
WHOLE = (
    "A warm instrumental fusion piece in a moderate tempo moves between hushed and radiant passages of many colours."
)


def _draft(texts: dict[int, str] | None = None, attributes: Attributes = Attributes()) -> Draft:  # noqa: B008
    """A good draft of the plain song with other texts at some indices."""
    said = {**dict(enumerate(GOOD)), GLOBAL: WHOLE} | (texts or {})
    sections = tuple(
        SectionCaption(
            start_s=s.start_s,
            end_s=s.end_s,
            label=s.label,
            letter=s.letter,
            description=said[i],
            writer="model",
        )
        for i, s in enumerate(STRUCTURE.sections)
    )
    return Draft(global_text=said[GLOBAL], attributes=attributes, sections=sections, anchored=True)


def _own(*spans: tuple[float, float, str], texts: tuple[str, ...] = GOOD) -> Draft:
    sections = tuple(
        SectionCaption(start_s=a, end_s=b, label=label, letter="", description=text, writer="model")
        for (a, b, label), text in zip(spans, texts, strict=False)
    )
    return Draft(global_text=WHOLE, attributes=Attributes(), sections=sections, anchored=False)


def _mend(draft: Draft) -> Mended:
    return mend(draft, AUDIO, STRUCTURE)


def _said(text: str, index: int = 1) -> Mended:
    """A good section followed by other words."""
    return _mend(_draft({index: f"{GOOD[index % 6]} {text}"}))


def test_a_good_draft_is_left_alone() -> None:
    mended = _mend(_draft())
    assert mended.draft == _draft()
    assert mended.repairs == ()
    assert mended.flaws == ()
    assert mended.failing == ()


def test_drafts_of_the_rules_captioner_are_left_alone() -> None:
    draft = write_draft(AUDIO, STRUCTURE, "seed", RulesCaptions().min_words)
    mended = _mend(draft)
    assert mended.draft == draft
    assert mended.repairs == ()


DROPPED = {
    "recording_quality": "The recording is noisy.",
    "usage_speculation": "It could be playing in a tutorial.",
    "lyrics": "The lyrics speak of love.",
    "named_work": "It was performed by Miles Davis.",
    "refusal": "I'm sorry, I cannot hear more.",
    "preamble": "Let me know if you need more.",
    "prompt_echo": "It keeps to 20-35 words.",
    "negative": "There are no vocals.",
    "contradiction": "The music becomes quieter.",
    "clock": "At 1:20, it is.",
    "time_range": "A solo lasts 75 seconds.",
    "bpm": "The tempo is 128 BPM.",
    "key": "It is in C major.",
    "not_text": "这首歌很安静.",
    "debris": 'The "label": section.',
}


@pytest.mark.parametrize("rule", DROPPED)
def test_bad_sentences_are_dropped(rule: str) -> None:
    mended = _said(DROPPED[rule])
    assert mended.draft.sections[1].description == GOOD[1]
    assert f"drop_sentence:{rule}" in mended.repairs
    assert rule in mended.flaws
    assert mended.failing == ()


@pytest.mark.parametrize(
    ("rule", "sentence", "left"),
    [
        ("clock", "At 0:25, the flute plays alone.", "The flute plays alone."),
        ("clock", "From 0:20 to 1:00, a flute sings on.", "A flute sings on."),
        ("clock", "The flute plays alone here (0:25).", "The flute plays alone here."),
        ("clock", "Around the 25-second mark, a flute plays.", "A flute plays."),
        ("bpm", "It moves along at 128 BPM with a swing.", "It moves along with a swing."),
        ("key", "A flute plays alone in the key of C major.", "A flute plays alone."),
        ("key", "A flute in C# major plays on.", "A flute plays on."),
        (
            "recording_quality",
            "The low quality recording features a flute solo.",
            "The recording features a flute solo.",
        ),
        (
            "usage_speculation",
            "It sounds calm, like something you would hear in a film.",
            "It sounds calm.",
        ),
        ("usage_speculation", "A calm flute plays on, perfect for a quiet evening.", "A calm flute plays on."),
    ],
)
def test_phrases_are_cut_where_the_rest_stands(rule: str, sentence: str, left: str) -> None:
    if len(left.split()) >= 4:
        assert cut(rule, sentence) == left
        assert f"cut:{rule}" in _said(sentence).repairs
    else:
        assert cut(rule, sentence) is None


def test_form_parts_that_the_analysis_lacks_are_called_sections() -> None:
    mended = _said("The verse section leads to two choruses; a chorus effect colours it.")
    assert mended.draft.sections[1].description.endswith(
        "The section leads to two sections; a chorus effect colours it."
    )
    assert "rename:function_name" in mended.repairs


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("The pre-chorus builds to the chorus.", "The section builds to the section."),
        ("A chorus comes.", "A section comes."),
        ("The verse sections are quiet.", "The sections are quiet."),
        ("The verse and chorus alternate.", "The sections alternate."),
        ("It moves from verse to chorus.", "It moves from section to section."),
        ("The Verse/chorus form is plain.", "The Section form is plain."),
    ],
)
def test_a_renamed_sentence_is_still_english(said: str, left: str) -> None:
    assert _said(said).draft.sections[1].description.endswith(left)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("recording_quality", "The song is of low quality with a muffled voice."),
        ("recording_quality", "The voice has a low quality of menace."),
        ("recording_quality", "It is of poor quality and loud."),
        ("key", "The solo in E major pentatonic soars above the band."),
    ],
)
def test_no_phrase_is_cut_that_the_rest_leans_on(rule: str, sentence: str) -> None:
    assert cut(rule, sentence) is None
    assert f"drop_sentence:{rule}" in _said(sentence).repairs


def test_a_numbered_section_is_called_by_its_place() -> None:
    index = 1
    said = "The bass is warmer than in section 1. Section 2 is wide. It makes way for section 3."
    mended = _said(said)
    assert mended.draft.sections[index].description.endswith(
        "The bass is warmer than in an earlier section. This section is wide. It makes way for a later section."
    )
    assert "rename:section_number" in mended.repairs


def test_a_tilde_before_a_number_is_a_word() -> None:
    assert normalised("It runs at ~96 BPM, ≈ 2 dB up.") == "It runs at about 96 BPM, about 2 dB up."


def test_markdown_becomes_sentences() -> None:
    text = "Intro and Verse\n- **Electric guitar** with distortion\n- `Drums` start, steady\n2. Male vocal enters;"
    assert plain(text) == "Electric guitar with distortion. Drums start, steady. Male vocal enters."
    assert plain("A piano plays\nand plays\non.") == "A piano plays and plays on."
    assert plain("# Heading\nText [here](http://x.y).") == "Heading. Text here."
    assert plain('"A quoted answer."') == "A quoted answer."
    assert plain("The F#m chord and 4/4 time, A-B-A.") == "The F#m chord and 4/4 time, A-B-A."


def test_characters_are_normalised() -> None:
    assert normalised("Cafe\u0301 \u201cx\u201d it\u2019s\u00a0a\tb\x00\u200b\r\nc \ud800") == 'Café "x" it\'s a b\nc'


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("the drums " * 50, "the drums"),
        ("It is very, very, very calm.", "It is very, very, very calm."),
        ("It is very very very very calm.", "It is very calm."),
        ("Up and down and up and down it goes.", "Up and down and up and down it goes."),
        ("Start. " + "The beat goes on and on. " * 9, "Start. The beat goes on and on."),
        ("a b c a b c a b c d", "a b c d"),
        ("", ""),
    ],
)
def test_loops_are_cut(text: str, left: str) -> None:
    assert unlooped(text) == left


@given(st.lists(st.sampled_from("abc"), max_size=14))
def test_what_is_left_of_a_loop_is_no_loop(tokens: list[str]) -> None:
    """The naive twin: nothing that is left repeats itself three times running, and nothing else went."""
    left = unlooped(" ".join(tokens)).split()
    for period in range(2, len(left)):
        for start in range(len(left) - 3 * period + 1):
            runs = [left[start + i * period : start + (i + 1) * period] for i in range(3)]
            assert not runs[0] == runs[1] == runs[2] or len(set(runs[0])) == 1
    if left == tokens:
        return
    assert any(
        tokens[i : i + p] == tokens[i + p : i + 2 * p] for p in range(1, len(tokens)) for i in range(len(tokens) - p)
    )


def test_the_last_sentence_ends() -> None:
    assert finished("a piano plays") == "A piano plays."
    assert finished("A piano plays. The drums and the") == "A piano plays."
    assert finished("A piano and the") == "A piano."
    assert finished("It stops!") == "It stops!"


def test_what_never_ends_is_cut_at_a_sentence() -> None:
    assert shortened("One two. " * 1000).endswith("two.")
    assert len(shortened("word " * 1000)) <= MAX_CHARACTERS
    assert shortened("Short.") == "Short."


def test_sentences_said_before_are_dropped() -> None:
    mended = _mend(_draft({2: f"{GOOD[2]} {GOOD[0]}", GLOBAL: f"{WHOLE} {GOOD[3]}"}))
    assert mended.draft == _draft()
    assert mended.repairs == ("drop_echo:duplicate_sentence",)
    echo = "Then guitars and a busy bass carry a bright tune over firm snare hits."
    mended = _mend(_draft({2: f"{GOOD[2]} {echo}"}))
    assert mended.draft == _draft()
    assert mended.repairs == ("drop_echo:repetition",)


def test_a_claim_on_the_whole_stays_in_its_paragraph() -> None:
    overall = "Overall, the entire piece glows with quiet confidence and warmth."
    mended = _mend(_draft({5: f"{GOOD[5]} {overall}", GLOBAL: f"{WHOLE} {overall}"}))
    assert mended.draft == _draft({GLOBAL: f"{WHOLE} {overall}"})


def test_instrumental_gives_way_to_singing() -> None:
    sung = f"{GOOD[1]} A tenor vocalist sings along."
    mended = _mend(_draft({1: sung, GLOBAL: f"{WHOLE} It is purely instrumental."}, Attributes(vocals="none")))
    assert mended.draft.global_text == WHOLE
    assert mended.draft.attributes.vocals == "unknown"
    assert mended.draft.sections[1].description == sung
    assert {"drop_sentence:vocals", "attributes:vocals"} <= set(mended.repairs)
    assert mended.flaws == ("vocals",)


def test_attributes_are_brought_into_bounds() -> None:
    wild = Attributes(
        genres=("Rock", "rock", " pop ", "", "x" * 41, *(f"g{i}" for i in range(9))),
        vocals="Male and female voices",
        tempo_word="**fast**",
        moods=("calm\n",),
    )
    mended = _mend(_draft(attributes=wild))
    assert mended.draft.attributes == Attributes(
        genres=("Rock", "pop", "g0", "g1", "g2", "g3", "g4", "g5"), moods=("calm",), vocals="mixed", tempo_word="fast"
    )
    assert mended.repairs == ("attributes:bounds",)


@pytest.mark.parametrize(
    ("said", "vocals"),
    [
        ("female vocals", "female"),
        ("Male", "male"),
        ("no vocals", "none"),
        ("choral", "choir"),
        ("rap", "spoken"),
        ("?", "unknown"),
    ],
)
def test_vocals_are_named_by_the_vocabulary(said: str, vocals: str) -> None:
    assert vocals in VOCALS
    assert _mend(_draft(attributes=Attributes(vocals=said))).draft.attributes.vocals == vocals


def test_failing_parts() -> None:
    mended = _mend(
        _draft(
            {
                0: "",
                1: "Too few words.",
                2: f"Short. {' '.join(DROPPED.values())}",
                4: GOOD[3].replace("two", "three"),
                GLOBAL: "Brief.",
            }
        )
    )
    assert mended.failing == (0, 1, 2, 4, GLOBAL)
    assert mended.draft.sections[2].description == ""
    assert "empty:unusable" in mended.repairs
    assert {"unusable", "empty_text", "section_words", "sections_alike"} <= set(mended.flaws)


def test_the_same_music_may_be_told_alike() -> None:
    assert _mend(_draft({3: GOOD[1].replace("bright", "glowing")})).failing == ()
    assert _mend(_draft({4: GOOD[1].replace("bright", "glowing")})).failing == (4,)


@pytest.mark.parametrize(
    ("label", "known"),
    [
        ("Chorus", "chorus"),
        ("Intro and Verse", "intro"),
        ("Instrumental Bridge", "bridge"),
        ("Verse 2", "verse"),
        ("Pre Chorus", "pre-chorus"),
        ("Guitar Solo", "solo"),
        ("Breakdown", "break"),
        ("Buildup", "build-up"),
        ("Cover Song", "section"),
        ("Outro/Fade-out", "outro"),
        ("", "section"),
        ("**Refrain**", "chorus"),
    ],
)
def test_labels_have_aliases(label: str, known: str) -> None:
    assert known in LABELS
    assert alias(label) == known


def test_spans_are_clamped_snapped_filled_and_merged() -> None:
    mended = _mend(
        _own(
            (121.0, 180.5, "Outro"),
            (-3.0, 19.2, "Introduction"),
            (21.0, 50.0, "verse"),
            (62.0, 64.0, "fill"),
        )
    )
    spans = [(s.start_s, s.end_s, s.label) for s in mended.draft.sections]
    assert spans == [
        (0.0, 20.0, "intro"),
        (20.0, 62.0, "verse"),
        (62.0, 120.0, "section"),
        (120.0, 180.0, "outro"),
    ]
    assert mended.repairs[:4] == ("labels:3", "sort:4", "snap:1", "fill:3")
    assert {"label", "section_tiling"} <= set(mended.flaws)
    assert _mend(mended.draft).draft == mended.draft


def test_slivers_are_merged_with_their_words() -> None:
    mended = _mend(_own((0.0, 1.0, "intro"), (1.0, 90.0, "verse"), (90.0, 178.5, "outro"), (178.5, 180.0, "outro")))
    assert [(s.start_s, s.end_s, s.label) for s in mended.draft.sections] == [
        (0.0, 90.0, "verse"),
        (90.0, 180.0, "outro"),
    ]
    assert mended.draft.sections[0].description == f"{GOOD[0]} {GOOD[1]}"
    assert "merge:2" in mended.repairs


_TIMES = st.one_of(st.floats(-20, 400), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 180.0]))


@given(st.lists(st.tuples(_TIMES, _TIMES, st.text(max_size=12)), min_size=1, max_size=6))
def test_any_times_become_a_tiling(spans: list[tuple[float, float, str]]) -> None:
    sections = _mend(_own(*spans)).draft.sections
    assert sections[0].start_s == 0
    assert sections[-1].end_s == STRUCTURE.duration_s
    assert all(a.end_s == b.start_s for a, b in pairwise(sections))
    assert all(s.end_s - s.start_s >= MIN_SECTION_S for s in sections)
    assert {s.label for s in sections} <= set(LABELS)


def test_nothing_at_all() -> None:
    empty = Draft(global_text="", attributes=Attributes(), sections=(), anchored=False)
    assert _mend(empty).failing == (GLOBAL,)
    assert _mend(_draft(dict.fromkeys(range(-1, 6), ""))).failing == (0, 1, 2, 3, 4, 5, GLOBAL)


def test_the_facts_must_be_of_the_track() -> None:
    with pytest.raises(ValueError, match="expected one track"):
        mend(_draft(), replace(AUDIO, track_id="other"), STRUCTURE)


REFILLS = (
    "One oboe waits.",
    "Two cellos hum beside it.",
    "Three horns glow further off.",
    "Four violas rock to and fro.",
    "Five tubas grumble deep down.",
    "Six harps glitter high above.",
)
MENDS = [
    name
    for name, rule in RULES.items()
    if rule.severity == "error"
    and name not in ("words_min", "repetition", "clock_free", "order_free", "assembled", "counts", "track_id")
]
"""The rules that a mended draft keeps wherever no part is failing."""

_WORDS = (
    "the a piano drums bass guitar vocals music level rises falls enters louder softer no without chorus verse at 1:20"
    " 0:05-0:17 128 BPM in C major A minor low quality recording could be played lyrics"
    ' "hold me" - ** # { } [ ] , . ! ?'
    " ; : and before is purely instrumental sings here I cannot hear 尺八 \x07 — seconds for 90 null _x_ <b> it texture"
    " thins drop out section returns 3/4 slow tempo\n\n - 1. by Miles Davis titled sorry very"
).split(" ")
_SALAD = st.lists(st.sampled_from(_WORDS), max_size=60).map(" ".join)
_SENTENCES = st.lists(
    st.sampled_from([*GOOD, *DROPPED.values(), WHOLE, "The drums enter.", "It is purely instrumental.", "He sings."]),
    max_size=12,
).map(" ".join)
_GARBAGE = st.one_of(_SALAD, _SENTENCES, st.text(max_size=80), st.builds("{} {}".format, _SENTENCES, _SALAD))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.integers(-1, 5), _GARBAGE, max_size=7), st.sampled_from(["none", "male", "x", "unknown"]))
@example({0: "- - - -", 1: "1. 1. 1. 1."}, "none")
@example({0: "At 0:05, at 0:05 at 0:05 the music. in C major in C major"}, "none")
def test_whatever_is_mended_keeps_the_rules_and_stays_as_it_is(texts: dict[int, str], vocals: str) -> None:
    mended = _mend(_draft(texts, Attributes(vocals=vocals)))
    again = _mend(mended.draft)
    assert again.draft == mended.draft
    assert again.repairs == ()
    assert again.failing == mended.failing
    assert set(mended.flaws) <= {*RULES, *ANSWER_FLAWS}
    for index, section in enumerate(mended.draft.sections):
        if index in mended.failing:  # what a refill would bring
            mended = replace(mended, draft=_with(mended.draft, index, REFILLS[index]))
        else:
            assert section.description
    if GLOBAL in mended.failing:
        mended = replace(mended, draft=replace(mended.draft, global_text="Zithers ring in all of it."))
    caption = assemble("plain", mended.draft, captioner="model-1", model="m", prompt="v1/both/one", version=0, seed=0)
    broken = {str(v) for v in validate_caption(caption, AUDIO, STRUCTURE, 0) if v.rule in MENDS}
    assert broken == set()


def _with(draft: Draft, index: int, text: str) -> Draft:
    sections = [replace(s, description=text) if i == index else s for i, s in enumerate(draft.sections)]
    return replace(draft, sections=tuple(sections))


def test_an_endless_answer_is_mended_in_time() -> None:
    for text in ("the drums " * 200_000, "a" * 1_000_000, '"x ' * 300_000, "0:17 " * 200_000, "\n- x" * 300_000):
        begun = time.process_time()
        _mend(_draft({1: text, GLOBAL: text}))
        assert time.process_time() - begun < 5


@pytest.mark.skipif(not (SHARED / "futga").is_dir(), reason="no ../shared/data/futga")
@pytest.mark.parametrize("number", range(1, 6))
def test_real_futga_texts(number: int) -> None:
    text = (SHARED / "futga" / f"songData{number}.json").read_text(encoding="utf-8")
    parsed = parse_answer(text, Wanted(indices=(), wants_global=True, anchored=False, duration_s=180.0))
    draft = _own(*parsed.spans, texts=tuple(parsed.descriptions[i] for i in range(len(parsed.spans))))
    mended = _mend(replace(draft, global_text=parsed.global_text))
    assert "label" in mended.flaws
    assert _mend(mended.draft).draft == mended.draft
    caption = assemble("plain", mended.draft, captioner="import-1", model=None, prompt=None, version=0, seed=0)
    missing = [i for i, s in enumerate(mended.draft.sections) if not s.description]
    assert set(missing) <= set(mended.failing)
    broken = {v.rule for v in validate_caption(caption, AUDIO, STRUCTURE, 0)}
    assert broken <= ({"empty_text"} if missing or not mended.draft.global_text else set())


@pytest.mark.skipif(not (SHARED / "musiccaps").is_dir(), reason="no ../shared/data/musiccaps")
def test_real_human_captions() -> None:
    """People's captions in place of a model's: what is left of them is valid, and most of it is left."""
    with open(SHARED / "musiccaps" / "musiccaps-public.csv", encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))[::97]
    kept = total = 0
    for row in rows:
        mended = _mend(_draft({2: row["caption"]}))
        kept += len(mended.draft.sections[2].description.split())
        total += len(row["caption"].split())
        if mended.failing == ():
            caption = assemble("plain", mended.draft, captioner="model-1", model="m", prompt="p", version=0, seed=0)
            outcome = judge(caption, AUDIO, STRUCTURE, 0)
            assert outcome.status is Status.OK, outcome.detail
    assert kept > 0.5 * total
