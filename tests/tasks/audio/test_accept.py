from __future__ import annotations

import hashlib
import io
import multiprocessing
import pickle
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from data_specs.outcomes import Status
from data_specs.reasons import Reason
from tasks.audio.accept import accept_audio
from tests.tasks.audio.sounds import (
    ENCODED,
    SETTINGS,
    WRITTEN,
    accepted,
    as_file,
    fragmented_m4a,
    harvest_of,
    noise,
    tone,
)

CASES = [(container, 44_100, 2) for container in (*ENCODED, "wav", "aiff", "ogg")]
CASES += [("wav", 8_000, 1), ("wav", 48_000, 2), ("wav", 16_000, 1), ("ogg", 48_000, 1), ("opus", 48_000, 2)]
CASES += [("flac", 48_000, 2), ("wav", 96_000, 6), ("m4a", 22_050, 2)]


@pytest.mark.parametrize(("container", "rate_hz", "channels"), CASES)
def test_any_source_becomes_16_khz_mono(tmp_path: Path, container: str, rate_hz: int, channels: int) -> None:
    outcome = accepted(as_file(noise(3.0, rate_hz, channels), rate_hz, container), tmp_path, f"t.{container}")
    facts = outcome.record
    assert outcome.status is Status.OK
    assert facts is not None
    assert facts.duration_s == pytest.approx(3.0, abs=0.05)
    assert facts.source_channels == channels
    assert facts.source_sample_rate_hz == (48_000 if container in ("webm", "opus") else rate_hz)
    content = (tmp_path / facts.file).read_bytes()
    assert facts.file == f"audio/flac/t-{facts.sha256[:8]}.flac"
    assert (facts.sha256, facts.num_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    samples, kept_rate_hz = soundfile.read(io.BytesIO(content), dtype="int16")
    assert (kept_rate_hz, samples.ndim) == (16_000, 1)
    assert len(samples) / 16_000 == pytest.approx(facts.duration_s, abs=0.001)
    assert facts.pcm_sha256 == hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()


def test_samples_are_the_mean_of_the_channels_resampled_in_one_piece(tmp_path: Path) -> None:
    sound_TC = noise(4.0, 44_100, 2)
    facts = accepted(as_file(sound_TC, 44_100, "wav"), tmp_path, "t.wav").record
    assert facts is not None
    samples, _ = soundfile.read(tmp_path / facts.file, dtype="int16")
    source, _ = soundfile.read(tmp_path / "media" / "t.wav", dtype="float32")
    expected = soxr.resample(source.mean(axis=1), 44_100, 16_000, quality="HQ")
    assert len(samples) == len(expected)
    np.testing.assert_allclose(samples / 32768, expected, atol=1.0 / 32768)


def test_equal_sound_in_another_container_has_equal_samples(tmp_path: Path) -> None:
    samples = np.round(noise(6.0) * 32767).astype(np.int16)
    records = []
    for kind in ("WAV", "FLAC", "AIFF"):
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, 44_100, format=kind, subtype="PCM_16")
        records.append(accepted(buffer.getvalue(), tmp_path, f"t.{kind.lower()}").record)
    assert records[0] is not None
    assert records == records[:1] * 3


def test_equal_input_gives_equal_bytes_also_in_another_process(tmp_path: Path) -> None:
    content = as_file(noise(3.0), 44_100, "m4a")
    here = accepted(content, tmp_path / "here", "t.m4a")
    harvest = harvest_of(content, tmp_path / "there", "t.m4a")
    pickle.loads(pickle.dumps(accept_audio))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(accept_audio, "t", harvest, SETTINGS, tmp_path / "there").result()
    again = accept_audio("t", harvest, SETTINGS, tmp_path / "there")
    assert here == there == again
    names = [sorted(path.name for path in (tmp_path / place / "audio/flac").iterdir()) for place in ("here", "there")]
    assert names[0] == names[1]  # the name holds the hash of the bytes
    assert len(names[0]) == 1


