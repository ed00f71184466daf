"""Decode speed: x real time per CPU second and core, ours against the ffmpeg command, in one run.

    python benchmarks/decode.py [--seconds 120] [--rounds 5]

Three columns per format, all from the file on disk to 16 kHz mono 16-bit samples, one thread each:
``ffmpeg``  the command of imageio_ffmpeg, writing raw samples to a pipe;
``decode``  the project's decoder and resampler, the same work;
``accept``  the whole audio stage: decode, hash, loudness, silence, clipping, bandwidth, FLAC on disk.
CPU time (user + system, children included) is compared because it moves little when other programs run.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import soxr

from data_specs.outcomes import Status
from data_specs.records import Harvest
from data_specs.spec import AudioSettings
from tasks.audio.accept import accept_audio
from tasks.audio.decode import AudioFile
from tasks.audio.resample import Resampler
from tasks.demo.encode import encode

FORMATS = ("m4a", "webm", "mp3", "flac")
SAMPLE_RATE_HZ = 44_100
SETTINGS = AudioSettings(min_duration_s=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the synthesised track")
    parser.add_argument("--rounds", type=int, default=5, help="the median of this many is given")
    arguments = parser.parse_args()
    print(f"av {av.__version__}, soxr {soxr.__version__}, ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
    print(f"{arguments.seconds:g} s of synthesised stereo, medians of {arguments.rounds} rounds, x real time per core")
    print(f"{'format':8}{'ffmpeg':>9}{'decode':>9}{'accept':>9}{'decode/ffmpeg':>15}")
    with tempfile.TemporaryDirectory() as folder:
        for container in FORMATS:
            path = Path(folder, f"track.{container}")
            path.write_bytes(encode(_music(arguments.seconds), SAMPLE_RATE_HZ, container))
            speeds = [
                arguments.seconds / seconds
                for seconds in _medians([_ffmpeg(path), _decode(path), _accept(path)], arguments.rounds)
            ]
            print(f"{container:8}" + "".join(f"{speed:9.0f}" for speed in speeds) + f"{speeds[1] / speeds[0]:15.2f}")


def _medians(works: list[Callable[[], None]], rounds: int) -> list[float]:
    """CPU seconds of each work, in turns, so that a busy moment of the machine meets all of them."""
    for work in works:
        work()  # warm: imports, page cache
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, spent in zip(works, times, strict=True):
            before_s = _cpu_s()
            work()
            spent.append(_cpu_s() - before_s)
    return [statistics.median(spent) for spent in times]


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _ffmpeg(path: Path) -> Callable[[], None]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", "1", "-i", str(path)]
    command += ["-threads", "1", "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]

    def work() -> None:
        assert subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout

    return work


def _decode(path: Path) -> Callable[[], None]:
    def work() -> None:
        with AudioFile(path) as audio:
            resampler = Resampler(audio.sample_rate_hz)
            blocks = [resampler.add(block_CT.mean(axis=0)) for block_CT in audio.blocks()]
        assert len(np.concatenate([*blocks, resampler.end()]))

    return work


def _accept(path: Path) -> Callable[[], None]:
    content = path.read_bytes()
    harvest = Harvest(
        track_id="t",
        file=str(path),
        sha256=hashlib.sha256(content).hexdigest(),
        num_bytes=len(content),
        container=path.suffix[1:],
    )

    def work() -> None:
        outcome = accept_audio("t", harvest, SETTINGS, path.parent)
        assert outcome.status is Status.OK, outcome.detail

    return work


def _music(duration_s: float) -> np.ndarray:
    """Chords with a beat, and some noise, so that no codec has an easy time; ``[T, 2]``."""
    rng = np.random.default_rng(0)
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    root_hz = 110.0 * 2.0 ** (np.array([0, 5, 7, 3])[(time_s // 2).astype(int) % 4] / 12.0)
    phase = 2 * np.pi * np.cumsum(root_hz) / SAMPLE_RATE_HZ
    chord = sum(np.sin(ratio * phase) / ratio for ratio in (1.0, 1.25, 1.5, 2.0, 3.0, 4.0))
    beat = np.exp(-12.0 * (time_s % 0.5))
    left_right = rng.standard_normal((len(time_s), 2)) * (0.02 + 0.1 * beat)[:, None]
    return (0.15 * chord[:, None] + left_right).astype(np.float32)


if __name__ == "__main__":
    main()
