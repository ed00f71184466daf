"""What is measured in each section, and the words for where it stands.

Shapes: F frames, B beats, N bars, H half bars, C = 12 pitch classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data_specs.records import Section
from tasks.structure import harmony
from tasks.structure.changes import changes_between
from tasks.structure.forms import variants
from tasks.structure.onsets import Onsets, near_beats
from tasks.structure.sections import Segmentation
from tasks.structure.spectrum import FRAME_RATE_HZ, Spectrum

_ATTACK = 0.15
"""Mean rise above 6.5 kHz, natural-log units, less what the notes explain, that a stroke of percussion has."""
_NOTES_SHARE = 0.3
"""Of a rise in the middle that a plucked note may have above 6.5 kHz too."""
_DRUM_LOW, _DRUM_CLICK = 0.6, 0.08
"""Rises below 200 Hz and above 3 kHz that come together in a bass drum."""
_ATTACK_REACH_S = 0.05
_LEAST_CHORD_CONFIDENCE = 0.25
_LEAST_KEY_S = 10.0
"""Shorter sections have too few chords to tell a key."""
_LEAST_KEY_CONFIDENCE = 0.1
_QUIETEST_DB = -60.0
_EDGE_SHARE = 0.2
"""An intro or outro is at most this share of the track."""
_SOUNDING = 1e-4
"""Of the track's mean power: 40 dB below it a frame is silent."""
_SILENT_SHARE = 0.95
"""Of its frames; then a section is called silence, and has neither colour nor bass."""

Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Everything the facts are drawn from."""

    spectrum: Spectrum
    onsets: Onsets
    harmony_HC: Reals
    """Mean chroma of each half bar ``[H]``, two rows a bar."""
    bass_HC: Reals
    onset_times_s: Reals
    beats_s: Reals
    edges_s: Reals
    """Bar borders ``[N + 1]``."""
    chords: harmony.Chords
    """One per bar."""
    key: str
    """Of the track."""


def describe(measured: Measured, segmentation: Segmentation, labels: tuple[str, ...]) -> tuple[Section, ...]:
    """One record per section, tiling the track, with its changes against the one before."""
    loops = {letter: _loop(measured, segmentation, letter) for letter in set(segmentation.letters)}
    sections = tuple(
        _section(measured, segmentation, place, label, *loops[segmentation.letters[place]])
        for place, label in enumerate(labels)
    )
    forms = variants(sections)
    changes = ((), *(changes_between(before, after) for before, after in pairwise(sections)))
    rows = zip(sections, forms, changes, strict=True)
    return tuple(replace(section, variant=form, changes=change) for section, form, change in rows)


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


def is_struck(onsets: Onsets, beats_s: Reals) -> NDArray[np.bool_]:
    """Whether percussion strikes within 50 ms of each beat ``[B]``.

    Cymbals, shakers and brushes rise above 6.5 kHz more than plucked notes do; a bass drum rises at
    the bottom and clicks.
    """
    low, middle, high, top = (
        near_beats(curve_F, beats_s, _ATTACK_REACH_S)
        for curve_F in (onsets.low_F, onsets.middle_F, onsets.high_F, onsets.top_F)
    )
    return (top - _NOTES_SHARE * middle > _ATTACK) | ((low > _DRUM_LOW) & (high > _DRUM_CLICK))


def _section(
    measured: Measured,
    segmentation: Segmentation,
    place: int,
    label: str,
    chords: tuple[str, ...],
    chords_confidence: float,
) -> Section:
    first, last = segmentation.borders[place : place + 2]
    start_s, end_s = float(measured.edges_s[first]), float(measured.edges_s[last])
    spectrum = measured.spectrum
    begin = min(round(start_s * FRAME_RATE_HZ), len(spectrum.power_F) - 1)
    frames = slice(begin, max(round(end_s * FRAME_RATE_HZ), begin + 1))
    track_power = float(spectrum.power_F.mean(dtype=np.float64))
    sounds_F = spectrum.power_F[frames] > _SOUNDING * track_power
    is_silent = float(np.mean(sounds_F)) <= 1 - _SILENT_SHARE
    # The windows at the ends of a silence reach into its neighbours.
    power_F = spectrum.power_F[frames][~sounds_F] if is_silent else spectrum.power_F[frames]
    power = float(power_F.mean(dtype=np.float64))
    centroid_F = spectrum.centroid_F[frames][sounds_F]
    beats = measured.beats_s[_inside(measured.beats_s, start_s, end_s)]
    num_onsets = int(np.count_nonzero(_inside(measured.onset_times_s, start_s, end_s)))
    bass_power = float(spectrum.bass_power_F[frames].mean(dtype=np.float64))
    key, key_confidence = _key(measured, first, last)
    return Section(
        start_s=round(start_s, 2),
        end_s=round(end_s, 2),
        label="silence" if is_silent else label,
        letter=segmentation.letters[place],
        variant=0,  # needs all sections, see ``describe``
        letter_confidence=round(segmentation.letter_confidences[place], 2),
        boundary_confidence=round(segmentation.boundary_confidences[place], 2),
        num_bars=last - first,
        loudness_db=round(max(10 * math.log10(max(power, 1e-12) / track_power), _QUIETEST_DB), 1),
        onset_rate_hz=round(num_onsets / max(end_s - start_s, 1e-3), 2),
        brightness_hz=0.0 if is_silent else round(float(np.median(centroid_F)), -1),
        percussion=round(float(np.mean(is_struck(measured.onsets, beats))) if len(beats) else 0.0, 2),
        bass=0.0 if is_silent else round(bass_power / power, 2),
        chords=chords,
        chords_confidence=chords_confidence,
        key=key,
        key_confidence=key_confidence,
        changes=(),
    )


def _loop(measured: Measured, segmentation: Segmentation, letter: str) -> tuple[tuple[str, ...], float]:
    """Chord loop of all sections of a letter and its confidence; nothing where it would be a guess."""
    spans = zip(pairwise(segmentation.borders), segmentation.letters, strict=True)
    bars = [slice(*span) for span, other in spans if other == letter]
    loop, share = harmony.chord_loop([measured.chords.chord_B[part] for part in bars])
    clarity = harmony.clearness(np.concatenate([measured.chords.clarity_B[part] for part in bars]))
    confidence = round(share * clarity, 2)
    return (loop, confidence) if confidence >= _LEAST_CHORD_CONFIDENCE else ((), 0.0)


def _key(measured: Measured, first: int, last: int) -> tuple[str, float]:
    """Key of the bars ``first`` to ``last`` and its confidence; nothing where it would be a guess."""
    edges_s = measured.edges_s[first : last + 1]
    if edges_s[-1] - edges_s[0] < _LEAST_KEY_S:
        return "", 0.0
    clarity = harmony.clearness(measured.chords.clarity_B[first:last])
    halves = slice(2 * first, 2 * last)
    key, sure = harmony.find_section_key(
        measured.harmony_HC[halves],
        measured.bass_HC[halves],
        measured.chords.chord_B[first:last],
        clarity,
        measured.key,
    )
    return (key, round(sure, 2)) if sure >= _LEAST_KEY_CONFIDENCE else ("", 0.0)


def _inside(times_s: Reals, start_s: float, end_s: float) -> NDArray[np.bool_]:
    return (times_s >= start_s) & (times_s < end_s)