@pytest.mark.parametrize(
    ("sound_TC", "reason", "words"),
    [
        (np.zeros((132_300, 2), np.float32), Reason.SILENT, "silence ratio 1.000, at most 0.5"),
        (np.concatenate([noise(1.0), 1e-4 * noise(2.0)]), Reason.SILENT, "silence ratio 0.6"),
        (np.clip(noise(3.0, level=1.0), -1, 1), Reason.CLIPPED, "at most 0.02"),
        (tone(3.0, 200.0, 44_100, 0.5), Reason.NARROW_BAND, "at least 2000 Hz"),
        (noise(1.0), Reason.TOO_SHORT, "1.00 s, at least 2 s"),
    ],
)
def test_a_broken_bound_is_named_and_leaves_no_file(
    tmp_path: Path, sound_TC: np.ndarray, reason: Reason, words: str
) -> None:
    outcome = accepted(as_file(sound_TC, 44_100, "wav"), tmp_path, "t.wav")
    assert (outcome.status, outcome.reason) == (Status.REJECTED, reason)
    assert words in str(outcome.detail)
    assert outcome.record is not None
    assert (outcome.record.file, outcome.record.sha256) == ("", "")
    assert outcome.record.duration_s == pytest.approx(len(sound_TC) / 44_100)
    assert not (tmp_path / "audio").exists()


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "t.mp3", Reason.FILE_EMPTY),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>" * 100, "t.mp3", Reason.UNDECODABLE),
        (np.random.default_rng(0).bytes(100_000), "t.mp3", Reason.UNDECODABLE),
        (np.random.default_rng(1).bytes(100_000), "t.m4a", Reason.UNDECODABLE),
        (b"\0" * 100_000, "t.webm", Reason.UNDECODABLE),
        (b"fLaC", "t.flac", Reason.UNDECODABLE),
        (b"#EXTM3U\n#EXTINF:5,\nother.mp3\n#EXT-X-ENDLIST\n", "t.m3u8", Reason.UNDECODABLE),
        (b"ffconcat version 1.0\nfile 'other.mp3'\n", "t.mp3", Reason.UNDECODABLE),
    ],
)
def test_what_is_not_sound_is_no_crash(tmp_path: Path, content: bytes, name: str, reason: Reason) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "other.mp3").write_bytes(as_file(noise(3.0), 44_100, "mp3"))
    outcome = accepted(content, tmp_path, name)
    assert (outcome.status, outcome.reason) == (Status.FAILED, reason)
    assert outcome.detail


@pytest.mark.parametrize(
    ("sound_TC", "bound", "reason", "words"),
    [
        (noise(3.0, level=1e-3), {"min_loudness_lufs": -50.0}, Reason.TOO_QUIET, "LUFS, at least -50 LUFS"),
        (np.zeros((132_300, 2), np.float32), {"min_loudness_lufs": -50.0}, Reason.TOO_QUIET, "loudness below -70 LUFS"),
        (noise(3.0, channels=1), {"min_side_db": -40.0}, Reason.MONO, "1 channel, at least a side level of -40 dB"),
        (
            noise(3.0, channels=1) @ [[1.0, 1.0]],
            {"min_side_db": -40.0},
            Reason.MONO,
            "level -120.0 dB, at least -40",
        ),
        (noise(3.0, channels=1) @ [[1.0, 0.9]], {"min_side_db": -25.0}, Reason.MONO, "side level -25.6 dB"),
        (noise(3.0, channels=1) @ [[1.0, 0.9]], {"min_side_db": -26.0}, None, ""),
        (noise(3.0, channels=6), {"min_side_db": -40.0}, None, ""),
        (noise(3.0, channels=1), {}, None, ""),
        (noise(3.0), {"min_loudness_lufs": -50.0, "min_side_db": -10.0}, None, ""),
    ],
)
def test_level_and_stereo_are_asked_for_only_by_the_specification(
    tmp_path: Path, sound_TC: np.ndarray, bound: dict[str, float], reason: Reason | None, words: str
) -> None:
    outcome = accepted(as_file(sound_TC, 44_100, "wav"), tmp_path, "t.wav", max_silence_ratio=1.0, **bound)
    assert outcome.reason is reason, outcome.detail
    assert words in str(outcome.detail)
    facts = outcome.record
    assert facts is not None
    assert (facts.side_db is None) == (sound_TC.shape[1] != 2)
    assert (facts.container_duration_s, facts.gap_s) == (pytest.approx(3.0), 0.0)


