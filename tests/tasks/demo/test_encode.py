from __future__ import annotations

import hashlib
import io
import subprocess
import sys

import av
import numpy as np
import pytest

from tasks.demo.encode import CONTAINERS, MEDIA_TYPES, encode
from tasks.demo.song import compose
from tasks.demo.synth import render

_RATE_HZ = 32_000
_CODECS = {"mp3": "mp3float", "m4a": "aac", "webm": "opus", "flac": "flac"}


@pytest.fixture(scope="module")
def sound_TC() -> np.ndarray:
    return render(compose(2, 1, 8, 10), _RATE_HZ)


def test_equal_sound_makes_equal_bytes_in_any_process(sound_TC: np.ndarray) -> None:
    program = (
        "import hashlib; from tasks.demo.song import compose; from tasks.demo.synth import render\n"
        "from tasks.demo.encode import CONTAINERS, encode\n"
        "sound = render(compose(2, 1, 8, 10), 32_000)\n"
        "print(*(hashlib.sha256(encode(sound, 32_000, c)).hexdigest() for c in CONTAINERS))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    here = [hashlib.sha256(encode(sound_TC, _RATE_HZ, container)).hexdigest() for container in CONTAINERS]
    assert printed.split() == here


@pytest.mark.parametrize("container", CONTAINERS)
def test_what_is_encoded_comes_back(container: str, sound_TC: np.ndarray) -> None:
    encoded = encode(sound_TC, _RATE_HZ, container)
    assert encoded == encode(sound_TC, _RATE_HZ, container)
    assert MEDIA_TYPES[container].startswith("audio/")
    with av.open(io.BytesIO(encoded)) as media:
        stream = media.streams.audio[0]
        assert stream.codec.name == _CODECS[container]
        assert stream.channels == 2
        resampler = av.AudioResampler(format="flt", layout="stereo", rate=_RATE_HZ)
        frames = [part for frame in media.decode(stream) for part in resampler.resample(frame)]
    decoded_TC = np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in frames])
    assert abs(len(decoded_TC) - len(sound_TC)) < 0.1 * _RATE_HZ
    assert np.abs(decoded_TC).max() < 1.1
    num_samples = min(len(decoded_TC), len(sound_TC))
    error_TC = decoded_TC[:num_samples] - sound_TC[:num_samples]
    # Also says that no delay was left in: a shift by a few samples alone would exceed it.
    assert np.mean(error_TC**2) < 0.03 * np.mean(sound_TC**2)
    if container == "flac":
        assert np.abs(error_TC).max() < 2.0**-14
