"""Reads the sentences back and compares every number and claim with the records."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from data_specs.records import AudioFacts, Caption, ChordSpan, Section, Structure
from data_specs.spec import RulesCaptions
from tasks.caption.bands import BASS, BRIGHTNESS, DENSITY, LOUDNESS, PERCUSSION, TEMPO, Bands
from tasks.caption.facts import CHORDS_SURE, KEY_SURE, TEMPO_SURE, gather_facts
from tasks.caption.rules.captioner import RulesCaptioner
from tasks.caption.wording import spoken_duration
from tests.tasks.caption.songs import plain_song, random_song

SONGS = [random_song(seed, num_sections=2 + seed % 11, duration_s=50.0 + 7 * seed) for seed in range(60)]
LEAD = re.compile(r"^\D*?(\d+):(\d\d)\D+?(\d+):(\d\d)(?:, |: )", re.MULTILINE)


def _caption(audio: AudioFacts, structure: Structure) -> Caption:
    caption = RulesCaptioner(RulesCaptions()).caption(audio, structure, 0, Path(".")).record
    assert caption is not None
    return caption


CAPTIONS = [(audio, structure, _caption(audio, structure)) for audio, structure in SONGS]


def _each_section() -> list[tuple[Structure, int, Section, str]]:
    return [
        (structure, index, structure.sections[index], said.description)
        for _, structure, caption in CAPTIONS
        for index, said in enumerate(caption.sections)
    ]


def test_clock_times_are_the_borders_in_order() -> None:
    for _, structure, caption in CAPTIONS:
        found = [tuple(map(int, m)) for m in LEAD.findall(caption.long_text)]
        expected = [(*divmod(round(s.start_s), 60), *divmod(round(s.end_s), 60)) for s in structure.sections]
        assert found == expected
        assert spoken_duration(structure.duration_s) in caption.global_text.casefold()


def test_clock_free_text_keeps_order_without_clock() -> None:
    for _, _, caption in CAPTIONS:
        assert ":" not in re.sub(r": ", " ", caption.clock_free_text)
        at = 0
        for section in caption.sections:
            at = caption.clock_free_text.casefold().index(section.description.casefold(), at) + 1


def test_tempo_is_a_number_only_when_sure() -> None:
    for _, structure, caption in CAPTIONS:
        numbers = {int(m) for m in re.findall(r"(\d+) BPM", caption.long_text)}
        if structure.tempo_confidence < TEMPO_SURE:
            assert not numbers
            assert " bar" not in caption.long_text
        else:
            readings = {round(structure.tempo_bpm), *map(round, structure.tempo_alternatives)}
            assert f"{structure.tempo_bpm:.0f} BPM" in caption.long_text
            assert numbers <= readings
        assert TEMPO.word(structure.tempo_bpm) in caption.global_text.lower()


def test_key_is_named_only_when_sure_and_is_the_analysed_one() -> None:
    for _, structure, caption in CAPTIONS:
        named = set(re.findall(r"\b[A-G][#b]? (?:major|minor)\b", caption.long_text))
        sure = {s.key for s in structure.sections if s.key and s.key_confidence >= KEY_SURE}
        home = {structure.key} if structure.key_confidence >= KEY_SURE else set()
        assert home <= named <= home | sure


def test_loudness_is_the_measured_one() -> None:
    for audio, _, caption in CAPTIONS:
        named = re.findall(r"(-?\d+) LUFS", caption.global_text)
        if audio.loudness_lufs is None:
            assert set(named) <= {"-70"}
        else:
            assert named == [f"{audio.loudness_lufs:.0f}"]
            assert LOUDNESS.word(audio.loudness_lufs) in caption.global_text.lower()


def test_form_letters_and_counts() -> None:
    for _, structure, caption in CAPTIONS:
        letters = [s.letter for s in structure.sections]
        form = re.search(r"(?:[Ff]orm|plan|it) (?:runs|reads|is) ((?:[A-Z], )*[A-Z])\b", caption.global_text)
        assert form is not None
        assert form[1].split(", ") == letters


def test_every_passage_names_its_letter_and_says_whether_it_returns() -> None:
    for structure, index, section, text in _each_section():
        first = re.split(r"(?<=[.])\s", text)[0]
        assert re.search(rf"(?:section|lettered) {section.letter}\b", first, re.IGNORECASE), text
        before = [s.letter for s in structure.sections[:index]]
        returns = section.letter in before and before[-1] != section.letter
        assert bool(re.search(r"\b(?:returns|comes back|recurs|reappears|is back|brings back)\b", first)) == returns, (
            text
        )


def test_level_changes_against_the_section_before() -> None:
    checked = 0
    up = r"(?:rises|climbs|goes up|swells|lifts|steps up)(?: by)?"
    down = r"(?:falls|sinks|goes down|recedes|drops|dips|decreases|steps down)(?: by)?"
    either = r"grows(?: by)?|gets|becomes|plays|is|sounds"
    for structure, index, section, text in _each_section():
        first = re.split(r"(?<=[.])\s", text)[0]
        for verb, number, word in re.findall(rf"({up}|{down}|{either}) (\d+) dB(?: (louder|softer))?", first):
            difference = section.loudness_db - structure.sections[index - 1].loudness_db
            rising = word == "louder" if word else not re.fullmatch(down, verb)
            assert rising == (difference > 0), text
            assert abs(abs(difference) - int(number)) <= 0.5
            assert abs(difference) >= 2
            checked += 1
    assert checked > 60


def test_levels_against_the_track() -> None:
    checked = 0
    pattern = (
        r"(\d+) dB (louder than the track's|above the track's|louder than the piece|over the average"
        r"|softer than the track's|below the track's|softer than the piece|under the average)"
    )
    for _, _, section, text in _each_section():
        for number, side in re.findall(pattern, text):
            sign = 1 if side.startswith(("louder", "above", "over")) else -1
            assert abs(sign * int(number) - section.loudness_db) <= 0.5, text
            checked += 1
    assert checked > 60


def test_onset_rates_and_brightness() -> None:
    checked = 0
    for _, _, section, text in _each_section():
        for number in re.findall(r"([\d.]+) (?:note )?onsets (?:per|a) second", text):
            assert float(number) == pytest.approx(
                section.onset_rate_hz, abs=0.51 if section.onset_rate_hz > 9 else 0.051
            )
            checked += 1
        for number in re.findall(r"([\d,]+) Hz(?! it| holds| has)", text):
            if number != "150":
                assert float(number.replace(",", "")) == pytest.approx(section.brightness_hz, abs=51)
                checked += 1
    assert checked > 60


@pytest.mark.parametrize(
    ("bands", "field", "pattern"),
    [
        (DENSITY, "onset_rate_hz", "{} (?:texture|in texture|and (?:dark|warm|balanced|bright|brilliant))"),
        (BRIGHTNESS, "brightness_hz", "{} (?:tone|in tone)"),
        (PERCUSSION, "percussion", "{}"),
        (BASS, "bass", "{}"),
    ],
    ids=["density", "brightness", "percussion", "bass"],
)
def test_band_words_are_those_of_the_measurement(bands: Bands, field: str, pattern: str) -> None:
    checked = 0
    for _, _, section, text in _each_section():
        expected = bands.word(getattr(section, field))
        for word in bands.words:
            longer = [w for w in bands.words if w != word and w.endswith(word)]
            guard = "".join(f"(?<!{w[: -len(word)]})" for w in longer)
            if re.search(guard + r"(?<![\w-])" + pattern.format(word), text, re.IGNORECASE):
                assert word == expected, f"{word} for {getattr(section, field)}: {text}"
                checked += 1
    assert checked > 60


def test_percussion_enters_and_leaves_only_across_the_gap() -> None:
    entered = left = 0
    for structure, index, section, text in _each_section():
        before = structure.sections[index - 1].percussion
        if re.search(r"percussion (?:enters|comes in|joins|sets in)", text):
            assert before < 0.15
            assert section.percussion >= 0.3
            entered += 1
        if re.search(r"percussion (?:drops out|falls away|stops|drops away)\b", text):
            assert before >= 0.3
            assert section.percussion < 0.15
            left += 1
    assert entered > 5
    assert left > 5


def test_chords_only_when_sure() -> None:
    checked = 0
    for _, _, section, text in _each_section():
        loops = re.findall(r"\b[A-G][#b]?m?(?:-[A-G][#b]?m?)+\b", text)
        for loop in loops:
            assert tuple(loop.split("-")) == section.chords
            assert section.chords_confidence >= CHORDS_SURE
            checked += 1
    assert checked > 30


def test_superlatives_name_the_right_section() -> None:
    fields = {"loudest": "loudness_db", "densest": "onset_rate_hz", "brightest": "brightness_hz"}
    checked = 0
    for _, structure, caption in CAPTIONS:
        for letter, adjectives in re.findall(
            r"(?:section|intro|outro) \(([A-Z])\)(?: is)? the ((?:\w+est(?:, | and )?)+)", caption.global_text
        ):
            for adjective in re.findall(r"\w+est", adjectives):
                if adjective in fields:
                    best = max(structure.sections, key=lambda s, name=fields[adjective]: getattr(s, name))
                    assert best.letter == letter, caption.global_text
                    checked += 1
    assert checked > 20


def test_bars_are_the_counted_ones() -> None:
    audio, structure = plain_song()
    for section, said in zip(structure.sections, _caption(audio, structure).sections, strict=True):
        assert {8: "eight bars", 16: "sixteen bars"}[section.num_bars] in said.description


def test_nothing_is_counted_in_bars_where_the_meter_is_unsure() -> None:
    audio, structure = plain_song()
    text = _caption(audio, replace(structure, meter_confidence=0.4)).long_text
    assert "BPM" in text
    assert not re.search(r"\bbars?\b", text)
    assert "Am-F-C-G" not in text


def test_one_chord_throughout_does_not_change() -> None:
    audio, structure = plain_song()
    chord = ChordSpan(start_s=0.0, end_s=structure.duration_s, name="Dm", confidence=0.9)
    one = replace(structure, sections=structure.sections[:1], chords=(chord,))
    facts = gather_facts(audio, one)
    assert facts.chord_s is None
    other = replace(chord, start_s=60.0, name="C")
    facts = gather_facts(audio, replace(one, chords=(replace(chord, end_s=60.0), other)))
    assert facts.chord_s == pytest.approx(structure.duration_s / 2)


def test_unsure_analysis_names_neither_number_nor_key_nor_chord() -> None:
    audio, structure = plain_song()
    unsure = replace(
        structure,
        tempo_confidence=0.1,
        key_confidence=0.1,
        sections=tuple(replace(s, chords_confidence=0.1) for s in structure.sections),
    )
    text = _caption(audio, unsure).long_text
    assert "BPM" not in text
    assert "A minor" not in text
    assert "Am-F-C-G" not in text
    assert "relaxed" in text


def test_never_claims_what_was_not_measured() -> None:
    forbidden = r"\b(?:chorus|verse|vocals?|singer|guitar|piano|drums|sad|happy|melancholic|energetic|genre)\b"
    for _, _, caption in CAPTIONS:
        assert not re.search(forbidden, caption.long_text, re.IGNORECASE)
