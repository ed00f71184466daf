"""Keys, scales and chord loops: which pitches fit where."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.demo.score import PITCH_NAMES, Key, Mode

_SCALES = {Mode.MAJOR: (0, 2, 4, 5, 7, 9, 11), Mode.MINOR: (0, 2, 3, 5, 7, 8, 10)}

# Scale degrees counted from 0, one chord a bar. "home" loops begin on the tonic, "away" loops elsewhere:
# a song takes its sections from both, so different letters differ in harmony already in their first bar.
_LOOPS = {
    (Mode.MAJOR, "home"): ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 3), (0, 2, 3, 4), (0, 3, 0, 4), (0, 1, 4, 0)),
    (Mode.MAJOR, "away"): ((5, 3, 0, 4), (3, 0, 4, 5), (1, 4, 0, 5), (3, 4, 5, 5), (4, 3, 0, 0), (5, 2, 3, 4)),
    (Mode.MINOR, "home"): ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6), (0, 2, 6, 3), (0, 3, 5, 4), (0, 0, 3, 4)),
    (Mode.MINOR, "away"): ((5, 6, 0, 0), (3, 0, 6, 2), (2, 6, 3, 0), (5, 3, 0, 4), (6, 5, 4, 0), (3, 6, 2, 5)),
}


@dataclass(frozen=True, slots=True)
class Chord:
    """A triad: pitch classes of root, third and fifth."""

    classes: tuple[int, int, int]

    @property
    def symbol(self) -> str:
        """``C``, ``Am``, ``Bdim``."""
        third = (self.classes[1] - self.classes[0]) % 12
        fifth = (self.classes[2] - self.classes[0]) % 12
        quality = "dim" if fifth == 6 else "m" if third == 3 else ""
        return PITCH_NAMES[self.classes[0]] + quality


def loops(mode: Mode, kind: str) -> tuple[tuple[int, ...], ...]:
    """Chord loops as scale degrees; ``kind`` is ``home`` or ``away``."""
    return _LOOPS[mode, kind]


def chord_on(key: Key, degree: int) -> Chord:
    """The diatonic triad on a scale degree; in minor the fifth degree takes its leading tone."""
    scale = _SCALES[key.mode]
    root, third, fifth = ((key.tonic + scale[(degree + step) % 7]) % 12 for step in (0, 2, 4))
    if key.mode is Mode.MINOR and degree % 7 == 4:
        third = (third + 1) % 12
    return Chord((root, third, fifth))


def scale_pitches(key: Key, low: int, high: int) -> tuple[int, ...]:
    """Every scale tone from ``low`` to ``high``, MIDI numbers, rising."""
    classes = {(key.tonic + step) % 12 for step in _SCALES[key.mode]}
    return tuple(pitch for pitch in range(low, high + 1) if pitch % 12 in classes)


def nearest(pitch_class: int, around: int) -> int:
    """The MIDI number of a pitch class that lies closest to ``around``."""
    return around + (pitch_class - around + 6) % 12 - 6


def voicing(chord: Chord, around: int) -> tuple[int, ...]:
    """The triad in the inversion that lies closest to ``around``, rising."""
    return tuple(sorted(nearest(pitch_class, around) for pitch_class in chord.classes))
