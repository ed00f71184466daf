"""What is measured in each section, and the words for where it stands.

Shapes: F frames, B beats, N bars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data_specs.records import Section
from tasks.structure.harmony import chord_loop, clearness
from tasks.structure.onsets import Onsets
from tasks.structure.sections import Segmentation
from tasks.structure.spectrum import FRAME_RATE_HZ, Floats, Spectrum

_ATTACK = 0.2
"""Mean rise above 3 kHz, natural-log units, from which a beat counts as struck by percussion."""
_ATTACK_REACH_S = 0.05
_LEAST_CHORD_CONFIDENCE = 0.25
_QUIETEST_DB = -60.0
_EDGE_SHARE = 0.2
"""An intro or outro is at most this share of the track."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything the facts are drawn from."""

    spectrum: Spectrum
    onsets: Onsets
    onset_times_s: Reals
    beats_s: Reals
    downbeats_s: Reals
    edges_s: Reals
    """Bar borders ``[N + 1]``."""
    bar_chords: NDArray[np.int64]
    """Chord of each bar ``[N]``."""
    bar_clarity: Reals
    """Similarity of each bar to its chord ``[N]``."""


def describe(measured: Measured, segmentation: Segmentation) -> tuple[Section, ...]:
    """One record per section, tiling the track."""
    labels = position_labels(segmentation.letters, measured.edges_s[list(segmentation.borders)])
    spans = list(pairwise(segmentation.borders))
    chords = {letter: _chords(measured, segmentation, letter) for letter in set(segmentation.letters)}
    rows = zip(spans, segmentation.letters, labels, strict=True)
    return tuple(_section(measured, *span, letter, label, *chords[letter]) for span, letter, label in rows)


def position_labels(letters: tuple[str, ...], borders_s: Reals) -> tuple[str, ...]:
    """``intro`` and ``outro`` where the first or last section is short and its music never returns."""
    labels = ["section"] * len(letters)
    longest = _EDGE_SHARE * float(borders_s[-1])
    if len(letters) < 3:
        return tuple(labels)
    for place, label in ((0, "intro"), (-1, "outro")):
        length = float(borders_s[1] - borders_s[0]) if place == 0 else float(borders_s[-1] - borders_s[-2])
        if letters.count(letters[place]) == 1 and length <= longest:
            labels[place] = label
    return tuple(labels)


def beat_attacks(high_F: Floats, beats_s: Reals) -> Reals:
    """Largest rise above 3 kHz within 50 ms of each beat ``[B]``."""
    return near_beats(high_F, beats_s, _ATTACK_REACH_S)


def near_beats(curve_F: Floats, beats_s: Reals, reach_s: float) -> Reals:
    """Maximum of a curve ``[F]`` around each beat ``[B]``."""
    reach = round(reach_s * FRAME_RATE_HZ)
    frames = np.round(beats_s * FRAME_RATE_HZ).astype(int)[:, None] + np.arange(-reach, reach + 1)
    return curve_F[np.clip(frames, 0, len(curve_F) - 1)].max(axis=1).astype(np.float64)


def _section(
    measured: Measured,
    first: int,
    last: int,
    letter: str,
    label: str,
    chords: tuple[str, ...],
    chords_confidence: float,
) -> Section:
    start_s, end_s = float(measured.edges_s[first]), float(measured.edges_s[last])
    spectrum = measured.spectrum
    begin = min(round(start_s * FRAME_RATE_HZ), len(spectrum.power_F) - 1)
    frames = slice(begin, max(round(end_s * FRAME_RATE_HZ), begin + 1))
    power = float(spectrum.power_F[frames].mean(dtype=np.float64))
    track_power = float(spectrum.power_F.mean(dtype=np.float64))
    sounding = spectrum.centroid_F[frames][spectrum.power_F[frames] > 1e-4 * track_power]
    beats = measured.beats_s[_inside(measured.beats_s, start_s, end_s)]
    attacks = beat_attacks(measured.onsets.high_F, beats) if len(beats) else np.zeros(0)
    num_onsets = int(np.count_nonzero(_inside(measured.onset_times_s, start_s, end_s)))
    bass_power = float(spectrum.bass_power_F[frames].mean(dtype=np.float64))
    return Section(
        start_s=round(start_s, 2),
        end_s=round(end_s, 2),
        label=label,
        letter=letter,
        num_bars=last - first,
        loudness_db=round(max(10 * math.log10(max(power, 1e-12) / track_power), _QUIETEST_DB), 1),
        onset_rate_hz=round(num_onsets / max(end_s - start_s, 1e-3), 2),
        brightness_hz=round(float(np.median(sounding)) if len(sounding) else 0.0, -1),
        percussion=round(float(np.mean(attacks > _ATTACK)) if len(attacks) else 0.0, 2),
        bass=round(bass_power / power if power > 1e-12 else 0.0, 2),
        chords=chords,
        chords_confidence=chords_confidence,
    )


def _chords(measured: Measured, segmentation: Segmentation, letter: str) -> tuple[tuple[str, ...], float]:
    """Chord loop of all sections of a letter and its confidence; nothing where it would be a guess."""
    spans = zip(pairwise(segmentation.borders), segmentation.letters, strict=True)
    bars = [slice(*span) for span, other in spans if other == letter]
    loop, share = chord_loop([measured.bar_chords[part] for part in bars])
    clarity = clearness(np.concatenate([measured.bar_clarity[part] for part in bars]))
    confidence = round(share * clarity, 2)
    return (loop, confidence) if confidence >= _LEAST_CHORD_CONFIDENCE else ((), 0.0)


def _inside(times_s: Reals, start_s: float, end_s: float) -> NDArray[np.bool_]:
    return (times_s >= start_s) & (times_s < end_s)
