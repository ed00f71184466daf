"""Captions of many invented analyses: always valid, long enough, stable and unlike each other."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from data_specs.outcomes import Outcome, Status
from data_specs.reasons import Reason
from data_specs.records import Attributes, AudioFacts, Caption, Structure
from data_specs.spec import RulesCaptions
from tasks.caption.captioner import Captioner
from tasks.caption.rules.captioner import RulesCaptioner, write_draft
from tasks.caption.validate import repetition, validate_caption
from tasks.caption.wording import words
from tests.tasks.caption.songs import compared, plain_song, random_song

SETTINGS = RulesCaptions()


def _outcome(
    audio: AudioFacts, structure: Structure, settings: RulesCaptions = SETTINGS, version: int = 0
) -> Outcome[Caption]:
    captioner: Captioner = RulesCaptioner(settings)
    return captioner.caption(audio, structure, version, Path("."))


def _caption(audio: AudioFacts, structure: Structure, settings: RulesCaptions = SETTINGS, version: int = 0) -> Caption:
    caption = _outcome(audio, structure, settings, version).record
    assert caption is not None
    return caption


@pytest.mark.parametrize("block", range(8))
def test_any_song_from_45_s_and_two_sections_on_gives_a_valid_long_caption(block: int) -> None:
    for seed in range(block * 12, block * 12 + 12):
        audio, structure = random_song(10_000 + seed)
        outcome = _outcome(audio, structure)
        if structure.duration_s >= 45 and len(structure.sections) >= 2:
            assert outcome.status is Status.OK, f"seed {seed}: {outcome.detail}"
        else:
            assert outcome.reason in (None, Reason.CAPTION_TOO_SHORT), f"seed {seed}: {outcome.detail}"


@pytest.mark.parametrize("num_sections", [2, 3, 4])
def test_few_sections_are_described_finely_enough(num_sections: int) -> None:
    for seed in range(8):
        audio, structure = random_song(seed, num_sections=num_sections, duration_s=45.0)
        outcome = _outcome(audio, structure)
        assert outcome.status is Status.OK, f"seed {seed}: {outcome.detail}"


def test_length_follows_the_number_of_sections_within_bounds() -> None:
    typical = [_caption(*random_song(seed, num_sections=8, duration_s=210.0)).num_words for seed in range(20)]
    many = [_caption(*random_song(seed, num_sections=40, duration_s=3000.0)).num_words for seed in range(10)]
    assert sorted(typical)[10] <= 450
    assert max(many) < 1100


def test_text_rarely_repeats_itself() -> None:
    captions = [_caption(*random_song(seed)) for seed in range(40)]
    for name in ("long_text", "clock_free_text"):
        shares = sorted(repetition(getattr(caption, name)) for caption in captions)
        assert shares[20] < 0.03
        assert shares[-1] < 0.12
    assert all(caption.repetition == repetition(caption.clock_free_text) for caption in captions)


def test_tracks_from_two_minutes_on_and_two_sections_get_their_words() -> None:
    songs = [random_song(seed) for seed in range(60)]
    long = [(a, s) for a, s in songs if s.duration_s >= 120 and len(s.sections) >= 2]
    assert len(long) > 20
    assert min(_caption(*song).num_words for song in long) >= 250


def test_a_short_track_is_not_padded() -> None:
    words_of = {
        duration_s: _caption(*random_song(4, num_sections=4, duration_s=duration_s)).num_words
        for duration_s in (30.0, 240.0)
    }
    assert words_of[30.0] < words_of[240.0]


def test_the_draft_has_no_clock_times_and_only_measured_attributes() -> None:
    audio, structure = plain_song()
    draft = write_draft(audio, structure, "seed", 250)
    assert draft.anchored
    assert not re.search(r"\d:\d\d", " ".join([draft.global_text, *(s.description for s in draft.sections)]))
    assert draft.attributes == Attributes(tempo_word="relaxed")
    unsure = write_draft(audio, replace(structure, tempo_confidence=0.1), "seed", 250)
    assert unsure.attributes == Attributes()


def test_a_varied_return_and_another_key_are_said() -> None:
    audio, structure = plain_song()
    sections = list(structure.sections)
    sections[2] = replace(sections[2], variant=1)
    sections[4] = replace(sections[4], key="C minor", key_confidence=0.9)
    caption = _caption(audio, replace(structure, sections=compared(tuple(sections))))
    assert re.search(r"varied|variant|variations|not unchanged|another form", caption.sections[2].description)
    assert "C minor" in caption.sections[4].description
    assert "A minor" in caption.sections[5].description
    plain = _caption(audio, structure)
    assert not re.search(r"varied|variant|C minor", plain.long_text)


def test_an_unsure_return_is_hedged() -> None:
    audio, structure = plain_song()
    sections = (*structure.sections[:2], replace(structure.sections[2], letter_confidence=0.2), *structure.sections[3:])
    hedges = r"close to|seems to be|much like|as far as can be told|resembles"
    unsure = _caption(audio, replace(structure, sections=sections))
    assert re.search(hedges, unsure.sections[2].description)
    assert not any(re.search(hedges, s.description) for i, s in enumerate(unsure.sections) if i != 2)


def test_labels_of_an_engine_stand_in_the_texts() -> None:
    audio, structure = plain_song()
    labels = ("intro", "verse", "chorus", "verse", "chorus", "outro")
    sections = tuple(replace(s, label=label) for s, label in zip(structure.sections, labels, strict=True))
    outcome = _outcome(audio, replace(structure, sections=sections))
    assert outcome.status is Status.OK, outcome.detail
    assert outcome.record is not None
    assert re.search(r"the second (?:verse|chorus) \([AB]\)|the (?:intro|outro) \([AB]\)", outcome.record.global_text)
    for paragraph, label in zip(outcome.record.long_text.split("\n\n")[1:], labels, strict=True):
        assert f"the {label}" in paragraph.casefold()


def test_a_near_silent_section_or_track_gets_true_words_or_a_reason() -> None:
    for num_sections, duration_s in ((1, 3.0), (1, 5400.0), (40, 5400.0)):
        for seed in range(10):
            outcome = _outcome(*random_song(seed, num_sections=num_sections, duration_s=duration_s))
            assert outcome.reason in (None, Reason.CAPTION_TOO_SHORT), outcome.detail


def test_sections_copy_the_analysis() -> None:
    audio, structure = plain_song()
    caption = _caption(audio, structure)
    for said, known in zip(caption.sections, structure.sections, strict=True):
        assert (said.start_s, said.end_s, said.label, said.letter) == (
            known.start_s,
            known.end_s,
            known.label,
            known.letter,
        )


def test_same_input_same_text_in_every_process() -> None:
    code = (
        "from tests.tasks.caption.songs import random_song\n"
        "from pathlib import Path\n"
        "from tasks.caption.rules.captioner import RulesCaptioner\n"
        "from data_specs.spec import RulesCaptions\n"
        "song = random_song(5, num_sections=9, duration_s=200.0)\n"
        "print(RulesCaptioner(RulesCaptions()).caption(*song, 0, Path('.')).record.long_text)"
    )
    expected = _caption(*random_song(5, num_sections=9, duration_s=200.0)).long_text
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": hash_seed}
        )
        assert done.stdout.strip() == expected


def test_seed_and_track_choose_the_wording_but_not_the_facts() -> None:
    audio, structure = plain_song()
    one = _caption(audio, structure)
    other_seed = _caption(audio, structure, RulesCaptions(seed=1))
    other_track = _caption(replace(audio, track_id="other"), replace(structure, track_id="other"))
    anew = _caption(audio, structure, version=1)
    captions = (one, other_seed, other_track, anew)
    assert len({caption.long_text for caption in captions}) == 4
    assert [caption.version for caption in captions] == [0, 0, 0, 1]
    for caption in captions:
        assert "96 BPM" in caption.long_text
        assert "A minor" in caption.long_text


def test_a_hundred_songs_read_differently() -> None:
    captions = [
        _caption(*random_song(seed, num_sections=4 + seed % 8, duration_s=60.0 + seed)).long_text for seed in range(100)
    ]
    openings = Counter(" ".join(text.split()[:4]) for text in captions)
    assert len({text.split(". ")[0] for text in captions}) >= 95
    assert openings.most_common(1)[0][1] <= 12
    pairs = [pair for text in captions for pair in zip(words(text), words(text)[1:], strict=False)]
    assert len(set(pairs)) / len(pairs) > 0.1


def test_too_short_is_rejected_with_record_and_numbers() -> None:
    audio, structure = plain_song()
    outcome = _outcome(audio, structure, RulesCaptions(min_words=5000))
    assert outcome.status is Status.REJECTED
    assert outcome.reason is Reason.CAPTION_TOO_SHORT
    assert outcome.detail is not None
    assert "words_min" in outcome.detail
    assert "5000" in outcome.detail


def test_longer_form_than_letters_in_the_alphabet() -> None:
    audio, structure = random_song(3, num_sections=40, duration_s=1200.0)
    renamed = tuple(replace(s, letter=f"A{i}" if i > 25 else chr(65 + i)) for i, s in enumerate(structure.sections))
    caption = _caption(audio, replace(structure, sections=renamed))
    assert validate_caption(caption, audio, replace(structure, sections=renamed), 250) == []


def test_no_sections_is_an_error_that_names_the_track() -> None:
    audio, structure = plain_song()
    with pytest.raises(ValueError, match="plain has no sections"):
        _outcome(audio, replace(structure, sections=()))
