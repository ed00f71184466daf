"""Captions of many invented analyses: always valid, long enough, stable and unlike each other."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from data_specs.outcomes import Status
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Caption, Structure
from data_specs.spec import CaptionSettings
from tasks.caption import build_captioner, caption_track, validate_caption
from tasks.caption.validate import repetition
from tasks.caption.wording import words
from tests.tasks.caption.songs import plain_song, random_song

SETTINGS = CaptionSettings()


def _caption(audio: AudioFacts, structure: Structure, settings: CaptionSettings = SETTINGS) -> Caption:
    caption = caption_track(audio, structure, settings).record
    assert caption is not None
    return caption


@pytest.mark.parametrize("block", range(8))
def test_any_song_from_45_s_and_two_sections_on_gives_a_valid_long_caption(block: int) -> None:
    for seed in range(block * 25, block * 25 + 25):
        audio, structure = random_song(10_000 + seed)
        outcome = caption_track(audio, structure, SETTINGS)
        if structure.duration_s >= 45 and len(structure.sections) >= 2:
            assert outcome.status is Status.OK, f"seed {seed}: {outcome.detail}"
        else:
            assert outcome.reason in (None, Reason.CAPTION_TOO_SHORT), f"seed {seed}: {outcome.detail}"


@pytest.mark.parametrize("num_sections", [2, 3, 4])
def test_few_sections_are_described_finely_enough(num_sections: int) -> None:
    for seed in range(20):
        audio, structure = random_song(seed, num_sections=num_sections, duration_s=45.0)
        outcome = caption_track(audio, structure, SETTINGS)
        assert outcome.status is Status.OK, f"seed {seed}: {outcome.detail}"


def test_length_follows_the_number_of_sections_within_bounds() -> None:
    typical = [_caption(*random_song(seed, num_sections=8, duration_s=210.0)).num_words for seed in range(20)]
    many = [_caption(*random_song(seed, num_sections=40, duration_s=3000.0)).num_words for seed in range(10)]
    assert sorted(typical)[10] <= 450
    assert max(many) < 920


def test_text_rarely_repeats_itself() -> None:
    shares = sorted(repetition(_caption(*random_song(seed)).long_text) for seed in range(60))
    assert shares[30] < 0.05
    assert shares[-1] <= 0.15


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
        "from tasks.caption import caption_track\n"
        "from data_specs.spec import CaptionSettings\n"
        "print(caption_track(*random_song(5, num_sections=9, duration_s=200.0), CaptionSettings()).record.long_text)"
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
    other_seed = _caption(audio, structure, CaptionSettings(seed=1))
    other_track = _caption(replace(audio, track_id="other"), replace(structure, track_id="other"))
    assert len({one.long_text, other_seed.long_text, other_track.long_text}) == 3
    for caption in (one, other_seed, other_track):
        assert "96 BPM" in caption.long_text
        assert "A minor" in caption.long_text


def test_two_hundred_songs_read_differently() -> None:
    captions = [
        _caption(*random_song(seed, num_sections=4 + seed % 8, duration_s=60.0 + seed)).long_text for seed in range(200)
    ]
    openings = Counter(" ".join(text.split()[:4]) for text in captions)
    assert len({text.split(". ")[0] for text in captions}) >= 190
    assert openings.most_common(1)[0][1] <= 24
    pairs = [pair for text in captions for pair in zip(words(text), words(text)[1:], strict=False)]
    assert len(set(pairs)) / len(pairs) > 0.08


def test_too_short_is_rejected_with_record_and_numbers() -> None:
    audio, structure = plain_song()
    outcome = caption_track(audio, structure, CaptionSettings(min_words=5000))
    assert outcome.status is Status.REJECTED
    assert outcome.reason is Reason.CAPTION_TOO_SHORT
    assert outcome.detail is not None
    assert "words_min" in outcome.detail
    assert "5000" in outcome.detail


class _Boastful:
    """A captioner that names a chorus and a wrong tempo."""

    name = "boastful"
    version = "1"

    def caption(self, audio: AudioFacts, structure: Structure) -> Caption:
        caption = build_captioner(SETTINGS).caption(audio, structure)
        text = caption.global_text + " The chorus runs at 131 BPM."
        return replace(caption, global_text=text)


def test_every_captioner_is_validated() -> None:
    audio, structure = plain_song()
    outcome = caption_track(audio, structure, SETTINGS, _Boastful())
    assert outcome.reason is Reason.CAPTION_INVALID
    assert outcome.detail is not None
    assert "bpm: 131 BPM" in outcome.detail
    assert "function_name" in outcome.detail


def test_longer_form_than_letters_in_the_alphabet() -> None:
    audio, structure = random_song(3, num_sections=40, duration_s=1200.0)
    renamed = tuple(replace(s, letter=f"A{i}" if i > 25 else chr(65 + i)) for i, s in enumerate(structure.sections))
    caption = _caption(audio, replace(structure, sections=renamed))
    assert validate_caption(caption, audio, replace(structure, sections=renamed), 250) == []


def test_no_sections_is_an_error_that_names_the_track() -> None:
    audio, structure = plain_song()
    with pytest.raises(ValueError, match="plain has no sections"):
        caption_track(audio, replace(structure, sections=()), SETTINGS)
