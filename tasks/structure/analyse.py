"""The analyser: a track's samples in, its ``Structure`` out.

Pure numpy and scipy, no weights. Equal samples give equal records: floats are rounded where they
are stored, so the last bits of a matrix product do not show. Beats and sections of other engines
take the place of what is heard where the settings name them; everything else is measured within them.

Shapes: T samples, B beats, N bars.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from data_specs.outcomes import Outcome, failed, ok
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Structure
from data_specs.spec import StructureSettings
from tasks.structure import bars, facts, harmony, onsets, pitch, rhythm, sections, spectrum
from tasks.structure.bar_features import BarFeatures, bar_features, subdivide
from tasks.structure.engines.choose import Given, read_given
from tasks.structure.engines.given import EngineFileError, GivenSections
from tasks.structure.engines.songformer import HIT_RATE

ENGINE = "core-2"
MIN_DURATION_S = 3.0
_SILENT_PEAK = 1e-4
"""-80 dBFS: what a 16-bit file holds below this is dither."""

Reals = NDArray[np.float64]


class NotAnalysableError(ValueError):
    """The samples hold nothing to analyse: too short, or silent. Another attempt gives the same answer."""


def analyse_track(audio: AudioFacts, settings: StructureSettings, workspace: Path) -> Outcome[Structure]:
    """Analyse the 16 kHz mono file of an accepted track."""
    with open(workspace / audio.file, "rb") as file:  # libsndfile would not say that a file is missing
        samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    if rate_hz != spectrum.SAMPLE_RATE_HZ or samples.shape[1] != 1:
        raise ValueError(f"{audio.file}: expected 16000 Hz mono, got {rate_hz} Hz with {samples.shape[1]} channels")
    try:
        given = read_given(audio.track_id, settings, len(samples) / spectrum.SAMPLE_RATE_HZ)
        return ok(analyse(samples[:, 0], audio.track_id, settings, given))
    except NotAnalysableError as error:
        return failed(Reason.ANALYSIS_FAILED, str(error))
    except EngineFileError as error:
        return failed(error.reason, str(error))


def analyse(
    samples: NDArray[np.float32], track_id: str, settings: StructureSettings, given: Given | None = None
) -> Structure:
    """Structure of 16 kHz mono samples ``[T]``, with what other engines gave in place of what is heard.

    Raises:
        NotAnalysableError: shorter than 3 s, silent, or not finite.
    """
    given = given or Given()
    duration_s = len(samples) / spectrum.SAMPLE_RATE_HZ
    _check(samples, duration_s)
    samples = spectrum.levelled(samples.astype(np.float32, copy=False))
    spectra = spectrum.measure(samples)
    rises = onsets.detect(spectra.log_mel_FM)
    onset_F = onsets.onset_frames(rises)
    chroma = pitch.chroma(samples)
    pulse = rhythm.take(given.beats, rises, duration_s) if given.beats else rhythm.hear(rises, onset_F, chroma)
    edges_s = bars.bar_edges(pulse.downbeats_s, duration_s)
    if given.sections:
        edges_s = bars.edges_through(edges_s, np.array(given.sections.borders_s))
    features = bar_features(spectra, rises, chroma, edges_s)
    if given.sections:
        segmentation, labels = _given_sections(given.sections, features, edges_s)
    else:
        segmentation = sections.segment(features, edges_s, settings.min_section_s, pulse.tempo_confidence)
        labels = facts.position_labels(segmentation.letters, edges_s[list(segmentation.borders)])
    chords = harmony.decode_chords(*rhythm.between(chroma, edges_s))
    key, key_confidence = harmony.find_key(
        *rhythm.between(chroma, _beat_edges(pulse.beats_s, duration_s)),
        chords.chord_B,
        harmony.clearness(chords.clarity_B),
        np.array(segmentation.borders[:-1]),
    )
    harmony_HC, bass_HC = rhythm.between(chroma, subdivide(edges_s, 2))
    measured = facts.Measured(
        spectrum=spectra,
        onsets=rises,
        harmony_HC=harmony_HC,
        bass_HC=bass_HC,
        onset_times_s=onset_F / spectrum.FRAME_RATE_HZ,
        beats_s=pulse.beats_s,
        edges_s=edges_s,
        chords=chords,
        key=key,
    )
    return Structure(
        track_id=track_id,
        engine="+".join((ENGINE, *given.engines)),
        duration_s=round(duration_s, 2),
        tempo_bpm=round(pulse.tempo_bpm, 1),
        tempo_confidence=round(pulse.tempo_confidence, 2),
        tempo_alternatives=tuple(round(bpm, 1) for bpm in pulse.alternatives_bpm),
        beats_per_bar=pulse.beats_per_bar,
        meter_confidence=round(pulse.meter_confidence, 2),
        beats_s=_times(pulse.beats_s),
        downbeats_s=_times(pulse.downbeats_s),
        tuning_cents=round(chroma.tuning.cents, 1),
        tuning_confidence=round(chroma.tuning.confidence, 2),
        chords=harmony.chord_spans(chords.chord_B, chords.clarity_B, edges_s),
        key=key,
        key_confidence=round(key_confidence, 2),
        sections=facts.describe(measured, segmentation, labels),
        sections_confidence=round(segmentation.confidence, 2),
    )


def _check(samples: NDArray[np.float32], duration_s: float) -> None:
    if duration_s < MIN_DURATION_S:
        raise NotAnalysableError(f"{duration_s:.2f} s long; at least {MIN_DURATION_S:.0f} s are needed")
    if not np.isfinite(samples).all():
        raise NotAnalysableError("some samples are not finite numbers")
    if float(np.abs(samples).max()) < _SILENT_PEAK:
        raise NotAnalysableError("silent: no sample above -80 dBFS")


def _given_sections(
    given: GivenSections, features: BarFeatures, edges_s: Reals
) -> tuple[sections.Segmentation, tuple[str, ...]]:
    """Another engine's sections on a grid that holds their borders, and their labels."""
    borders = tuple(np.searchsorted(edges_s, given.borders_s).tolist())
    return sections.segment_at(features, edges_s, borders, HIT_RATE), given.labels


def _beat_edges(beats_s: Reals, duration_s: float) -> Reals:
    """Borders of the beats ``[B + 1]``; half seconds where there are too few beats to speak of."""
    if len(beats_s) < rhythm.FEWEST_BEATS:
        return np.arange(0, duration_s + 0.5, 0.5)
    return np.append(beats_s, beats_s[-1] + np.median(np.diff(beats_s)))


def _times(times_s: Reals) -> tuple[float, ...]:
    return tuple(round(float(t), 2) for t in times_s)
