"""The ablation's instrument, calibrated with writers whose answers are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.caption_readers import Blind, Honest, Obedient
from benchmarks.prompt_arms import ARMS, Row, Song, hits, measure, read
from data_specs.spec import ModelCaptions
from tests.tasks.caption.songs import random_song

SETTINGS = ModelCaptions(captioner="server", min_words=0, max_refills=0)


def sure(seed: int) -> Song:
    """A song whose analysis is sure of everything, so that every claim can be checked."""
    audio, structure = random_song(1000 + seed, num_sections=4 + seed % 7, duration_s=170.0 + seed)
    sections = tuple(
        replace(s, letter_confidence=0.9, changes=tuple(replace(c, confidence=0.9) for c in s.changes))
        for s in structure.sections
    )
    structure = replace(structure, sections=sections, tempo_confidence=0.9, key_confidence=0.9, meter_confidence=0.9)
    borders = (*(s.start_s for s in structure.sections), structure.duration_s)
    return Song(audio=audio, structure=structure, borders_s=borders)


SONGS = [sure(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Row]]:
    records = {song.audio.track_id: (song.audio, song.structure) for song in SONGS}
    writers = {"obedient": Obedient(), "honest": Honest(records), "blind": Blind()}
    return {
        name: {
            arm: measure(SONGS, arm, writer, SETTINGS, Path())
            for arm in (ARMS if name == "obedient" else ("none", "both", "shuffled"))
        }
        for name, writer in writers.items()
    }


def test_an_obedient_reader_follows_what_it_is_told(rows: dict[str, dict[str, Row]]) -> None:
    follows = rows["obedient"]["shuffled"].follows
    assert follows is not None
    assert follows >= 0.98
    contradicted = rows["obedient"]["shuffled"].contradicted
    assert contradicted is not None
    assert contradicted > 0.5


def test_one_who_says_the_truth_does_not(rows: dict[str, dict[str, Row]]) -> None:
    follows = rows["honest"]["shuffled"].follows
    assert follows is not None
    assert follows <= 0.02
    assert rows["honest"]["shuffled"].contradicted == 0


def test_one_who_reads_nothing_is_at_chance(rows: dict[str, dict[str, Row]]) -> None:
    follows = rows["blind"]["shuffled"].follows
    assert follows is not None
    assert 0.35 <= follows <= 0.65


def test_true_facts_make_true_claims_and_no_sides(rows: dict[str, dict[str, Row]]) -> None:
    both = rows["obedient"]["both"]
    assert both.follows is None
    assert both.contradicted == 0
    assert both.claims > 8
    blind = rows["blind"]["both"]
    assert blind.contradicted is not None
    assert blind.contradicted > 0.4


def test_arms_without_facts_give_an_obedient_reader_nothing_to_claim(rows: dict[str, dict[str, Row]]) -> None:
    assert rows["obedient"]["none"].claims == 0
    assert rows["obedient"]["boundaries"].claims == 0
    assert 0 < rows["obedient"]["facts"].claims <= 3


def test_borders_are_measured_where_the_model_chooses_them(rows: dict[str, dict[str, Row]]) -> None:
    for name in rows:
        assert rows[name]["both"].hit_3s is None
        found = rows[name]["none"].hit_3s
        assert found is not None
        assert 0 < found < 0.7, "equal slices hit some borders by chance"


def test_known_borders_score_one() -> None:
    song = SONGS[0]
    entries = [
        {"start": s.start_s, "end": s.end_s, "label": "section", "description": f"Part number {i}."}
        for i, s in enumerate(song.structure.sections)
    ]
    assert hits(read(json.dumps({"sections": entries}), song, False), song) == 1.0
    assert hits(read("no answer", song, False), song) == 0.0
