"""Bars: where beats fall, which of them begin a bar, and a grid of bars that covers the whole track.

Onsets alone leave it open whether a loud backbeat or off-beat is the beat. Harmony says: chords and
bass change where a bar begins. So beats and bars are read together from a grid of half beats.

Shapes: B beats, H half beats, N bars, P positions in the bar (half beats).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tasks.structure.harmony import unit_rows
from tasks.structure.tempo import best_path

_SLIP_COST = 8.0
"""Of a bar that is shorter or longer than the others, against cues of unit deviation."""
_TRIPLE_FACTOR = 1.4
"""How much clearer three beats to the bar must be than four."""
_CHANGE_ON_BEAT, _ONSET_ON_BEAT = 0.3, 0.3
"""What a beat inside a bar earns for a change of harmony and for an onset; a downbeat earns its change in full."""
_CHANCE_CHANGE, _CLEAR_CHANGE = 0.5, 1.5
"""Mean cue at the first beats of bars that the best path finds in noise, and in clear music."""
_CLEAR_LEAD = 0.5
"""Over the other meter, as a share of the cue."""

Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Half beats grouped into beats and bars."""

    beats_per_bar: int
    beat_H: Mask
    """True where a half beat is a beat."""
    downbeat_H: Mask
    """True where it begins a bar."""
    confidence: float
    """That bars have this many beats and begin here, 0..1."""


def half_beats(beats_s: Reals) -> Reals:
    """A grid ``[H]`` of two points per beat; where the beat tracker skipped half a beat, of three, and so on."""
    half_s = float(np.median(np.diff(beats_s))) / 2
    parts = [
        np.linspace(left, right, max(round((right - left) / half_s), 1), endpoint=False)
        for left, right in pairwise(beats_s)
    ]
    return np.concatenate([*parts, beats_s[-1:]])


def change_cue(harmony_HC: Reals, bass_HC: Reals, low_H: Reals) -> Reals:
    """How much each half beat ``[H]`` sounds like the first of a bar: zero mean, unit deviation, outliers cut."""
    parts = [_standard(_change(harmony_HC)), _standard(_change(bass_HC)), 0.3 * _standard(low_H)]
    return np.clip(_standard(np.sum(parts, axis=0)), -2, 2.5)


def group_half_beats(change_H: Reals, onset_H: Reals) -> Meter:
    """Three or four beats to the bar, and where beats and bars fall: the best path that rarely slips."""
    onset_H = np.clip(_standard(onset_H), -2, 2.5)
    states = {per_bar: _bar_path(change_H, onset_H, per_bar) for per_bar in (3, 4)}
    clear = {per_bar: float(change_H[state_H == 0].mean()) for per_bar, state_H in states.items()}
    per_bar = 3 if clear[3] > _TRIPLE_FACTOR * max(clear[4], 0.2) else 4
    return Meter(
        beats_per_bar=per_bar,
        beat_H=states[per_bar] % 2 == 0,
        downbeat_H=states[per_bar] == 0,
        confidence=_meter_confidence(clear, per_bar),
    )


def _meter_confidence(clear: dict[int, float], per_bar: int) -> float:
    """From how much more changes at the bar lines than in noise, and than at those of the other meter.

    Both must hold: a clear lead of one weak reading over another says little.
    """
    height = (clear[per_bar] - _CHANCE_CHANGE) / (_CLEAR_CHANGE - _CHANCE_CHANGE)
    rival = _TRIPLE_FACTOR * max(clear[7 - per_bar], 0.2) if per_bar == 3 else clear[3] / _TRIPLE_FACTOR
    lead = (clear[per_bar] - rival) / (_CLEAR_LEAD * max(clear[per_bar], 0.2))
    return float(np.clip(min(height, lead), 0, 1))


def _bar_path(change_H: Reals, onset_H: Reals, beats_per_bar: int) -> NDArray[np.int64]:
    """Position in the bar of each half beat ``[H]``."""
    num_positions = 2 * beats_per_bar
    gain_HP = np.zeros((len(change_H), num_positions))
    gain_HP[:, ::2] = (_CHANGE_ON_BEAT * change_H + _ONSET_ON_BEAT * onset_H)[:, None]
    gain_HP[:, 0] += change_H
    step = np.full((num_positions, num_positions), -_SLIP_COST)
    step[np.arange(num_positions), (np.arange(num_positions) + 1) % num_positions] = 0.0
    return best_path(gain_HP, step)


def bar_edges(downbeats_s: Reals, duration_s: float) -> Reals:
    """Bar borders ``[N + 1]`` from 0 to the end of the track.

    The grid is continued to both ends. Bars shorter than 0.6 of the usual (an upbeat, a cut-off
    last bar) join their neighbour: left alone, a half bar at the start would shift every border.
    """
    if len(downbeats_s) < 3:
        num_bars = max(round(duration_s / 2), 1)
        return np.linspace(0, duration_s, num_bars + 1)
    bar_s = float(np.median(np.diff(downbeats_s)))
    before = np.arange(downbeats_s[0] - bar_s, 0, -bar_s)[::-1]
    after = np.arange(downbeats_s[-1] + bar_s, duration_s, bar_s)
    inner = np.concatenate([before, downbeats_s, after])
    # Beats missing in a silent stretch leave a gap: fill it evenly.
    filled = [inner[:1]]
    for left, right in pairwise(inner):
        filled.append(np.linspace(left, right, max(round((right - left) / bar_s), 1) + 1)[1:])
    inner = np.concatenate(filled)
    inner = inner[(inner > 0.6 * bar_s) & (inner < duration_s - 0.6 * bar_s)]
    return np.concatenate([[0.0], inner, [duration_s]])


def edges_through(edges_s: Reals, borders_s: Reals) -> Reals:
    """Bar edges with borders put in; an edge within half a bar of a border gives way to it.

    Both run from 0 to the end of the track.
    """
    half_s = float(np.median(np.diff(edges_s))) / 2
    after = np.clip(np.searchsorted(borders_s, edges_s), 1, len(borders_s) - 1)
    nearest_s = np.minimum(np.abs(edges_s - borders_s[after - 1]), np.abs(borders_s[after] - edges_s))
    return np.sort(np.concatenate([edges_s[nearest_s > half_s], borders_s]))


def _change(rows_BC: Reals) -> Reals:
    """Cosine distance of each row to the one before; 0 for the first."""
    unit = unit_rows(rows_BC)
    return np.concatenate([[0.0], 1 - np.sum(unit[1:] * unit[:-1], axis=1)])


def _standard(values: Reals) -> Reals:
    return (values - values.mean()) / max(float(values.std()), 1e-6)
