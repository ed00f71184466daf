"""Key, chords and chord loops from beat-synchronous chroma.

Shapes: B beats, C = 12 pitch classes (C first), K = 24 chords or keys (12 major, then 12 minor), N bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from data_specs.records import ChordSpan
from tasks.structure.tempo import best_path

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
KEYS = tuple(f"{name} {mode}" for mode in ("major", "minor") for name in PITCH_CLASSES)
CHORDS = tuple(PITCH_CLASSES) + tuple(f"{name}m" for name in PITCH_CLASSES)

_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""Probe-tone ratings of Krumhansl and Kessler (1982), as used by the Krumhansl-Schmuckler key finder (1990)."""
_BASS_CUE, _SHARE_CUE, _START_CUE, _LAST_CUE, _TRACK_CUE = 0.3, 0.6, 0.6, 0.2, 0.4
"""What bass, frequent chords, first chords of sections, the last chord and the track's key add to a correlation."""
_TONAL = 0.03
"""Sum of a chroma vector of levelled sound from which tones are heard; noise has .006, quiet music .1."""
_NO_CHORD = 0.7
"""Similarity to the best triad below which no chord is heard; noise has about .65."""
_CLEAR_MARGIN = 0.5
"""Lead over the second-best key that leaves no doubt."""
_LOOP_SHARE = 0.8
"""Of the bars that a loop must explain."""
_LOOP_BARS = (1, 2, 4, 8)
_BASS_WEIGHT = 0.2
_SHARPNESS = 12.0
"""Chord evidence per unit of template similarity, against what staying earns."""
_STAY = 1.0

Reals = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chords:
    """One chord per beat."""

    chord_B: Ints
    clarity_B: Reals
    """Similarity of the beat's chroma to its chord, 0..1; lower where hardly any tone is heard."""


