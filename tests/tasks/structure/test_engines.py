"""Beats and sections of other engines: their files, what is wrong with files, what they change in the record."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from data_specs.outcomes import Status
from data_specs.reasons import Reason
from data_specs.records import LABELS
from data_specs.settings import SpecError
from data_specs.spec import StructureSettings
from tasks.structure.analyse import ENGINE, analyse, analyse_track
from tasks.structure.bars import edges_through
from tasks.structure.engines.beat_this import BeatThis
from tasks.structure.engines.choose import Given, engines_identity, read_given, track_identity
from tasks.structure.engines.given import EngineFileError, GivenBeats, GivenSections
from tasks.structure.engines.songformer import SongFormer, known_label
from tests.tasks.structure import blocks
from tests.tasks.structure.test_analyse import _facts

DURATION_S = 60.0


def _write_beats(path: Path, times_s: np.ndarray, first: int = 1, per_bar: int = 4) -> None:
    """As ``save_beat_tsv`` of beat_this writes them: a float, a tab, a count that begins anew with each bar."""
    path.write_text("".join(f"{time}\t{(first - 1 + i) % per_bar + 1}\n" for i, time in enumerate(times_s)))


def test_beats_with_an_upbeat_are_read(tmp_path: Path) -> None:
    _write_beats(tmp_path / "t.beats", np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0]), first=4)
    found = BeatThis().read(tmp_path / "t.beats", DURATION_S)
    assert found == GivenBeats(beats_s=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0), downbeats_s=(1.0, 3.0))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["t.beats: no beats"]),
        ("0.5\t1\n0.5\t2\n", [":2:", "0.5 s does not come after the one at 0.5 s"]),
        ("1.0\t1\n0.5\t2\n", [":2:", "0.5 s does not come after the one at 1 s"]),
        ("0.5\t1\n1.0\t3\n", [":2:", "beat 3", "not 1 or 2"]),
        ("0.5 1\n", [":1:", "expected time, tab"]),
        ("0.5\t1\t1\n", [":1:", "expected time, tab"]),
        ("half\t1\n", [":1:", "'half' is not a time"]),
        ("nan\t1\n", [":1:", "nan s is not within 0 and 60.00 s"]),
        ("-0.1\t1\n", [":1:", "-0.1 s is not within"]),
        ("62.1\t1\n", [":1:", "62.1 s is not within 0 and 60.00 s"]),
        ("0.5\t0\n", [":1:", "'0' is not a whole number from 1"]),
        ("0.5\t1.0\n", [":1:", "'1.0' is not a whole number"]),
    ],
)
def test_broken_beats_are_named_with_line_value_and_fix(tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "t.beats").write_text(text)
    with pytest.raises(EngineFileError) as error:
        BeatThis().read(tmp_path / "t.beats", DURATION_S)
    assert error.value.reason is Reason.ANALYSIS_FAILED
    assert all(word in str(error.value) for word in ["t.beats", *words])
    assert "beat_this" in str(error.value) or "run the engine" in str(error.value)


_TEXT = "0.0 intro\n10.5 verse\n30.25 pre-chorus\n35.0 chorus\n50 inst\n55 silence\n59.9 end\n"
_SECTIONS = GivenSections(
    borders_s=(0.0, 10.5, 30.25, 35.0, 50.0, 55.0, 60.0),
    labels=("intro", "verse", "pre-chorus", "chorus", "instrumental", "silence"),
)


def test_both_formats_of_songformer_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(_TEXT)
    rows = [line.split() for line in _TEXT.splitlines()]
    items = [{"label": label, "start": float(start), "end": float(end)} for (start, label), (end, _) in pairwise(rows)]
    (tmp_path / "t.json").write_text(json.dumps(items, indent=4))
    assert SongFormer().read(tmp_path / "t.txt", DURATION_S) == _SECTIONS
    assert SongFormer().read(tmp_path / "t.json", DURATION_S) == _SECTIONS


def test_sections_in_the_padding_after_the_end_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("0.0 verse\n60.4 silence\n61.2 end\n")
    found = SongFormer().read(tmp_path / "t.txt", DURATION_S)
    assert found == GivenSections(borders_s=(0.0, 60.0), labels=("verse",))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("t.txt", "", ["does not say 'end'"]),
        ("t.txt", "0 verse\n30 chorus\n", ["does not say 'end'"]),
        ("t.txt", "60 end\n", ["no section"]),
        ("t.txt", "0 verse\n60 end\n60 end\n", [":3:", "after the end"]),
        ("t.txt", "0\n60 end\n", [":1:", "expected time and label"]),
        ("t.txt", "0 verse\nx chorus\n60 end\n", [":2:", "'x' is not a time"]),
        ("t.txt", "0 verse\n30 chorus\n20 outro\n60 end\n", [":2:", "from 30 to 20 s"]),
        ("t.txt", "0 verse\n30 chorus\n30 outro\n60 end\n", [":2:", "from 30 to 30 s is shorter than 0.05 s"]),
        ("t.txt", "5 verse\n60 end\n", [":1:", "starts at 5 s, not within 2 s"]),
        ("t.txt", "0 verse\n40 end\n", [":2:", "end at 40 s", "60.00 s"]),
        ("t.txt", "0 verse\n80 end\n", [":2:", "80 s is not within 0 and 60.00 s"]),
        ("t.json", "{", [":1:", "not JSON"]),
        ("t.json", "[]", ["expected a list"]),
        ("t.json", '[{"label": "verse", "start": 0}]', ["section 0", "expected label, start and end"]),
        ("t.json", '[{"label": "verse", "start": NaN, "end": 60}]', ["section 0", "nan s"]),
        ("t.json", '[{"label": "verse", "start": true, "end": 60}]', ["section 0", "True is not a time"]),
        (
            "t.json",
            '[{"label": "a", "start": 0, "end": 20}, {"label": "b", "start": 25, "end": 60}]',
            ["section 1", "starts at 25 s where the one before ends at 20 s"],
        ),
    ],
)
def test_broken_sections_are_named_with_line_value_and_bound(
    tmp_path: Path, name: str, text: str, words: list[str]
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(EngineFileError) as error:
        SongFormer().read(tmp_path / name, DURATION_S)
    assert error.value.reason is Reason.ANALYSIS_FAILED
    assert all(word in str(error.value) for word in [name, *words]), str(error.value)


@given(text=st.text(alphabet='0123456789.\t\n -einfadbersuc[]{}":,', max_size=80))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    for reader, name in ((BeatThis(), "any.beats"), (SongFormer(), "any.txt"), (SongFormer(), "any.json")):
        (folder / name).write_text(text)
        try:
            found = reader.read(folder / name, DURATION_S)
        except EngineFileError:
            continue
        times = found.beats_s if isinstance(found, GivenBeats) else found.borders_s
        assert list(times) == sorted(set(times))


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("verse", "verse"),
        ("Chorus", "chorus"),
        ("verse2", "verse"),
        ("inst", "instrumental"),
        ("prechorus", "pre-chorus"),
        ("pre_chorus", "pre-chorus"),
        ("build-up", "build-up"),
        ("silence", "silence"),
        ("gtr break 7", "section"),
        ("", "section"),
    ],
)
def test_labels_are_those_of_the_record(word: str, label: str) -> None:
    assert known_label(word) == label
    assert label in LABELS


def test_borders_enter_the_grid_in_place_of_near_bars() -> None:
    edges = np.arange(0, 21, 2.0)
    borders = np.array([0.0, 5.3, 12.0, 12.4, 20.0])
    found = edges_through(edges, borders)
    expected = sorted({*borders.tolist(), *(e for e in edges.tolist() if min(abs(borders - e)) > 1)})
    assert found.tolist() == expected


def test_given_beats_and_sections_take_the_place_of_heard_ones() -> None:
    song = blocks.block_song("ABAC")
    end_s = len(song.samples) / blocks.RATE_HZ
    beats = tuple(song.beats_s[::2].tolist())
    sections = GivenSections(borders_s=(0.0, 20.0, end_s), labels=("verse", "chorus"))
    given = Given(beats=GivenBeats(beats_s=beats, downbeats_s=beats[::3]), sections=sections)
    structure = analyse(song.samples, "x", StructureSettings(), given)
    assert structure.engine == f"{ENGINE}+beat_this+songformer"
    assert structure.beats_s == tuple(round(beat, 2) for beat in beats)
    assert (structure.tempo_bpm, structure.beats_per_bar) == (pytest.approx(55.0, abs=0.2), 3)
    assert 110.0 in [pytest.approx(bpm, abs=0.5) for bpm in structure.tempo_alternatives]
    assert [(s.start_s, s.end_s, s.label) for s in structure.sections] == [
        (0.0, 20.0, "verse"),
        (20.0, structure.duration_s, "chorus"),
    ]
    assert structure.sections[0].num_bars == pytest.approx(20.0 / (3 * 120 / 110), abs=1)
    assert structure.sections[1].boundary_confidence >= 0.78


def test_uneven_beats_lower_the_confidence_of_the_tempo() -> None:
    song = blocks.block_song("AB")
    even = song.beats_s
    uneven = np.sort(even + np.random.default_rng(0).uniform(-0.2, 0.2, len(even)).clip(-even[1] / 3, even[1] / 3))
    found = [
        analyse(
            song.samples,
            "x",
            StructureSettings(),
            Given(
                beats=GivenBeats(beats_s=tuple(np.abs(times).tolist()), downbeats_s=tuple(np.abs(times[::4]).tolist()))
            ),
        ).tempo_confidence
        for times in (even, uneven)
    ]
    assert found[0] == pytest.approx(0.9)
    assert found[1] < 0.5


def test_a_single_beat_and_a_single_section_are_taken_as_they_come() -> None:
    samples = blocks.chord_loop(0, "major")
    end_s = len(samples) / blocks.RATE_HZ
    given = Given(
        beats=GivenBeats(beats_s=(1.0,), downbeats_s=()),
        sections=GivenSections(borders_s=(0.0, end_s), labels=("silence",)),
    )
    structure = analyse(samples, "x", StructureSettings(), given)
    assert (structure.tempo_confidence, structure.meter_confidence, structure.beats_per_bar) == (0.0, 0.0, 4)
    assert [section.label for section in structure.sections] == ["silence"]


def test_missing_and_broken_files_are_outcomes(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "t.flac", blocks.chord_loop(0, "major"), blocks.RATE_HZ)
    (tmp_path / "beats").mkdir()
    settings = StructureSettings(beats=str(tmp_path / "beats"))
    outcome = analyse_track(_facts("t.flac"), settings, tmp_path)
    assert outcome.reason is Reason.FILE_MISSING
    assert outcome.detail is not None
    assert f"{tmp_path}/beats/t.beats: no such file" in outcome.detail
    (tmp_path / "beats" / "t.beats").write_bytes(b"\xff\xfe0.5")
    outcome = analyse_track(_facts("t.flac"), settings, tmp_path)
    assert outcome.reason is Reason.ANALYSIS_FAILED
    _write_beats(tmp_path / "beats" / "t.beats", np.arange(0.0, 19.0, 0.6))
    outcome = analyse_track(_facts("t.flac"), settings, tmp_path)
    assert outcome.status is Status.OK
    assert outcome.record is not None
    assert outcome.record.engine == f"{ENGINE}+beat_this"


def test_identities_follow_the_files(tmp_path: Path) -> None:
    settings = StructureSettings(beats=str(tmp_path / "b"), sections=str(tmp_path / "s"))
    with pytest.raises(SpecError, match=r"structure\.beats: .* is not a folder"):
        engines_identity(settings)
    (tmp_path / "b").mkdir()
    (tmp_path / "s").mkdir()
    seen = [engines_identity(settings)]
    assert track_identity("t", settings) == {"beats": None, "sections": None}
    _write_beats(tmp_path / "b" / "t.beats", np.arange(3.0))
    seen.append(engines_identity(settings))
    first = track_identity("t", settings)
    os.utime(tmp_path / "b" / "t.beats", ns=(1, 1))
    seen.append(engines_identity(settings))
    assert track_identity("t", settings) == first  # the content is the same
    _write_beats(tmp_path / "b" / "t.beats", np.arange(4.0))
    assert track_identity("t", settings)["beats"] != first["beats"]
    (tmp_path / "b" / "notes.md").write_text("not an engine's file")
    seen.append(engines_identity(settings))
    assert len({json.dumps(digest) for digest in seen}) == 4
    (tmp_path / "s" / "t.txt").write_text("0 verse\n3 end\n")
    text = track_identity("t", settings)["sections"]
    (tmp_path / "s" / "t.json").write_text('[{"label": "chorus", "start": 0, "end": 3}]')
    assert track_identity("t", settings)["sections"] != text
    given = read_given("t", settings, 3.0)
    assert given.sections is not None
    assert given.sections.labels == ("chorus",)


def test_without_folders_there_is_nothing_to_follow() -> None:
    assert engines_identity(StructureSettings()) == {}
    assert track_identity("t", StructureSettings()) == {}
    assert read_given("t", StructureSettings(), 3.0) == Given()
