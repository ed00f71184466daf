"""The form of a song: which letters follow each other, how many bars each has, and at what tempo."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

_SONG_FORMS = ("IABABO", "IABABCBO", "ABABCB", "ABAB", "IABABCABO", "IAABABO", "IABCABCO", "ABABCAB")
_PLAIN_FORMS = ("ABA", "ABACABA", "ABACA", "AABA", "ABCABC", "ABCBA", "ABACADA", "IABACAO", "ABCD", "AABBA")
_SONG_LABELS = {"I": "intro", "O": "outro", "A": "verse", "B": "chorus", "C": "bridge"}
_PLAIN_LABELS = {"I": "intro", "O": "outro"}

_MIN_TEMPO_BPM, _MAX_TEMPO_BPM = 60.0, 180.0
_UNITS = (4, 8, 16, 32, 2, 1)
"""Bars of the shortest section, in order of preference; only extreme durations need other than 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPlan:
    """The outline of a song: one entry per section."""

    letters: tuple[str, ...]
    labels: tuple[str, ...]
    bars: tuple[int, ...]
    tempo_bpm: float


def plan_form(
    rng: np.random.Generator, music_s: float, tempo_range_bpm: tuple[float, float], beats_per_bar: int
) -> FormPlan:
    """Draw a form whose bars fill ``music_s`` exactly at a tempo near the wanted range.

    Form first, bars second, tempo last: drawn that way every form stays about equally likely.

    Raises:
        ValueError: no form fits; cannot happen between 4 and 600 seconds.
    """
    low, high = tempo_range_bpm
    near = (max(_MIN_TEMPO_BPM, low * 0.94), min(_MAX_TEMPO_BPM, high * 1.06))
    for allowed, unit in product((near, (_MIN_TEMPO_BPM, _MAX_TEMPO_BPM)), _UNITS):
        fitting = {}
        for form in _SONG_FORMS + _PLAIN_FORMS:
            plans = _plans(form, unit, music_s, allowed, beats_per_bar)
            if plans:
                fitting[form] = plans
        if fitting:
            plans = fitting[list(fitting)[rng.integers(len(fitting))]]
            return plans[rng.integers(len(plans))]
    raise ValueError(f"no form fills {music_s:.1f} s; ask for songs of 5 to 600 s")


def _plans(
    form: str, unit: int, music_s: float, tempo_range_bpm: tuple[float, float], beats_per_bar: int
) -> list[FormPlan]:
    """Every way to give the letters of a form one or two units of bars that lands in the tempo range."""
    letters = sorted(set(form))
    # Intros and outros stay short; the first letter of a form always takes part in the choice.
    choices = [(unit,) if letter in "IO" else (unit, 2 * unit) for letter in letters]
    table = _SONG_LABELS if form in _SONG_FORMS else _PLAIN_LABELS
    plans = []
    for bars in product(*choices):
        bars_of = dict(zip(letters, bars, strict=True))
        tempo_bpm = sum(bars_of[letter] for letter in form) * beats_per_bar * 60.0 / music_s
        if tempo_range_bpm[0] <= tempo_bpm <= tempo_range_bpm[1]:
            plans.append(
                FormPlan(
                    letters=tuple(form),
                    labels=tuple(table.get(letter, "section") for letter in form),
                    bars=tuple(bars_of[letter] for letter in form),
                    tempo_bpm=tempo_bpm,
                )
            )
    return plans
