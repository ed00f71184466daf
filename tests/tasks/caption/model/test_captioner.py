from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data_specs.music_llms import MusicLLM
from data_specs.outcomes import Outcome, Status
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Caption, Structure
from data_specs.scope import sentences
from data_specs.settings import SpecError
from data_specs.spec import ModelCaptions
from tasks.caption.generate.request import Answer, GenerationError, Request
from tasks.caption.model.captioner import ModelCaptioner
from tasks.caption.model.prompt import load_prompts, without_instructions
from tasks.caption.validate import validate_caption
from tests.tasks.caption.model.scripted import Script, Scripted, good, good_answer, heard, prose
from tests.tasks.caption.songs import plain_song, random_song

Song = tuple[AudioFacts, Structure]


def small_ears(hears_s: float = 30.0, context_tokens: int = 8192) -> MusicLLM:
    return MusicLLM(
        name="small-ears",
        weights="org/small",
        revision="abc123",
        license="MIT",
        commercial_use=True,
        audio_tokens_per_s=12.5,
        hears_s=hears_s,
        context_tokens=context_tokens,
    )


def run(
    script: Script, song: Song | None = None, version: int = 0, **settings: Any
) -> tuple[Outcome[Caption], Scripted]:
    audio, structure = song or plain_song()
    generator = Scripted(script)
    chosen = ModelCaptions(captioner="server", **settings)
    outcome = ModelCaptioner(chosen, generator).caption(audio, structure, version, Path("/workspace"))
    if outcome.status is Status.OK:
        assert outcome.record is not None
        assert validate_caption(outcome.record, audio, structure, chosen.min_words) == []
        assert outcome.record.answers == tuple(request.key for request in generator.requests)
    return outcome, generator


def accepted(outcome: Outcome[Caption]) -> Caption:
    assert outcome.status is Status.OK, (outcome.reason, outcome.detail)
    assert outcome.record is not None
    return outcome.record


def edited(request: Request, **changes: Any) -> str:
    return json.dumps(good_answer(request) | changes)


def test_a_good_answer_becomes_the_caption() -> None:
    outcome, generator = run(good)
    caption = accepted(outcome)
    (request,) = generator.requests
    assert caption.captioner == "model-1"
    assert caption.model == request.weights
    assert request.weights.startswith("OpenMOSS-Team/MOSS-Music-8B-Instruct")
    assert caption.prompt == "v1/both/one"
    assert caption.flaws == ()
    assert caption.repairs == ()
    assert caption.heard_s == 180.0
    assert caption.anchored
    assert caption.num_words >= 250
    assert caption.attributes.instruments == ("guitar", "piano", "cello")
    assert {section.writer for section in caption.sections} == {"model"}
    said = good_answer(request)
    assert [s.description for s in caption.sections] == [s["description"] for s in said["sections"]]
    assert request.audio is not None
    assert request.audio.path == Path("/workspace/audio/song000001.flac")
    assert (request.audio.start_s, request.audio.end_s, request.audio.whole) == (0.0, 180.0, True)


@pytest.mark.parametrize("seed", range(25))
def test_random_songs_end_valid_or_with_a_reason(seed: int) -> None:
    song = random_song(seed, num_sections=1 + seed % 15, duration_s=40.0 + 20 * seed)
    outcome, _ = run(good, song)
    # The prose of these tests is neutral; only a song whose records hold nonsense may refuse it.
    assert outcome.status is Status.OK, (outcome.reason, outcome.detail)


SEEDS_DIFFER = [({}, 0), ({"seed": 1}, 0), ({}, 1)]


def test_questions_repeat_and_differ_by_seed_and_version() -> None:
    keys = [run(good, version=version, **settings)[1].requests[0].key for settings, version in SEEDS_DIFFER]
    assert len(set(keys)) == 3
    again = [run(good, version=version, **settings)[1].requests[0].key for settings, version in SEEDS_DIFFER]
    assert again == keys


def test_a_missing_prompt_version_is_said_before_the_first_song() -> None:
    with pytest.raises(SpecError, match="v7"):
        ModelCaptioner(ModelCaptions(captioner="server", prompt="v7"), Scripted(good))


