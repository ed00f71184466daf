"""Judge a harvested file: measured and kept as 16 kHz mono FLAC, measured and rejected, or not sound at all."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
from numpy.typing import NDArray

from data_specs.outcomes import Outcome, failed, ok, rejected
from data_specs.publish import publish_bytes
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Harvest
from data_specs.spec import AudioSettings
from tasks.audio.container import missing_tail
from tasks.audio.decode import AudioFile, UndecodableError
from tasks.audio.limits import memory_bounded
from tasks.audio.loudness import LoudnessMeter
from tasks.audio.measure import Meter
from tasks.audio.resample import SAMPLE_RATE_HZ, Resampler
from tasks.audio.verdict import verdict

FLAC_FOLDER = Path("audio", "flac")

_DECODER_BYTES = 1 << 30
_FLAC_BYTES_PER_S = 2 * 2 * SAMPLE_RATE_HZ
"""16-bit samples, twice: a growing buffer is copied."""


def accept_audio(track_id: str, harvest: Harvest, settings: AudioSettings, workspace: Path) -> Outcome[AudioFacts]:
    """Decode a media file once, measure it, and keep it as ``audio/flac/<track_id>-<hash>.flac`` if it passes.

    A plain function of its arguments without state: runs in a process pool, equal input gives equal
    bytes. A track that breaks a bound is ``rejected`` with all that was measured; ``file`` and
    ``sha256`` of its record are empty and no file is left. Of a track above ``max_duration_s`` only
    so much is decoded, measured and hashed, and no file makes the process grow by much more than 1 GiB.

    Raises:
        OSError: the workspace cannot be written (disk full, no permission).
    """
    path = workspace / harvest.file
    trouble = _trouble_with_file(path, harvest)
    if trouble is not None:
        return trouble
    # In memory, some MB: FLAC's header is only complete at the end, and libsndfile's callbacks
    # swallow the error of a full disk.
    flac = BytesIO()
    most_bytes = _DECODER_BYTES + round(settings.max_duration_s * _FLAC_BYTES_PER_S)
    try:
        with memory_bounded(most_bytes), AudioFile(path, settings.max_duration_s) as audio:
            facts = _measured(track_id, audio, flac)
    except UndecodableError as error:
        tail = missing_tail(path)  # half an mp4 lacks the very tables that it is read by
        return failed(error.reason, str(error)) if tail is None else failed(Reason.TRUNCATED, f"{tail} ({error})")
    except MemoryError as error:
        return failed(Reason.UNDECODABLE, f"needs more than {most_bytes >> 20} MiB of memory: {error}")
    broken = verdict(facts, harvest, settings, missing_tail=audio.missing_tail, is_stopped=audio.is_stopped)
    if broken is not None:
        return rejected(facts, *broken)
    return ok(_kept(facts, flac.getvalue(), workspace))


def _trouble_with_file(path: Path, harvest: Harvest) -> Outcome[AudioFacts] | None:
    try:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            num_bytes = file.tell()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return failed(Reason.FILE_MISSING, f"no file at {path}")
    except PermissionError:
        return failed(Reason.PERMISSION_DENIED, f"{path} cannot be read by this user")
    if num_bytes == 0:
        return failed(Reason.FILE_EMPTY, f"{path} has 0 bytes")
    if sha256 != harvest.sha256:
        return failed(
            Reason.FILE_CHANGED,
            f"{path} is not the file that was harvested: {num_bytes} bytes, SHA-256 {sha256[:12]}..., "
            f"expected {harvest.num_bytes} bytes, SHA-256 {harvest.sha256[:12]}...",
        )
    return None


class _FlacWriter:
    """16-bit mono FLAC into memory, and the hash of its samples."""

    def __init__(self, flac: BytesIO) -> None:
        self._file = soundfile.SoundFile(flac, "w", SAMPLE_RATE_HZ, 1, format="FLAC", subtype="PCM_16")
        self._hash = hashlib.sha256()

    def write(self, samples_T: NDArray[np.int16]) -> None:
        self._hash.update(samples_T.tobytes())
        self._file.write(samples_T)

    @property
    def pcm_sha256(self) -> str:
        return self._hash.hexdigest()

    def __enter__(self) -> _FlacWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._file.close()


def _measured(track_id: str, audio: AudioFile, flac: BytesIO) -> AudioFacts:
    """Read ``audio`` to its end, into the meters and into ``flac``."""
    meter = Meter(audio.sample_rate_hz, audio.num_channels)
    loudness = LoudnessMeter(audio.sample_rate_hz, audio.channel_names)
    resampler = Resampler(audio.sample_rate_hz)
    with _FlacWriter(flac) as writer:
        for block_CT in audio.blocks():
            mono_T = block_CT[0] if audio.num_channels == 1 else block_CT.mean(axis=0)
            meter.add(block_CT, mono_T)
            loudness.add(block_CT)
            writer.write(resampler.add(mono_T))
        writer.write(resampler.end())
    measures = meter.measures()
    return AudioFacts(
        track_id=track_id,
        file="",
        sha256="",
        pcm_sha256=writer.pcm_sha256,
        num_bytes=0,
        duration_s=audio.duration_s,
        container_duration_s=audio.stated_duration_s,
        gap_s=audio.gap_s,
        source_sample_rate_hz=audio.sample_rate_hz,
        source_channels=audio.num_channels,
        loudness_lufs=loudness.integrated_lufs(),
        loudness_range_lu=loudness.range_lu(),
        peak_dbfs=measures.peak_dbfs,
        side_db=measures.side_db,
        silence_ratio=measures.silence_ratio,
        longest_silence_s=measures.longest_silence_s,
        clipping_ratio=measures.clipping_ratio,
        bandwidth_hz=measures.bandwidth_hz,
    )


def _kept(facts: AudioFacts, flac: bytes, workspace: Path) -> AudioFacts:
    # Content is in the name: a part made of one recording never meets another one's samples.
    target = workspace / FLAC_FOLDER / f"{facts.track_id}-{hashlib.sha256(flac).hexdigest()[:8]}.flac"
    published = publish_bytes(target, flac)
    return replace(
        facts, file=str(target.relative_to(workspace)), sha256=published.sha256, num_bytes=published.num_bytes
    )
