from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from tasks.demo.beats import PATTERNS
from tasks.demo.drums import SOUNDS
from tasks.demo.harmony import chord_on, scale_pitches
from tasks.demo.instruments import TIMBRES
from tasks.demo.score import Key, Mode, Song
from tasks.demo.song import compose, identify


@pytest.fixture(scope="module")
def songs() -> list[Song]:
    return [compose(0, index) for index in range(60)]


def test_a_song_follows_from_seed_and_index_in_any_process() -> None:
    program = "from tasks.demo.song import compose; print(compose(3, 5))"
    # Another hash seed would show any use of Python's own hash().
    printed = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == str(compose(3, 5))
    assert compose(3, 5) != compose(4, 5)


def test_durations_keys_and_tempos_are_in_range(songs: list[Song]) -> None:
    for song in songs:
        assert 45.0 <= song.duration_s <= 120.0
        assert 60.0 <= song.tempo_bpm <= 180.0
        assert 0 <= song.key.tonic < 12
    assert len({str(song.key) for song in songs}) > 15


@pytest.mark.parametrize("bounds_s", [(5.0, 5.0), (8.0, 10.0), (29.9999, 30.0001), (300.0, 300.0), (600.0, 600.0)])
def test_any_duration_the_spec_allows_can_be_composed(bounds_s: tuple[float, float]) -> None:
    for index in range(12):
        song = compose(1, index, *bounds_s)
        assert bounds_s[0] <= song.duration_s <= bounds_s[1]
        assert 60.0 <= song.tempo_bpm <= 180.0 + 1e-9


def test_sections_tile_the_song_in_whole_bars(songs: list[Song]) -> None:
    for song in songs:
        assert song.sections[0].start_s == 0.0
        assert song.sections[-1].end_s == song.duration_s
        assert tuple(section.letter for section in song.sections) == song.form
        bar_s = song.beats_per_bar * 60.0 / song.tempo_bpm
        for section, following in zip(song.sections, song.sections[1:], strict=False):
            assert section.end_s == following.start_s
            assert section.num_bars % 4 == 0
            assert math.isclose(section.end_s - section.start_s, section.num_bars * bar_s, rel_tol=1e-9)
        assert len(song.downbeats_s) == sum(section.num_bars for section in song.sections)


def test_everything_played_is_known_and_inside_the_song(songs: list[Song]) -> None:
    for song in songs:
        assert all(section.drums in PATTERNS for section in song.sections)
        for part in song.parts:
            assert part.instrument in TIMBRES
            assert all(0.0 <= note.start_s < song.duration_s and note.duration_s > 0 for note in part.notes)
            assert all(24 <= note.pitch <= 103 and 0.0 < note.velocity <= 1.0 for note in part.notes)
        if song.drums is not None:
            assert {hit.sound for hit in song.drums.hits} <= set(SOUNDS)


def test_songs_differ_as_songs_do(songs: list[Song]) -> None:
    assert len({song.form for song in songs}) > 8
    assert len({song.labels for song in songs}) > 8
    assert 5 < sum(song.drums is None for song in songs) < 30
    assert any(song.swing > 0.5 for song in songs)
    assert any(song.beats_per_bar == 3 for song in songs)
    assert max(Counter(song.title for song in songs).values()) <= 3


def test_letters_differ_and_returning_letters_do_not(songs: list[Song]) -> None:
    for song in songs:
        facts = {(s.letter, s.chords, s.instruments, s.drums, s.level) for s in song.sections}
        assert len(facts) == len(set(song.form))
        body = {(s.letter, s.chords) for s in song.sections if s.letter not in "IO"}
        assert len({chords for _, chords in body}) == len(body)


def test_identify_agrees_with_compose() -> None:
    identity, song = identify(9, 123), compose(9, 123)
    assert (identity.title, identity.artist, identity.labels) == (song.title, song.artist, song.labels)


def test_chords_are_diatonic_but_for_the_leading_tone() -> None:
    a_minor, d_major = Key(tonic=9, mode=Mode.MINOR), Key(tonic=2, mode=Mode.MAJOR)
    assert [chord_on(a_minor, degree).symbol for degree in range(7)] == ["Am", "Bdim", "C", "Dm", "E", "F", "G"]
    assert [chord_on(d_major, degree).symbol for degree in range(7)] == ["D", "Em", "F#m", "G", "A", "Bm", "C#dim"]
    assert np.array_equal(np.array(scale_pitches(d_major, 60, 67)), [61, 62, 64, 66, 67])
