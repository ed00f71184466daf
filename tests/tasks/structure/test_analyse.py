"""The analyser as a whole: bounds, odd input, determinism."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from data_specs.outcomes import Status
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Structure
from data_specs.spec import StructureSettings
from tasks.structure.analyse import ENGINE, NotAnalysableError, analyse, analyse_track
from tasks.structure.picture import picture
from tests.tasks.structure import blocks

_DEFAULTS = StructureSettings()
_ROOT = Path(__file__).parents[3]


def _assert_well_formed(structure: Structure, duration_s: float) -> None:
    assert structure.duration_s == pytest.approx(duration_s, abs=0.006)
    assert structure.sections[0].start_s == 0.0
    assert structure.sections[-1].end_s == structure.duration_s
    for left, right in pairwise(structure.sections):
        assert left.end_s == right.start_s
    for section in structure.sections:
        assert section.start_s < section.end_s
        assert section.num_bars >= 1
        assert section.variant >= 0
        shares = (section.percussion, section.bass, section.chords_confidence, section.key_confidence)
        assert all(0 <= share <= 1 for share in (*shares, section.letter_confidence, section.boundary_confidence))
        assert all(0 <= change.confidence <= 1 and change.amount >= 0 for change in section.changes)
        assert bool(section.key) == (section.key_confidence > 0)
    assert (structure.sections[0].boundary_confidence, structure.sections[0].changes) == (1.0, ())
    assert (structure.chords[0].start_s, structure.chords[-1].end_s) == (0.0, structure.duration_s)
    for before, after in pairwise(structure.chords):
        assert before.end_s == after.start_s
        assert before.name != after.name
    assert all(a < b for a, b in pairwise(structure.beats_s))
    assert all(0 <= t <= duration_s for t in structure.beats_s)
    assert set(structure.downbeats_s) <= set(structure.beats_s)
    for confidence in (structure.tempo_confidence, structure.key_confidence, structure.sections_confidence):
        assert 0 <= confidence <= 1
    assert 0 <= structure.meter_confidence <= 1
    assert 0 <= structure.tuning_confidence <= 1
    assert -50 <= structure.tuning_cents <= 50
    assert structure.tempo_bpm > 0
    assert structure.tempo_bpm not in structure.tempo_alternatives


def _facts(file: str) -> AudioFacts:
    return AudioFacts(
        track_id="t",
        file=file,
        sha256="",
        pcm_sha256="",
        num_bytes=0,
        duration_s=0,
        container_duration_s=None,
        gap_s=0.0,
        loudness_range_lu=None,
        side_db=None,
        source_sample_rate_hz=16_000,
        source_channels=1,
        loudness_lufs=None,
        peak_dbfs=0,
        silence_ratio=0,
        longest_silence_s=0,
        clipping_ratio=0,
        bandwidth_hz=8000,
    )


@settings(max_examples=25, deadline=None)
@given(
    duration_s=st.floats(3.0, 40.0),
    kind=st.sampled_from(["noise", "clicks", "burst", "constant", "tone", "square"]),
    seed=st.integers(0, 1000),
)
def test_anything_that_sounds_is_tiled_and_ordered(duration_s: float, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    num = int(duration_s * blocks.RATE_HZ) + 1
    samples = np.zeros(num, dtype=np.float32)
    if kind == "noise":
        samples = rng.standard_normal(num).astype(np.float32)
    elif kind == "clicks":
        samples[rng.integers(0, num, 30)] = 1.0
    elif kind == "burst":
        samples[num // 3 : num // 3 + 2000] = rng.standard_normal(2000)
    elif kind == "constant":
        samples[:] = 0.3
    elif kind == "tone":
        samples = np.sin(np.arange(num) * rng.uniform(0.01, 1)).astype(np.float32)
    else:
        samples = np.sign(np.sin(np.arange(num) / 700)).astype(np.float32)
    _assert_well_formed(analyse(samples, "any", _DEFAULTS), num / blocks.RATE_HZ)


def test_a_silent_passage_in_the_middle_is_bridged() -> None:
    loop = blocks.chord_loop(0, "major")
    samples = np.concatenate([loop, np.zeros(20 * blocks.RATE_HZ, dtype=np.float32), loop])
    structure = analyse(samples, "gap", _DEFAULTS)
    _assert_well_formed(structure, len(samples) / blocks.RATE_HZ)
    assert any(section.loudness_db < -30 for section in structure.sections)


def test_three_seconds_are_one_section() -> None:
    structure = analyse(blocks.chord_loop(0, "major")[: 3 * blocks.RATE_HZ], "short", _DEFAULTS)
    _assert_well_formed(structure, 3.0)
    assert [(s.start_s, s.end_s, s.letter, s.key) for s in structure.sections] == [(0.0, 3.0, "A", "")]


def test_speech_is_sure_of_nothing() -> None:
    samples = blocks.speech(60.0)
    structure = analyse(samples, "speech", _DEFAULTS)
    _assert_well_formed(structure, 60.0)
    assert structure.sections_confidence < 0.1
    assert structure.tempo_confidence < 0.5
    assert (structure.key_confidence, structure.meter_confidence, structure.tuning_confidence) == (0.0, 0.0, 0.0)
    assert [chord.name for chord in structure.chords] == ["N"]
    assert not any(section.chords or section.key for section in structure.sections)


def test_noise_is_sure_of_nothing() -> None:
    noise = np.random.default_rng(0).standard_normal(60 * blocks.RATE_HZ).astype(np.float32)
    structure = analyse(noise, "noise", _DEFAULTS)
    assert max(structure.tempo_confidence, structure.meter_confidence, structure.sections_confidence) < 0.1
    assert (structure.key_confidence, structure.tuning_confidence) == (0.0, 0.0)
    assert [chord.name for chord in structure.chords] == ["N"]


def test_chords_of_a_loop_are_named_with_their_times() -> None:
    structure = analyse(blocks.chord_loop(0, "major", num_bars=8), "loop", _DEFAULTS)
    names = [chord.name for chord in structure.chords if chord.end_s - chord.start_s > 1.2]
    assert names == ["C", "Am", "F", "G"] * 2
    starts = [chord.start_s for chord in structure.chords][:8]
    assert starts == pytest.approx(np.arange(8) * 2.4, abs=0.1)


def test_sections_keep_their_shortest_length() -> None:
    song = blocks.block_song("ABABC", bars_each=2)
    structure = analyse(song.samples, "short", StructureSettings(min_section_s=8.0))
    assert min(s.end_s - s.start_s for s in structure.sections) >= 7.9


def test_borders_lie_on_downbeats() -> None:
    structure = analyse(blocks.block_song("ABCA").samples, "blocks", _DEFAULTS)
    assert {section.start_s for section in structure.sections[1:]} <= set(structure.downbeats_s)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.ones(2 * blocks.RATE_HZ, dtype=np.float32), "2.00 s long"),
        (np.zeros(0, dtype=np.float32), "0.00 s long"),
        (np.zeros(9 * blocks.RATE_HZ, dtype=np.float32), "silent"),
        (np.full(9 * blocks.RATE_HZ, 1e-5, dtype=np.float32), "silent"),
        (np.full(9 * blocks.RATE_HZ, np.nan, dtype=np.float32), "not finite"),
    ],
)
def test_nothing_to_analyse_is_said_so(samples: blocks.Samples, message: str) -> None:
    with pytest.raises(NotAnalysableError, match=message):
        analyse(samples, "none", _DEFAULTS)


def test_loudness_of_the_master_changes_nothing() -> None:
    samples = blocks.block_song("ABA").samples
    assert analyse(samples * np.float32(0.01), "x", _DEFAULTS) == analyse(samples, "x", _DEFAULTS)


def test_equal_samples_give_equal_records_in_another_process() -> None:
    song = blocks.block_song("ABC", bars_each=4)
    here = analyse(song.samples, "x", _DEFAULTS)
    assert analyse(song.samples, "x", _DEFAULTS) == here
    code = (
        "import hashlib; from data_specs.spec import StructureSettings; from tests.tasks.structure import blocks; "
        "from tasks.structure.analyse import analyse; s = blocks.block_song('ABC', bars_each=4).samples; "
        "print(hashlib.sha256(repr(analyse(s, 'x', StructureSettings())).encode()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_ROOT)
    assert there.stdout.strip() == hashlib.sha256(repr(here).encode()).hexdigest()


def test_a_track_is_read_from_the_workspace(tmp_path: Path) -> None:
    song = blocks.block_song("AB", bars_each=4)
    soundfile.write(tmp_path / "t.flac", song.samples, blocks.RATE_HZ)
    outcome = analyse_track(_facts("t.flac"), _DEFAULTS, tmp_path)
    assert outcome.status is Status.OK
    assert outcome.record is not None
    assert (outcome.record.track_id, outcome.record.engine) == ("t", ENGINE)


def test_a_silent_track_fails_with_a_reason(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "t.flac", np.zeros(5 * blocks.RATE_HZ), blocks.RATE_HZ)
    outcome = analyse_track(_facts("t.flac"), _DEFAULTS, tmp_path)
    assert outcome.reason is Reason.ANALYSIS_FAILED
    assert outcome.detail is not None
    assert "silent" in outcome.detail


def test_a_file_of_another_rate_is_a_programming_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "t.flac", np.ones(5 * 8000) * 0.1, 8000)
    with pytest.raises(ValueError, match="expected 16000 Hz mono, got 8000 Hz"):
        analyse_track(_facts("t.flac"), _DEFAULTS, tmp_path)


def test_picture_is_a_png_and_reproducible() -> None:
    samples = blocks.block_song("ABA", bars_each=4).samples
    structure = analyse(samples, "x", _DEFAULTS)
    png = picture(structure, samples)
    assert png.startswith(b"\x89PNG")
    assert picture(structure, samples) == png


@pytest.mark.slow
def test_ninety_minutes_fit_in_time_and_memory() -> None:
    code = (
        "import resource, time, numpy as np; from data_specs.spec import StructureSettings; "
        "from tests.tasks.structure import blocks; from tasks.structure.analyse import analyse; "
        "samples = np.resize(blocks.block_song('ABCABABCAB').samples, 90 * 60 * blocks.RATE_HZ); "
        "began = time.process_time(); found = analyse(samples, 'long', StructureSettings()); "
        "print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "
        "found.sections[-1].end_s, len(found.sections))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_ROOT, env=environment
    )
    cpu_s, peak_kb, end_s, num_sections = (float(word) for word in done.stdout.split())
    assert cpu_s / 90 <= 0.35
    assert peak_kb < 2_000_000
    assert end_s == 5400.0
    assert num_sections > 100