def prose_only(request: Request, number: int) -> str:
    return "Sure! Here is the description you asked for. " + prose(200, random.Random(number))


def broken_json(request: Request, number: int) -> str:
    return good(request)[: len(good(request)) // 3]


def wrong_times(request: Request, number: int) -> str:
    said = good_answer(request)
    for section in said["sections"]:
        section["start"] += 31.7
        section["end"] += 44.1
    return json.dumps(said)


def refusal(request: Request, number: int) -> str:
    return "I'm sorry, but as an AI language model I cannot listen to audio."


def endless(request: Request, number: int) -> Answer:
    return heard(
        request, '{"sections": [{"start": 0.0, "description": "' + "the guitar plays the " * 4000, finish="length"
    )


def empty(request: Request, number: int) -> str:
    return ""


def nonsense(request: Request, number: int) -> str:
    return "".join(random.Random(number).choice('{}[]",:\\ \x00\nabc<|é') for _ in range(3000))


def nulls(request: Request, number: int) -> str:
    return '{"sections": null, "global": {"a": [1, 2]}, "attributes": "none"}'


@pytest.mark.parametrize("script", [prose_only, broken_json, wrong_times, refusal, endless, empty, nonsense, nulls])
@pytest.mark.parametrize("passes", ["one", "two"])
@pytest.mark.parametrize("facts", ["both", "none"])
def test_any_bad_answer_ends_with_a_caption_or_a_reason(script: Script, passes: str, facts: str) -> None:
    outcome, generator = run(script, passes=passes, facts=facts)
    assert len(generator.requests) < 30
    if outcome.status is not Status.OK:
        assert outcome.reason in (Reason.CAPTION_INVALID, Reason.CAPTION_REFUSED, Reason.CAPTION_TOO_SHORT)
        assert outcome.detail


@pytest.mark.parametrize("script", [prose_only, broken_json, refusal, endless, empty, nonsense])
def test_one_bad_answer_is_asked_for_again(script: Script) -> None:
    def once(request: Request, number: int) -> str | Answer:
        return script(request, number) if number == 0 else good(request)

    outcome, generator = run(once)
    caption = accepted(outcome)
    assert caption.flaws
    assert any(repair.startswith("refill:") for repair in caption.repairs)
    assert len(generator.requests) >= 2
    assert generator.requests[0].seed != generator.requests[1].seed
    assert generator.requests[0].audio == generator.requests[1].audio


@pytest.mark.parametrize("passes", ["one", "two"])
def test_the_prompt_is_no_caption(passes: str) -> None:
    orders = [
        line for line in "\n".join(t.template for t in load_prompts("v1").values()).split("\n") if "$" not in line
    ]

    def script(request: Request, number: int) -> str:
        said = good_answer(request)
        for index, section in enumerate(said.get("sections", [])):
            section["description"] = f"{orders[(number + index) % len(orders)]} {section['description']}"
        return json.dumps(said)

    caption = accepted(run(script, passes=passes)[0])
    assert "drop_sentence:prompt_echo" in caption.repairs
    assert "prompt_echo" in caption.flaws
    for order in (sentence for line in orders for sentence in sentences(line) if len(sentence.split()) > 3):
        assert order not in caption.long_text


def test_lists_keep_their_lines_beside_an_order() -> None:
    text = "- A flute plays\n- Never write clock times or the number of a section.\n- Drums beat"
    assert without_instructions("v1", text).split("\n")[::2] == ["- A flute plays", "- Drums beat"]
    assert without_instructions("v1", "A flute plays. \n\n A drum beats.") == "A flute plays. \n\n A drum beats."


def test_only_what_failed_is_asked_for_again() -> None:
    def script(request: Request, number: int) -> str:
        said = good_answer(request)
        if number == 0:
            said["sections"][2]["description"] = ""
            said["sections"][4]["description"] = "As an AI I cannot hear this. I'm sorry."
        return json.dumps(said)

    outcome, generator = run(script)
    caption = accepted(outcome)
    first, second = generator.requests
    assert second.schema is not None
    asked = second.schema["properties"]["sections"]["prefixItems"]
    assert [item["properties"]["start"]["const"] for item in asked] == [60.0, 120.0]
    assert list(second.schema["properties"]) == ["sections"]
    assert second.system == first.system
    assert {"refill:2", "refill:4"} <= set(caption.repairs)
    assert caption.sections[0].description == good_answer(first)["sections"][0]["description"]
    assert caption.sections[2].description == good_answer(second)["sections"][0]["description"]


def test_a_missing_global_is_asked_for_alone() -> None:
    def script(request: Request, number: int) -> str:
        return edited(request, **{"global": ""}) if number == 0 else good(request)

    outcome, generator = run(script)
    caption = accepted(outcome)
    assert generator.requests[1].schema is not None
    assert list(generator.requests[1].schema["properties"]) == ["global", "attributes"]
    assert "refill:global" in caption.repairs
    assert "global_missing" in caption.flaws


def lacking(*indices: int) -> Script:
    """A model that never has a word for these sections of the plain song."""
    starts = {plain_song()[1].sections[i].start_s for i in indices}

    def script(request: Request, number: int) -> str:
        said = good_answer(request)
        said["sections"] = [s for s in said.get("sections", []) if s["start"] not in starts]
        return json.dumps(said)

    return script


def test_what_stays_missing_is_written_from_facts() -> None:
    outcome, generator = run(lacking(1, 5))
    caption = accepted(outcome)
    assert [s.writer for s in caption.sections] == ["model", "rules", "model", "model", "model", "rules"]
    assert {"rules:1", "rules:5"} <= set(caption.repairs)
    assert len(generator.requests) == 3
    assert "section_missing" in caption.flaws


def test_too_much_written_from_facts_is_refused() -> None:
    outcome, _ = run(lacking(1, 3, 5))
    assert outcome.status is Status.REJECTED
    assert outcome.reason is Reason.CAPTION_INVALID
    assert outcome.record is not None
    assert "3 of 6 sections" in (outcome.detail or "")
    assert "34%" in (outcome.detail or "")
    outcome, _ = run(lacking(1, 3, 5), max_rules_share=0.5)
    accepted(outcome)


def test_no_refills_where_none_are_wanted() -> None:
    outcome, generator = run(lacking(1), max_refills=0)
    accepted(outcome)
    assert len(generator.requests) == 1


@pytest.mark.parametrize("facts", ["both", "none"])
@pytest.mark.parametrize("passes", ["one", "two"])
def test_refusal_everywhere(passes: str, facts: str) -> None:
    outcome, _ = run(refusal, passes=passes, facts=facts)
    assert outcome.status is Status.FAILED
    assert outcome.reason is Reason.CAPTION_REFUSED


def test_contradicted_facts_are_dropped() -> None:
    def script(request: Request, number: int) -> str:
        said = good_answer(request)
        said["global"] = f"The tempo is 151 BPM in the key of E major. {said['global']}"
        return json.dumps(said)

    caption = accepted(run(script)[0])
    assert "151" not in caption.long_text
    assert "E major" not in caption.long_text
    assert {"bpm", "key"} & set(caption.flaws)


@pytest.mark.parametrize(
    ("share", "is_heard"), [(1.0, True), (0.9995, True), (0.9, False), (1 / 6, False), (0.0, False), (2.0, True)]
)
def test_dropped_audio_is_noticed(share: float, is_heard: bool) -> None:
    outcome, _ = run(lambda request, number: heard(request, good(request), share))
    if is_heard:
        assert accepted(outcome).heard_s == 180.0
        return
    assert outcome.status is Status.FAILED
    assert outcome.reason is Reason.AUDIO_NOT_HEARD
    assert f"{int(share * 2467)} audio tokens of 2467" in (outcome.detail or "")
    assert "hears_s" in (outcome.detail or "")


def test_dropped_audio_of_a_single_window_is_noticed() -> None:
    def script(request: Request, number: int) -> Answer:
        return heard(request, good(request), 0.5 if number == 2 else 1.0)

    outcome, _ = run(script, model=small_ears(45.0))
    assert outcome.reason is Reason.AUDIO_NOT_HEARD


def test_a_failed_question_fails_the_track_alone() -> None:
    class Down:
        def generate(self, request: Request) -> Answer:
            raise GenerationError(Reason.TIMEOUT, "no answer after 600 s")

    audio, structure = plain_song()
    captioner = ModelCaptioner(ModelCaptions(captioner="server"), Down())
    outcome = captioner.caption(audio, structure, 0, Path())
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.TIMEOUT)


