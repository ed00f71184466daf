"""Short sounds and the files that hold them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from data_specs.outcomes import Outcome
from data_specs.records import AudioFacts, Harvest
from data_specs.spec import AudioSettings
from tasks.audio.accept import accept_audio
from tasks.demo.encode import encode

Sound = NDArray[np.float32]

SETTINGS = AudioSettings(min_duration_s=2.0, max_duration_s=60.0, duration_tolerance_s=0.5)
ENCODED = ("mp3", "m4a", "webm", "flac")
WRITTEN = {"wav": "PCM_16", "ogg": "VORBIS", "opus": "OPUS", "aiff": "PCM_24"}


def noise(duration_s: float, rate_hz: int = 44_100, channels: int = 2, level: float = 0.1, seed: int = 0) -> Sound:
    """White noise ``[T, C]``."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((round(duration_s * rate_hz), channels))).astype(np.float32)


def tone(duration_s: float, frequency_hz: float, rate_hz: int, amplitude: float, channels: int = 2) -> Sound:
    wave = amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * rate_hz)) / rate_hz)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def as_file(sound_TC: Sound, rate_hz: int, container: str) -> bytes:
    """Any channel count for the containers of ``WRITTEN``, stereo for those of ``ENCODED``."""
    if container in ENCODED:
        return encode(sound_TC, rate_hz, container)
    buffer = io.BytesIO()
    kind = {"opus": "OGG"}.get(container, container.upper())
    soundfile.write(buffer, sound_TC, rate_hz, format=kind, subtype=WRITTEN[container])
    return buffer.getvalue()


def fragmented_m4a(sound_TC: Sound, rate_hz: int) -> bytes:
    """As DASH delivers it: no table of the whole, so half of it reads like a shorter track."""
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound_TC).reshape(1, -1), format="flt", layout="stereo")
    frame.sample_rate, frame.pts = rate_hz, 0
    buffer = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
    with av.open(buffer, "w", format="mp4", options=options) as output:
        stream = output.add_stream("aac", rate=rate_hz, layout="stereo")
        for resampled in av.AudioResampler(format="fltp", layout="stereo", rate=rate_hz).resample(frame):
            output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def harvest_of(content: bytes, folder: Path, name: str = "t.mp3", stated_duration_s: float | None = None) -> Harvest:
    """The record of a media file with this content, written to ``folder``."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Harvest(
        track_id="t",
        file=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
        num_bytes=len(content),
        container=path.suffix[1:],
        stated_duration_s=stated_duration_s,
    )


def accepted(
    content: bytes, folder: Path, name: str = "t.mp3", stated_duration_s: float | None = None, **settings: Any
) -> Outcome[AudioFacts]:
    harvest = harvest_of(content, folder / "media", name, stated_duration_s)
    return accept_audio("t", harvest, SETTINGS.model_copy(update=settings), folder)


def peak_bytes() -> int:
    """The most memory that this process had; what ``getrusage`` gives may be its parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0  # not Linux
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
