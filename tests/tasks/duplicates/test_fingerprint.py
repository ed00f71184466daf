from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_specs.reasons import Reason
from data_specs.records import AudioFacts
from tasks.duplicates import fingerprint
from tasks.duplicates.fingerprint import ALGORITHM, UnreadableError, fingerprint_file, fingerprint_track
from tasks.duplicates.passage import span_s, values_within
from tasks.engine.errors import BuildError


def facts(file: str, pcm_sha256: str = "0") -> AudioFacts:
    return AudioFacts(
        track_id="t",
        file=file,
        sha256="0",
        pcm_sha256=pcm_sha256,
        num_bytes=1,
        duration_s=60.0,
        container_duration_s=None,
        gap_s=0.0,
        source_sample_rate_hz=44_100,
        source_channels=1,
        loudness_lufs=None,
        loudness_range_lu=None,
        peak_dbfs=-1.0,
        side_db=None,
        silence_ratio=0.0,
        longest_silence_s=0.0,
        clipping_ratio=0.0,
        bandwidth_hz=8000.0,
    )


def noise(path: Path, duration_s: float) -> Path:
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(duration_s * 16_000))
    soundfile.write(path, samples, 16_000, subtype="PCM_16")
    return path


@pytest.mark.parametrize("duration_s", [3.0, 10.0, 20.0, 300.0])
def test_values_cover_the_whole_file(tmp_path: Path, duration_s: float) -> None:
    values_V = fingerprint_file(noise(tmp_path / "x.flac", duration_s))
    assert span_s(len(values_V)) <= duration_s < span_s(len(values_V) + 2)
    assert abs(len(values_V) - values_within(duration_s)) <= 1 or duration_s < 6
    assert values_V.dtype == np.uint32


def test_a_track_becomes_a_record(tmp_path: Path) -> None:
    noise(tmp_path / "x.flac", 10.0)
    outcome = fingerprint_track(facts("x.flac"), tmp_path)
    assert outcome.record is not None
    assert (outcome.record.track_id, outcome.record.algorithm) == ("t", ALGORITHM)
    assert outcome.record.values == tuple(fingerprint_file(tmp_path / "x.flac").tolist())


def test_two_seconds_have_no_values_and_are_no_failure(tmp_path: Path) -> None:
    noise(tmp_path / "x.flac", 2.0)
    outcome = fingerprint_track(facts("x.flac"), tmp_path)
    assert outcome.record is not None
    assert outcome.record.values == ()


def test_one_bad_file_is_one_failure(tmp_path: Path) -> None:
    assert fingerprint_track(facts("none.flac"), tmp_path).reason is Reason.FILE_MISSING
    (tmp_path / "text.flac").write_text("not audio")
    assert fingerprint_track(facts("text.flac"), tmp_path).reason is Reason.UNDECODABLE
    whole = noise(tmp_path / "x.flac", 20.0).read_bytes()
    (tmp_path / "torn.flac").write_bytes(whole[: len(whole) // 2])
    assert fingerprint_track(facts("torn.flac"), tmp_path).reason is Reason.UNDECODABLE
    assert len(fingerprint_file(tmp_path / "torn.flac")) > 30, "evaluation audio counts as far as it can be decoded"


def test_a_decoder_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "TIMEOUT_S", 0.001)
    with pytest.raises(UnreadableError, match=r"did not end within 0\.001 s"):
        fingerprint_file(noise(tmp_path / "x.flac", 60.0))


@pytest.fixture
def other_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "ffmpeg"
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(path))
    fingerprint._ffmpeg.cache_clear()
    yield path
    fingerprint._ffmpeg.cache_clear()


def test_no_binary_stops_the_build(other_binary: Path, tmp_path: Path) -> None:
    noise(tmp_path / "x.flac", 3.0)
    with pytest.raises(BuildError, match=r"no usable ffmpeg.*pip install"):
        fingerprint_track(facts("x.flac"), tmp_path)


def test_a_binary_without_chromaprint_stops_the_build(other_binary: Path, tmp_path: Path) -> None:
    noise(tmp_path / "x.flac", 3.0)
    other_binary.write_text("#!/bin/sh\necho \"Unknown format 'chromaprint'.\"\n")
    other_binary.chmod(0o755)
    with pytest.raises(BuildError, match=r"no chromaprint muxer.*IMAGEIO_FFMPEG_EXE"):
        fingerprint_track(facts("x.flac"), tmp_path)