def test_a_song_beyond_the_context_is_not_sent() -> None:
    outcome, generator = run(good, model=small_ears(300.0, context_tokens=4096), passes="one")
    assert outcome.reason is Reason.PROMPT_TOO_LONG
    assert "context_tokens 4096" in (outcome.detail or "")
    assert generator.requests == []
    outcome, _ = run(good, model=small_ears(300.0, context_tokens=1024))
    assert outcome.reason is Reason.PROMPT_TOO_LONG


def test_one_pass_of_a_song_that_is_not_heard_whole_is_not_tried() -> None:
    outcome, generator = run(good, model=small_ears(30.0), passes="one")
    assert outcome.reason is Reason.AUDIO_NOT_HEARD
    assert "180 s" in (outcome.detail or "")
    assert "30 s" in (outcome.detail or "")
    assert generator.requests == []


def test_cut_off_answers_keep_what_is_whole() -> None:
    def script(request: Request, number: int) -> str | Answer:
        text = good(request)
        return heard(request, text[: len(text) * 2 // 3], finish="length") if number == 0 else text

    caption = accepted(run(script)[0])
    assert "length" in caption.flaws
    refilled = {repair for repair in caption.repairs if repair.startswith("refill:")}
    assert "refill:0" not in refilled
    assert refilled


def test_two_passes_hear_windows_and_merge_without_audio() -> None:
    outcome, generator = run(good, model=small_ears(45.0))
    caption = accepted(outcome)
    assert caption.prompt == "v1/both/two"
    assert caption.model == "org/small@abc123"
    notes = [request for request in generator.requests if request.audio is not None]
    (merge,) = [request for request in generator.requests if request.audio is None]
    assert len(notes) == 6
    assert all(request.audio is not None and request.audio.duration_s <= 45.0 for request in notes)
    assert not any(request.audio is not None and request.audio.whole for request in notes)
    assert generator.requests[-1] is merge
    for request in notes:
        for section in good_answer(request)["sections"]:
            assert section["description"][:80] in merge.text
    assert caption.heard_s == 180.0
    said = good_answer(merge)
    assert caption.sections[0].description == said["sections"][0]["description"]


def test_a_merge_may_not_add() -> None:
    def script(request: Request, number: int) -> str:
        said = good_answer(request)
        if request.audio is None:
            for section in said["sections"]:
                section["description"] += " A saxophone joins in. Tender violin lines weave."
            said["attributes"]["instruments"].append("saxophone")
            said["attributes"]["vocals"] = "choir"
        else:
            for section in said["sections"]:
                section["description"] = "A muted guitar and a cello; soft piano chords."
            said["global"] = "Strings and a warm organ, with flute, harp, horn, marimba, oboe and clarinet heard."
        return json.dumps(said)

    caption = accepted(run(script, passes="two")[0])
    assert "saxophone" not in caption.long_text
    assert "saxophone" not in caption.attributes.instruments
    assert caption.attributes.vocals in ("unknown", "none")
    assert "voice" not in caption.long_text
    assert "drop_sentence:unnoted" in caption.repairs


def test_a_section_nobody_noted_is_not_made_up() -> None:
    def script(request: Request, number: int) -> str:
        return lacking(2)(request, number) if request.audio is not None else good(request)

    outcome, generator = run(script, passes="two")
    caption = accepted(outcome)
    assert caption.sections[2].writer == "rules"
    for request in generator.requests:
        if request.audio is None:
            assert request.schema is not None
            starts = [
                i["properties"]["start"]["const"] for i in request.schema["properties"]["sections"]["prefixItems"]
            ]
            assert 60.0 not in starts


LONG = {
    "three seconds": (1, 3.0, None),
    "one section": (1, 200.0, None),
    "forty sections": (40, 700.0, None),
    "ninety minutes": (300, 5400.0, None),
    "thirty second ears": (12, 250.0, 30.0),
}


@pytest.mark.parametrize("facts", ["both", "none"])
@pytest.mark.parametrize("name", LONG)
def test_songs_of_all_sizes(name: str, facts: str) -> None:
    num_sections, duration_s, hears_s = LONG[name]
    audio, structure = random_song(11, num_sections=num_sections, duration_s=duration_s)
    model: dict[str, Any] = {"model": small_ears(hears_s)} if hears_s else {}
    outcome, generator = run(good, (audio, structure), facts=facts, **model)
    limit = hears_s or 655.0
    for request in generator.requests:
        assert request.audio is None or request.audio.duration_s <= limit
        assert request.max_tokens + len(request.text) / 3 < 16384
    if outcome.record is not None:
        assert outcome.record.heard_s == pytest.approx(duration_s, abs=0.1)
    if name == "ninety minutes":
        # Two thousand neutral words of this test's small vocabulary may echo; a reason is an end too.
        assert outcome.status is Status.OK or outcome.detail
        assert outcome.record is not None
        if facts == "both":
            assert len(outcome.record.sections) == 300
        return
    accepted(outcome)


def test_sections_of_the_models_own() -> None:
    outcome, generator = run(good, facts="none")
    caption = accepted(outcome)
    assert not caption.anchored
    assert caption.prompt == "v1/none/one"
    assert caption.sections[0].start_s == 0.0
    assert caption.sections[-1].end_s == 180.0
    assert all(section.letter in "ABC" for section in caption.sections)
    assert "60.0" not in generator.requests[0].text


def test_a_failed_section_of_the_models_own_is_asked_for_by_its_times() -> None:
    def script(request: Request, number: int) -> str:
        said = good_answer(request)
        if number == 0:
            said["sections"][1]["description"] = "Low."
        return json.dumps(said)

    outcome, generator = run(script, facts="none")
    caption = accepted(outcome)
    assert generator.requests[1].schema is not None
    (asked,) = generator.requests[1].schema["properties"]["sections"]["prefixItems"]
    assert asked["properties"]["start"]["const"] == caption.sections[1].start_s
    assert "refill:1" in caption.repairs


def test_too_short_an_answer_is_asked_for_again() -> None:
    def script(request: Request, number: int) -> str:
        return json.dumps(good_answer(request, share=0.45 if number == 0 else 1.2))

    outcome, generator = run(script)
    assert len(generator.requests) > 1
    assert accepted(outcome).num_words >= 250


def test_an_analysis_without_sections_is_a_reason() -> None:
    audio, structure = plain_song()
    outcome, _ = run(good, (audio, replace(structure, sections=())))
    assert outcome.reason is Reason.ANALYSIS_FAILED


def test_sections_in_the_same_words_are_asked_for_again() -> None:
    def script(request: Request, number: int) -> str:
        said = good_answer(request, share=1.2 if number == 0 else 1.0)
        if number == 0:
            said["sections"][1]["description"] = said["sections"][0]["description"]
        return json.dumps(said)

    caption = accepted(run(script)[0])
    assert "refill:1" in caption.repairs
    assert {section.writer for section in caption.sections} == {"model"}


def test_the_system_text_counts_against_the_context() -> None:
    fits, generator = run(good, passes="one")
    accepted(fits)
    (request,) = generator.requests
    audio_tokens = 12.5 * 180.0
    needed = 64 + (len(request.system) + len(request.text)) / 3 + audio_tokens + request.max_tokens
    exact = small_ears(300.0, context_tokens=int(needed) + 2)
    accepted(run(good, model=exact, passes="one")[0])
    short = small_ears(300.0, context_tokens=int(needed) - 2)
    assert run(good, model=short, passes="one")[0].reason is Reason.PROMPT_TOO_LONG
