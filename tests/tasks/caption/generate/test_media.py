from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_specs.reasons import Reason
from tasks.caption.generate.media import flac_of
from tasks.caption.generate.request import GenerationError
from tasks.caption.generate.worker import Reading, audio_address
from tests.tasks.caption.generate.scripted import SAMPLE_RATE_HZ, noise, span


def samples(flac: bytes) -> np.ndarray:
    samples_n, rate_hz = soundfile.read(io.BytesIO(flac), dtype="int16")
    assert rate_hz == SAMPLE_RATE_HZ
    return samples_n


def test_a_whole_file_is_sent_as_it_is(tmp_path: Path) -> None:
    noise(tmp_path / "a.flac")
    assert flac_of(span(tmp_path / "a.flac")) == (tmp_path / "a.flac").read_bytes()


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 1.0), (1.00003, 2.71828), (3.9999, 4.0), (0.0, 4.0)])
def test_a_stretch_has_the_samples_of_the_file(tmp_path: Path, start_s: float, end_s: float) -> None:
    pcm_n = noise(tmp_path / "a.flac")
    first, stop = round(start_s * SAMPLE_RATE_HZ), round(end_s * SAMPLE_RATE_HZ)
    assert np.array_equal(samples(flac_of(span(tmp_path / "a.flac", start_s, end_s, whole=False))), pcm_n[first:stop])


def test_stretches_join_without_a_gap(tmp_path: Path) -> None:
    pcm_n = noise(tmp_path / "a.flac", 10.0)
    cuts = [0.0, 1.23456, 3.33333, 7.77777, 10.0]
    parts = [flac_of(span(tmp_path / "a.flac", *pair, whole=False)) for pair in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate([samples(part) for part in parts]), pcm_n)


@pytest.mark.parametrize("whole", [True, False])
def test_what_cannot_be_read(tmp_path: Path, whole: bool) -> None:
    with pytest.raises(GenerationError) as missing:
        flac_of(span(tmp_path / "none.flac", whole=whole))
    assert missing.value.reason == Reason.FILE_MISSING
    (tmp_path / "text.flac").write_text("no audio")
    if not whole:  # a whole file is for the model's own decoder to refuse
        with pytest.raises(GenerationError) as broken:
            flac_of(span(tmp_path / "text.flac", whole=False))
        assert broken.value.reason == Reason.UNDECODABLE


def test_a_file_that_ends_too_early(tmp_path: Path) -> None:
    noise(tmp_path / "a.flac", 4.0)
    with pytest.raises(GenerationError, match="has 64000 samples, samples 0 to 64016 are wanted") as changed:
        flac_of(span(tmp_path / "a.flac", 0.0, 4.001, whole=False))
    assert changed.value.reason == Reason.FILE_CHANGED


@pytest.mark.parametrize("whole", [True, False])
def test_the_worker_hears_the_same(tmp_path: Path, whole: bool) -> None:
    """It cannot import the door's code, so it has its own."""
    import base64

    noise(tmp_path / "a.flac")
    stretch = span(tmp_path / "a.flac", 0.5, 3.25, whole=whole)
    asked = {"path": str(stretch.path), "start_s": stretch.start_s, "end_s": stretch.end_s, "whole": whole}
    kind, _, data = audio_address(asked).partition(",")
    assert kind == "data:audio/flac;base64" and base64.b64decode(data) == flac_of(stretch)
    for path, reason in (("none.flac", "file_missing"), ("text.flac", "undecodable")):
        (tmp_path / "text.flac").write_text("no audio")
        with pytest.raises(Reading) as unread:
            audio_address(asked | {"path": str(tmp_path / path), "whole": False})
        assert unread.value.reason == reason == Reason(reason)
