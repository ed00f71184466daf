"""How a chord is played for one bar: figures of accompaniment and bass, and melodies over a loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.demo.harmony import Chord, nearest, scale_pitches
from tasks.demo.score import Key


@dataclass(frozen=True, slots=True)
class Tone:
    """A note, still in beats from the start of its bar or section."""

    beat: float
    beats: float
    pitch: int
    velocity: float


_SYNCOPATED = (0.0, 0.75, 1.5, 2.5, 3.25)

# Onsets of block chords: (beat, length in beats); beats that a bar of three does not have fall away.
_BLOCKS: dict[str, tuple[tuple[float, float], ...]] = {
    "held": ((0.0, 4.0),),
    "pulse": ((0.0, 0.9), (1.0, 0.9), (2.0, 0.9), (3.0, 0.9)),
    "eighths": tuple((0.5 * step, 0.45) for step in range(8)),
    "offbeat": ((0.5, 0.3), (1.5, 0.3), (2.5, 0.3), (3.5, 0.3)),
    "syncopated": tuple((beat, 0.5) for beat in _SYNCOPATED),
}
_ARPEGGIOS: dict[str, tuple[int, ...]] = {"arpeggio-up": (0, 1, 2, 3), "arpeggio-wave": (0, 1, 2, 3, 2, 1)}
CHORD_FIGURES = (*_BLOCKS, *_ARPEGGIOS, "broken")


def chord_bar(figure: str, pitches: tuple[int, ...], beats_per_bar: int) -> list[Tone]:
    """One bar of a chord; ``pitches`` is a voicing, rising."""
    if figure in _BLOCKS:
        return [
            Tone(beat, min(length, beats_per_bar - beat), pitch, 0.8 if beat == 0 else 0.65)
            for beat, length in _BLOCKS[figure]
            if beat < beats_per_bar
            for pitch in pitches
        ]
    if figure == "broken":
        low = [Tone(0.0, 1.0, pitches[0] - 12, 0.85)]
        return low + [Tone(float(beat), 0.6, p, 0.55) for beat in range(1, beats_per_bar) for p in pitches]
    order = _ARPEGGIOS[figure]
    reach = (*pitches, pitches[0] + 12)
    return [
        Tone(0.5 * step, 0.9, reach[order[step % len(order)]], 0.75 if step % 2 == 0 else 0.6)
        for step in range(2 * beats_per_bar)
    ]


def bass_bar(figure: str, chord: Chord, following: Chord, around: int, beats_per_bar: int) -> list[Tone]:
    """One bar of bass; a walking bass ends a step below the root of the ``following`` chord."""
    root, fifth = nearest(chord.classes[0], around), nearest(chord.classes[2], around)
    whole = float(beats_per_bar)
    match figure:
        case "roots":
            return [Tone(0.0, whole, root, 0.85)]
        case "beats":
            return [Tone(float(beat), 0.9, root, 0.85) for beat in range(beats_per_bar)]
        case "eighths":
            return [Tone(0.5 * step, 0.45, root, 0.85 - 0.15 * (step % 2)) for step in range(2 * beats_per_bar)]
        case "octaves":
            return [
                Tone(0.5 * step, 0.4, root + 12 * (step % 2), 0.7 + 0.15 * (step % 2))
                for step in range(2 * beats_per_bar)
            ]
        case "root-fifth":
            return [Tone(0.0, 1.8, root, 0.85), Tone(2.0, whole - 2.0, fifth, 0.75)]
        case "syncopated":
            return [Tone(b, 0.6, root, 0.8) for b in _SYNCOPATED[::2] if b < beats_per_bar]
        case "walking":
            third = nearest(chord.classes[1], around)
            steps = [root, third, fifth, nearest(following.classes[0], around) - 1][-beats_per_bar:]
            return [Tone(float(beat), 0.95, pitch, 0.8) for beat, pitch in enumerate(steps)]
    raise ValueError(f"unknown bass figure {figure!r}")


_SPARSE_CELLS = ((0.0, 2.0), (0.0, 1.0, 2.0), (1.0, 2.0), (0.0, 1.5), (0.0,))
_DENSE_CELLS = (
    (0.0, 0.5, 1.0, 2.0, 3.0),
    (0.0, 1.0, 1.5, 2.0, 3.0, 3.5),
    (0.5, 1.0, 1.5, 2.5, 3.0),
    (0.0, 0.5, 1.5, 2.0, 2.5, 3.5),
    (0.0, 1.0, 2.0, 2.5, 3.0, 3.5),
)


def melody(
    rng: np.random.Generator, key: Key, chords: tuple[Chord, ...], *, around: int, dense: bool, beats_per_bar: int
) -> tuple[Tone, ...]:
    """A tune of one bar per chord around a MIDI pitch: rhythm a-b-a-c, mostly steps, chord tones on strong beats."""
    cells = _DENSE_CELLS if dense else _SPARSE_CELLS
    a, b, c = (cells[index] for index in rng.permutation(len(cells))[:3])
    ladder = scale_pitches(key, around - 9, around + 10)
    pitch = nearest(chords[0].classes[int(rng.integers(3))], around)
    tones: list[Tone] = []
    for bar, (chord, cell) in enumerate(zip(chords, (a, b, a, c), strict=True)):
        onsets = [beat for beat in cell if beat < beats_per_bar]
        for beat, following in zip(onsets, [*onsets[1:], float(beats_per_bar)], strict=True):
            pitch = _next_pitch(rng, pitch, ladder, chord if beat in (0.0, 2.0) else None)
            velocity = 0.9 if beat == 0 else 0.75
            tones.append(Tone(bar * beats_per_bar + beat, 0.92 * (following - beat), pitch, velocity))
    return tuple(tones)


def vary(rng: np.random.Generator, tones: tuple[Tone, ...]) -> tuple[Tone, ...]:
    """The same tune as a player repeats it: now and then a note is left out or struck twice."""
    varied: list[Tone] = []
    for tone in tones:
        draw = rng.random()
        if draw < 0.05 and tone.beat > 0:
            continue
        if draw > 0.94 and tone.beats >= 0.8:
            half = tone.beats / 2
            varied += [
                Tone(tone.beat, half, tone.pitch, tone.velocity),
                Tone(tone.beat + half, half, tone.pitch, 0.85 * tone.velocity),
            ]
        else:
            varied.append(tone)
    return tuple(varied)


def _next_pitch(rng: np.random.Generator, pitch: int, ladder: tuple[int, ...], chord: Chord | None) -> int:
    """A step or small leap on the ladder; given a chord, the chord tone nearest to it."""
    steps = np.array([-3, -2, -1, 1, 2, 3])
    here = min(range(len(ladder)), key=lambda rung: abs(ladder[rung] - pitch))
    # Far from the middle the tune turns back, as singable tunes do.
    pull = (len(ladder) / 2 - here) / len(ladder)
    weights = np.array([0.08, 0.17, 0.25, 0.25, 0.17, 0.08]) * np.exp(2.0 * pull * np.sign(steps))
    target = ladder[int(np.clip(here + rng.choice(steps, p=weights / weights.sum()), 0, len(ladder) - 1))]
    if chord is None:
        return target
    fitting = [rung for rung in ladder if rung % 12 in chord.classes]
    return min(fitting, key=lambda rung: abs(rung - target))
