"""The rhythm of a track: tempo, beats and bars, heard from its onsets or taken from another engine's beats.

Shapes: F frames, B beats, H half beats.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.structure import bars, beats, tempo
from tasks.structure.engines.given import GivenBeats
from tasks.structure.onsets import Onsets, near_beats
from tasks.structure.pitch import CHROMA_RATE_HZ, Chroma
from tasks.structure.spans import mean_between
from tasks.structure.spectrum import FRAME_RATE_HZ

FEWEST_BEATS = 8
_ON_BEAT_S = 0.03
_EVEN = 0.1
"""An interval that differs from the median by less than this share is one beat."""
_MOST_TEMPO, _MOST_METER = 0.9, 0.75
"""Confidence of another engine's perfectly even beats and bars: evenness cannot rule out half or double the tempo,
and says still less of which beat is the first."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """Tempo and metrical grid."""

    tempo_bpm: float
    tempo_confidence: float
    alternatives_bpm: tuple[float, ...]
    beats_per_bar: int
    meter_confidence: float
    beats_s: Reals
    downbeats_s: Reals


def hear(onsets: Onsets, onset_F: NDArray[np.int64], chroma: Chroma) -> Rhythm:
    """Rhythm from onsets, and bars also from where the harmony changes."""
    pulse = tempo.estimate(onsets.strength_F)
    beats_s = beats.track_beats(onsets.strength_F, pulse.local_period_F, onset_F)
    grid = _Grid(beats_per_bar=4, confidence=0.0, beats_s=beats_s, downbeats_s=beats_s[::4])
    if len(beats_s) >= FEWEST_BEATS:
        grid = _metrical_grid(chroma, onsets, beats_s)
    return Rhythm(
        tempo_bpm=beats.refined_tempo(grid.beats_s, pulse.period_frames),
        tempo_confidence=pulse.confidence,
        alternatives_bpm=pulse.alternatives_bpm,
        beats_per_bar=grid.beats_per_bar,
        meter_confidence=grid.confidence * pulse.confidence**0.5,  # bars of beats that are a guess are one too
        beats_s=grid.beats_s,
        downbeats_s=grid.downbeats_s,
    )


def take(given: GivenBeats, onsets: Onsets, duration_s: float) -> Rhythm:
    """Rhythm from another engine's beats; other readings of the tempo are still those of the onsets.

    The engine says nothing of its certainty: the share of even intervals stands for it. Too few
    beats to speak of a tempo leave it to the onsets, without confidence.
    """
    beats_s = np.array([time for time in given.beats_s if time <= duration_s])
    downbeats_s = np.array([time for time in given.downbeats_s if time <= duration_s])
    if len(beats_s) < FEWEST_BEATS:
        pulse = tempo.estimate(onsets.strength_F)
        bpm, even, readings = 60 * FRAME_RATE_HZ / pulse.period_frames, 0.0, pulse.alternatives_bpm
    else:
        intervals = np.diff(beats_s)
        period_s = float(np.median(intervals))
        bpm = beats.refined_tempo(beats_s, period_s * FRAME_RATE_HZ)
        even = float(np.mean(np.abs(intervals / period_s - 1) <= _EVEN))
        readings = tempo.other_readings(onsets.strength_F, 60 * FRAME_RATE_HZ / bpm)
    per_bar, share = _beats_per_bar(beats_s, downbeats_s)
    return Rhythm(
        tempo_bpm=bpm,
        tempo_confidence=_MOST_TEMPO * even,
        alternatives_bpm=readings,
        beats_per_bar=per_bar,
        meter_confidence=_MOST_METER * share,
        beats_s=beats_s,
        downbeats_s=downbeats_s,
    )


def between(chroma: Chroma, edges_s: Reals) -> tuple[Reals, Reals]:
    """Mean chroma of harmony and bass between neighbouring edges."""
    harmony_EC = mean_between(chroma.harmony_GC, CHROMA_RATE_HZ, edges_s)
    return harmony_EC, mean_between(chroma.bass_GC, CHROMA_RATE_HZ, edges_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    beats_per_bar: int
    confidence: float
    beats_s: Reals
    downbeats_s: Reals


def _metrical_grid(chroma: Chroma, onsets: Onsets, beats_s: Reals) -> _Grid:
    half_s = bars.half_beats(beats_s)
    harmony_HC, bass_HC = between(chroma, np.append(half_s, 2 * half_s[-1] - half_s[-2]))
    change_H = bars.change_cue(harmony_HC, bass_HC, near_beats(onsets.low_F, half_s, _ON_BEAT_S))
    meter = bars.group_half_beats(change_H, near_beats(onsets.strength_F, half_s, _ON_BEAT_S))
    return _Grid(
        beats_per_bar=meter.beats_per_bar,
        confidence=meter.confidence,
        beats_s=half_s[meter.beat_H],
        downbeats_s=half_s[meter.downbeat_H],
    )


def _beats_per_bar(beats_s: Reals, downbeats_s: Reals) -> tuple[int, float]:
    """The most frequent length of a bar in beats, and the share of bars that have it; four, unsure, without bars."""
    lengths = np.diff(np.searchsorted(beats_s, downbeats_s))
    if len(lengths) == 0:
        return 4, 0.0
    per_bar, count = Counter(lengths.tolist()).most_common(1)[0]
    return int(per_bar), count / len(lengths)
