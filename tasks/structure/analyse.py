"""The analyser: a track's samples in, its ``Structure`` out.

Pure numpy and scipy, no weights. Equal samples give equal records: floats are rounded where they
are stored, so the last bits of a matrix product do not show.

Shapes: T samples, B beats, N bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from data_specs.outcomes import Outcome, failed, ok
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Structure
from data_specs.spec import StructureSettings
from tasks.structure import bars, beats, facts, harmony, onsets, pitch, sections, spectrum, tempo
from tasks.structure.bar_features import bar_features
from tasks.structure.spans import mean_between

ENGINE = "core-1"
MIN_DURATION_S = 3.0
_FEWEST_BEATS = 8
_SILENT_PEAK = 1e-4
"""-80 dBFS: what a 16-bit file holds below this is dither."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    beats_per_bar: int
    beats_s: Reals
    downbeats_s: Reals


class NotAnalysableError(ValueError):
    """The samples hold nothing to analyse: too short, or silent. Another attempt gives the same answer."""


def analyse_track(audio: AudioFacts, settings: StructureSettings, workspace: Path) -> Outcome[Structure]:
    """Analyse the 16 kHz mono file of an accepted track."""
    with open(workspace / audio.file, "rb") as file:  # libsndfile would not say that a file is missing
        samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    if rate_hz != spectrum.SAMPLE_RATE_HZ or samples.shape[1] != 1:
        raise ValueError(f"{audio.file}: expected 16000 Hz mono, got {rate_hz} Hz with {samples.shape[1]} channels")
    try:
        return ok(analyse(samples[:, 0], audio.track_id, settings))
    except NotAnalysableError as error:
        return failed(Reason.ANALYSIS_FAILED, str(error))


def analyse(samples: NDArray[np.float32], track_id: str, settings: StructureSettings) -> Structure:
    """Structure of 16 kHz mono samples ``[T]``.

    Raises:
        NotAnalysableError: shorter than 3 s, silent, or not finite.
    """
    duration_s = len(samples) / spectrum.SAMPLE_RATE_HZ
    _check(samples, duration_s)
    samples = spectrum.levelled(samples.astype(np.float32, copy=False))
    spectra = spectrum.measure(samples)
    rises = onsets.detect(spectra.log_mel_FM)
    onset_F = onsets.onset_frames(rises.strength_F)
    pulse = tempo.estimate(rises.strength_F)
    beats_s = beats.track_beats(rises.strength_F, pulse.local_period_F, onset_F)
    chroma = pitch.chroma(samples)
    grid = _metrical_grid(chroma, rises, beats_s)
    beats_s, downbeats_s = grid.beats_s, grid.downbeats_s
    edges_s = bars.bar_edges(downbeats_s, duration_s)
    chords = harmony.decode_chords(*_between(chroma, edges_s))
    segmentation = sections.segment(bar_features(spectra, rises, chroma, edges_s), edges_s, settings.min_section_s)
    starts = np.array(segmentation.borders[:-1])
    clarity = harmony.clearness(chords.clarity_B)
    harmony_BC, bass_BC = _between(chroma, _beat_edges(beats_s, duration_s))
    key, key_confidence = harmony.find_key(harmony_BC, bass_BC, chords.chord_B, clarity, starts)
    measured = facts.Measured(
        spectrum=spectra,
        onsets=rises,
        onset_times_s=onset_F / spectrum.FRAME_RATE_HZ,
        beats_s=beats_s,
        downbeats_s=downbeats_s,
        edges_s=edges_s,
        bar_chords=chords.chord_B,
        bar_clarity=chords.clarity_B,
    )
    return Structure(
        track_id=track_id,
        engine=ENGINE,
        duration_s=round(duration_s, 2),
        tempo_bpm=round(beats.refined_tempo(beats_s, pulse.period_frames), 1),
        tempo_confidence=round(pulse.confidence, 2),
        tempo_alternatives=tuple(round(bpm, 1) for bpm in pulse.alternatives_bpm),
        beats_per_bar=grid.beats_per_bar,
        beats_s=_times(beats_s),
        downbeats_s=_times(downbeats_s),
        tuning_cents=chroma.tuning_cents,
        key=key,
        key_confidence=round(key_confidence, 2),
        sections=facts.describe(measured, segmentation),
        sections_confidence=round(segmentation.confidence, 2),
    )


def _check(samples: NDArray[np.float32], duration_s: float) -> None:
    if duration_s < MIN_DURATION_S:
        raise NotAnalysableError(f"{duration_s:.2f} s long; at least {MIN_DURATION_S:.0f} s are needed")
    if not np.isfinite(samples).all():
        raise NotAnalysableError("some samples are not finite numbers")
    if float(np.abs(samples).max()) < _SILENT_PEAK:
        raise NotAnalysableError("silent: no sample above -80 dBFS")


def _beat_edges(beats_s: Reals, duration_s: float) -> Reals:
    """Borders of the beats ``[B + 1]``; half seconds where there are too few beats to speak of."""
    if len(beats_s) < _FEWEST_BEATS:
        return np.arange(0, duration_s + 0.5, 0.5)
    return np.append(beats_s, beats_s[-1] + np.median(np.diff(beats_s)))


def _between(chroma: pitch.Chroma, edges_s: Reals) -> tuple[Reals, Reals]:
    """Mean chroma of harmony and bass between neighbouring edges."""
    harmony_EC = mean_between(chroma.harmony_GC, pitch.CHROMA_RATE_HZ, edges_s)
    return harmony_EC, mean_between(chroma.bass_GC, pitch.CHROMA_RATE_HZ, edges_s)


def _metrical_grid(chroma: pitch.Chroma, rises: onsets.Onsets, beats_s: Reals) -> _Grid:
    """Beats and bars; with too few beats every fourth counts as the first of a bar."""
    if len(beats_s) < _FEWEST_BEATS:
        return _Grid(beats_per_bar=4, beats_s=beats_s, downbeats_s=beats_s[::4])
    half_s = bars.half_beats(beats_s)
    harmony_HC, bass_HC = _between(chroma, np.append(half_s, 2 * half_s[-1] - half_s[-2]))
    change_H = bars.change_cue(harmony_HC, bass_HC, facts.near_beats(rises.low_F, half_s, 0.03))
    meter = bars.group_half_beats(change_H, facts.near_beats(rises.strength_F, half_s, 0.03))
    return _Grid(beats_per_bar=meter.beats_per_bar, beats_s=half_s[meter.beat_H], downbeats_s=half_s[meter.downbeat_H])


def _times(times_s: Reals) -> tuple[float, ...]:
    return tuple(round(float(t), 2) for t in times_s)