def unit_rows(rows: Reals) -> Reals:
    """Rows scaled to unit length; rows of zeros stay zero."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)


def chord_templates() -> Reals:
    """Unit vectors ``[K, C]``: triads whose notes sound with their third and fifth partials.

    Without the partials a minor triad passes for major: the fifth partial of its root is the major third.
    """
    note = np.zeros(12)
    note[[0, 7, 4]] = 1.0, 0.2, 0.2
    triads = [note + np.roll(note, third) + np.roll(note, 7) for third in (4, 3)]
    return unit_rows(np.stack([np.roll(triad, root) for triad in triads for root in range(12)]))


def decode_chords(harmony_BC: Reals, bass_BC: Reals) -> Chords:
    """The smoothest well-fitting chord sequence (templates of Fujishima 1999, Viterbi of Sheh and Ellis 2003)."""
    if len(harmony_BC) == 0:
        return Chords(chord_B=np.zeros(0, dtype=np.int64), clarity_B=np.zeros(0))
    fit_BK = unit_rows(harmony_BC) @ chord_templates().T
    root_BK = np.tile(unit_rows(bass_BC), 2)
    stay = _STAY * np.eye(24)
    chord_B = best_path(_SHARPNESS * (fit_BK + _BASS_WEIGHT * root_BK), stay)
    # A stray partial or two of a noise fit some triad well.
    heard_B = np.minimum(harmony_BC.sum(axis=1) / _TONAL, 1)
    return Chords(chord_B=chord_B, clarity_B=fit_BK[np.arange(len(chord_B)), chord_B] * heard_B)


def key_profiles() -> Reals:
    """Centred unit vectors ``[K, C]``, so that a dot product with a centred chroma is a correlation."""
    rows = np.stack([np.roll(profile, tonic) for profile in (_MAJOR, _MINOR) for tonic in range(12)])
    return unit_rows(rows - rows.mean(axis=1, keepdims=True))


def key_scores(chroma_C: Reals) -> Reals:
    """Correlation ``[K]`` of a chroma vector with the profile of each key."""
    return key_profiles() @ unit_rows(chroma_C - chroma_C.mean())


def find_key(harmony_BC: Reals, bass_BC: Reals, bar_chords_N: Ints, clarity: float, starts: Ints) -> tuple[str, float]:
    """The track's key and a confidence 0..1.

    Krumhansl-Schmuckler over the whole track. Relative keys share their notes, so the chords decide
    between them: the tonic chord sounds often, begins sections (``starts``, bar indices) and ends the track.
    """
    score = _key_evidence(harmony_BC, bass_BC, bar_chords_N, starts)
    score[bar_chords_N[-1]] += _LAST_CUE
    return _decided(score, harmony_BC, clarity)


def find_section_key(
    harmony_BC: Reals, bass_BC: Reals, bar_chords_N: Ints, clarity: float, track_key: str
) -> tuple[str, float]:
    """The key of a section and a confidence 0..1; the track's key needs less evidence than another.

    Most sections stay in the track's key, and a few chords alone would often fit a neighbouring one.
    """
    score = _key_evidence(harmony_BC, bass_BC, bar_chords_N, np.zeros(1, dtype=np.int64))
    score[KEYS.index(track_key)] += _TRACK_CUE
    return _decided(score, harmony_BC, clarity)


def _key_evidence(harmony_BC: Reals, bass_BC: Reals, bar_chords_N: Ints, starts: Ints) -> Reals:
    """What speaks for each key ``[K]``."""
    profile = key_scores(unit_rows(harmony_BC).mean(axis=0))
    bass = key_scores(unit_rows(bass_BC).mean(axis=0))
    chords = _SHARE_CUE * _shares(bar_chords_N) + _START_CUE * _shares(bar_chords_N[starts])
    return profile + _BASS_CUE * bass + chords


def _decided(score: Reals, harmony_BC: Reals, clarity: float) -> tuple[str, float]:
    """The best key ``[K]``; sure where it leads clearly, most stretches of the music agree and the sound has chords."""
    best = int(np.argmax(score))
    margin = float(np.clip((score[best] - np.delete(score, best).max()) / _CLEAR_MARGIN, 0, 1))
    pieces = np.array_split(unit_rows(harmony_BC), max(len(harmony_BC) // 32, 1))
    votes = [key_scores(piece.mean(axis=0)) for piece in pieces]
    agreement = float(np.mean([vote[best] >= vote.max() - 0.1 for vote in votes]))
    return KEYS[best], margin**0.5 * agreement * clarity


def _shares(chords: Ints) -> Reals:
    """How often each chord occurs ``[K]``, as a share."""
    return np.bincount(chords, minlength=len(CHORDS)) / max(len(chords), 1)


def clearness(clarity_B: Reals) -> float:
    """How chord-like the sound is, 0..1: noise fits its best triad with about .65, played triads with .85 and up."""
    return float(np.clip((np.mean(clarity_B) - 0.65) / 0.2, 0, 1)) if len(clarity_B) else 0.0


def chord_spans(chord_N: Ints, clarity_N: Reals, edges_s: Reals) -> tuple[ChordSpan, ...]:
    """Chords of the bars between ``edges_s[N + 1]``, equal neighbours joined; ``N`` where no chord is heard."""
    names = [CHORDS[chord] if clear >= _NO_CHORD else "N" for chord, clear in zip(chord_N, clarity_N, strict=True)]
    spans = []
    for name, places in groupby(range(len(names)), names.__getitem__):
        bars = list(places)
        clear = clearness(clarity_N[bars])
        spans.append(
            ChordSpan(
                start_s=round(float(edges_s[bars[0]]), 2),
                end_s=round(float(edges_s[bars[-1] + 1]), 2),
                name=name,
                confidence=round(1 - clear if name == "N" else clear, 2),
            )
        )
    return tuple(spans)


def chord_loop(sections: list[Ints]) -> tuple[tuple[str, ...], float]:
    """The loop that the bars of sections with the same music repeat, and the share of bars that follow it.

    Every section starts the loop anew. Loops of 1, 2, 4 or 8 bars that come round twice are tried; the
    shortest wins that explains nearly as many bars as the best. Empty where none explains four fifths.
    """
    num_bars = sum(len(chord_N) for chord_N in sections)
    longest = min(num_bars // 2, max(len(chord_N) for chord_N in sections))
    found = [_loop_of(sections, length, num_bars) for length in _LOOP_BARS if length <= longest]
    if not found or max(share for _, share in found) < _LOOP_SHARE:
        return (), 0.0
    bar = max(max(share for _, share in found) - 0.06, _LOOP_SHARE)
    return next((loop, share) for loop, share in found if share >= bar)


def _loop_of(sections: list[Ints], length: int, num_bars: int) -> tuple[tuple[str, ...], float]:
    """Most frequent chord at each bar of a loop of this length, and the share of bars it explains."""
    phases = [np.concatenate([chord_N[phase::length] for chord_N in sections]) for phase in range(length)]
    counts = [np.bincount(chords, minlength=len(CHORDS)) for chords in phases]
    return tuple(CHORDS[int(count.argmax())] for count in counts), sum(int(c.max()) for c in counts) / num_bars