def test_a_picture_without_sound_has_its_reason(tmp_path: Path) -> None:
    import av

    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for _ in range(20):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        output.mux(stream.encode(None))
    outcome = accepted(path.read_bytes(), tmp_path, "t.mp4")
    assert (outcome.reason, outcome.detail) == (Reason.NO_AUDIO, "no audio stream")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e9])
def test_samples_that_are_no_sound_are_not_decodable(tmp_path: Path, value: float) -> None:
    sound_TC = noise(3.0)
    sound_TC[1000, 1] = value
    buffer = io.BytesIO()
    soundfile.write(buffer, sound_TC, 44_100, format="WAV", subtype="FLOAT")
    outcome = accepted(buffer.getvalue(), tmp_path, "t.wav")
    assert (outcome.reason, "full scale" in str(outcome.detail)) == (Reason.UNDECODABLE, True)


@pytest.mark.parametrize("container", [*ENCODED, *WRITTEN])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_part_of_a_file_is_never_a_success(tmp_path: Path, container: str, share: float) -> None:
    content = as_file(noise(8.0, 48_000), 48_000, container)
    part = content[: int(share * len(content))]
    for stated_s in (None, 8.0):
        outcome = accepted(part, tmp_path, f"t.{container}", stated_s, min_duration_s=0.0)
        assert outcome.reason in (Reason.TRUNCATED, Reason.UNDECODABLE), (stated_s, outcome.detail)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_part_of_a_file_that_reads_like_a_whole_is_shorter_than_the_site_said(tmp_path: Path, share: float) -> None:
    content = fragmented_m4a(noise(8.0), 44_100)
    whole = accepted(content, tmp_path, "t.m4a", 8.0)
    part = accepted(content[: int(share * len(content))], tmp_path, "t.m4a", 8.0)
    assert whole.status is Status.OK, whole.detail
    assert part.reason in (Reason.TRUNCATED, Reason.DURATION_MISMATCH)
    assert part.record is not None
    assert part.record.duration_s < 7.5


def test_the_tolerance_is_absolute_and_named(tmp_path: Path) -> None:
    content = as_file(noise(3.0), 44_100, "m4a")
    assert accepted(content, tmp_path, "t.m4a", 3.4).reason is None
    outcome = accepted(content, tmp_path, "t.m4a", 3.9)
    assert outcome.reason is Reason.DURATION_MISMATCH
    assert "s, the source states 3.90 s (tolerance 0.5 s)" in str(outcome.detail)


def test_a_file_that_is_not_the_harvested_one_is_not_used(tmp_path: Path) -> None:
    harvest = harvest_of(as_file(noise(3.0), 44_100, "wav"), tmp_path)
    Path(harvest.file).write_bytes(as_file(noise(3.0, seed=1), 44_100, "wav"))
    assert accept_audio("t", harvest, SETTINGS, tmp_path).reason is Reason.FILE_CHANGED
    Path(harvest.file).unlink()
    assert accept_audio("t", harvest, SETTINGS, tmp_path).reason is Reason.FILE_MISSING
    relative = replace(harvest, file="harvest/media/t.mp3")
    assert accept_audio("t", relative, SETTINGS, tmp_path).reason is Reason.FILE_MISSING


def test_memory_does_not_grow_with_the_track(tmp_path: Path) -> None:
    def peak_bytes(duration_s: float) -> int:
        content = as_file(tone(duration_s, 3000.0, 16_000, 0.5), 16_000, "flac")
        harvest = harvest_of(content, tmp_path, f"{duration_s:.0f}.flac")
        del content
        tracemalloc.start()
        outcome = accept_audio("t", harvest, SETTINGS.model_copy(update={"max_duration_s": 5000.0}), tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert outcome.status is Status.OK, outcome.detail
        return peak

    peak_bytes(20.0)
    assert peak_bytes(400.0) < peak_bytes(20.0) + 10_000_000  # the FLAC; the sound itself is 51 MB as float32
