"""Decode and acceptance speed: x real time per CPU second and core, ours against others, in one run.

    python -m benchmarks.decode [--seconds 120] [--rounds 5]

The columns of the first table all go from the file on disk to 16 kHz mono 16-bit samples, one thread each:
``ffmpeg``      the command of imageio_ffmpeg, writing raw samples to a pipe;
``soundfile``   libsndfile, then soxr; it reads neither m4a nor webm;
``pyav``        PyAV frame by frame through FFmpeg's own resampler;
``torchcodec``  where it is installed (it needs FFmpeg's shared libraries);
``decode``      the project's decoder and resampler.
``accept`` is more: the whole audio stage, whose parts the second table gives.
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
import soundfile
import soxr

from benchmarks.acceptance import print_shares
from data_specs.outcomes import Status
from data_specs.records import Harvest
from data_specs.spec import AudioSettings
from tasks.audio.accept import accept_audio
from tasks.audio.decode import AudioFile
from tasks.audio.resample import Resampler
from tasks.demo.encode import encode

try:
    import torch
    import torchcodec
    from torchcodec.decoders import AudioDecoder
except (ImportError, OSError, RuntimeError):  # RuntimeError: no FFmpeg libraries that it could load
    torchcodec = None

FORMATS = ("m4a", "webm", "mp3", "flac")
SAMPLE_RATE_HZ = 44_100
SETTINGS = AudioSettings(min_duration_s=0.0)

Work = Callable[[], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the synthesised track")
    parser.add_argument("--rounds", type=int, default=5, help="the median of this many is given")
    arguments = parser.parse_args()
    decoder = "not installed" if torchcodec is None else torchcodec.__version__
    print(
        f"av {av.__version__}, soxr {soxr.__version__}, soundfile {soundfile.__version__}, "
        f"torchcodec {decoder}, ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}"
    )
    print(f"{arguments.seconds:g} s of synthesised stereo, medians of {arguments.rounds} rounds, x real time per core")
    columns = ("ffmpeg", "soundfile", "pyav", "torchcodec", "decode", "accept")
    print(f"{'format':8}" + "".join(f"{column:>12}" for column in columns) + f"{'decode/ffmpeg':>15}")
    with tempfile.TemporaryDirectory() as folder:
        accepts: dict[str, Work] = {}
        for container in FORMATS:
            path = Path(folder, f"track.{container}")
            path.write_bytes(encode(_music(arguments.seconds), SAMPLE_RATE_HZ, container))
            accepts[container] = _accept(path)
            works = [_ffmpeg(path), _soundfile(path), _pyav(path), _torchcodec(path), _decode(path), accepts[container]]
            done = [work for work in works if work is not None]
            times = iter(_medians(done, arguments.rounds))
            speeds = [None if work is None else arguments.seconds / next(times) for work in works]
            cells = "".join(f"{'-':>12}" if speed is None else f"{speed:12.0f}" for speed in speeds)
            print(f"{container:8}{cells}{(speeds[4] or 0) / (speeds[0] or 1):15.2f}")
        print_shares(accepts, arguments.seconds, arguments.rounds)


def _medians(works: list[Work], rounds: int) -> list[float]:
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


def _ffmpeg(path: Path) -> Work:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-threads", "1", "-i", str(path)]
    command += ["-threads", "1", "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]

    def work() -> None:
        assert subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout

    return work


def _soundfile(path: Path) -> Work | None:
    if path.suffix[1:].upper() not in soundfile.available_formats():
        return None

    def work() -> None:
        sound_TC, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        mono_T = soxr.resample(sound_TC.mean(axis=1), rate_hz, 16_000, quality="HQ")
        assert len(np.clip(np.rint(mono_T * 32768.0), -32768, 32767).astype(np.int16))

    return work


def _pyav(path: Path) -> Work:
    def work() -> None:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        with av.open(str(path)) as container:
            container.streams.audio[0].codec_context.thread_count = 1
            parts = [part.to_ndarray() for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        parts += [part.to_ndarray() for part in resampler.resample(None)]
        assert np.concatenate(parts, axis=1).size

    return work


def _torchcodec(path: Path) -> Work | None:
    if torchcodec is None:
        return None
    torch.set_num_threads(1)

    def work() -> None:
        mono_1T = AudioDecoder(path, sample_rate=16_000, num_channels=1).get_all_samples().data
        assert (mono_1T * 32768.0).round_().clamp_(-32768, 32767).to(torch.int16).numel()

    return work


def _decode(path: Path) -> Work:
    def work() -> None:
        with AudioFile(path) as audio:
            resampler = Resampler(audio.sample_rate_hz)
            blocks = [resampler.add(block_CT.mean(axis=0)) for block_CT in audio.blocks()]
        assert len(np.concatenate([*blocks, resampler.end()]))

    return work


def _accept(path: Path) -> Work:
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
