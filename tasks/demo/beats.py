"""What drummers play: one-bar patterns, fills and crashes, in beats from the bar line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_EIGHTHS = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)

# sound -> (beats of the bar, velocity); beats that a bar of three does not have fall away
PATTERNS: dict[str, dict[str, tuple[tuple[float, ...], float]]] = {
    "none": {},
    "light": {"kick": ((0.0, 2.0), 0.55), "rim": ((1.0, 3.0), 0.5), "shaker": (_EIGHTHS, 0.35)},
    "rock": {"kick": ((0.0, 2.0, 2.5), 0.95), "snare": ((1.0, 3.0), 0.9), "hat": (_EIGHTHS, 0.5)},
    "four-on-the-floor": {
        "kick": ((0.0, 1.0, 2.0, 3.0), 1.0),
        "clap": ((1.0, 3.0), 0.75),
        "open-hat": ((0.5, 1.5, 2.5, 3.5), 0.5),
    },
    "half-time": {"kick": ((0.0, 1.5), 0.95), "snare": ((2.0,), 0.9), "hat": (_EIGHTHS, 0.4)},
    "brushed": {
        "ride": ((0.0, 1.0, 1.5, 2.0, 3.0, 3.5), 0.5),
        "brush": ((1.0, 3.0), 0.6),
        "kick": ((0.0,), 0.35),
    },
    "breakbeat": {
        "kick": ((0.0, 2.5), 0.95),
        "snare": ((1.0, 3.0), 0.9),
        "ghost": ((1.75, 2.25), 0.35),
        "hat": (_EIGHTHS, 0.45),
    },
}
_GENTLE = ("light", "brushed")


@dataclass(frozen=True, slots=True)
class Stroke:
    """A hit, still in beats from the start of its section."""

    beat: float
    sound: str
    velocity: float


def drum_section(
    rng: np.random.Generator, pattern: str, *, num_bars: int, beats_per_bar: int, busy: bool, level: float
) -> list[Stroke]:
    """Play a pattern through a section; a crash opens busy ones and a fill closes all but gentle ones."""
    if pattern == "none":
        return []
    gentle = pattern in _GENTLE
    strokes: list[Stroke] = []
    for bar in range(num_bars):
        start = float(bar * beats_per_bar)
        filled = bar == num_bars - 1 and num_bars > 1 and not gentle
        end = beats_per_bar - 1.0 if filled else float(beats_per_bar)
        strokes += _bar(rng, pattern, start, end, busy=busy, level=level)
        if filled:
            strokes += _fill(rng, start + end, level)
    if busy and not gentle:
        strokes.append(Stroke(0.0, "crash", 0.7 * level))
    return strokes


def _bar(rng: np.random.Generator, pattern: str, start: float, end: float, *, busy: bool, level: float) -> list[Stroke]:
    """One bar of a pattern up to beat ``end``; busy bars get sixteenths between the strokes."""
    strokes = [
        Stroke(start + beat, sound, velocity * level * rng.uniform(0.9, 1.05))
        for sound, (beats, velocity) in PATTERNS[pattern].items()
        for beat in beats
        if beat < end
    ]
    if busy:
        sound = "shaker" if pattern in _GENTLE else "hat"
        between = np.arange(0.25, end, 0.5)
        strokes += [Stroke(start + float(beat), sound, 0.3 * level * rng.uniform(0.8, 1.0)) for beat in between]
    return strokes


def _fill(rng: np.random.Generator, start: float, level: float) -> list[Stroke]:
    """One beat of sixteenths that leads into the next section."""
    sounds = (("snare", "snare", "tom", "tom"), ("tom", "tom", "tom", "snare"), ("snare", "snare", "snare", "snare"))
    chosen = sounds[rng.integers(len(sounds))]
    return [Stroke(start + 0.25 * step, sound, level * (0.5 + 0.12 * step)) for step, sound in enumerate(chosen)]
