"""From a style to players, and from a letter of the form to the notes each player has there.

A letter is planned once; each of its sections plays that plan with small variations, so returning
sections sound alike and different letters differ in chords, layers, figures, register or level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tasks.demo.beats import Stroke, drum_section
from tasks.demo.figures import Tone, bass_bar, chord_bar, melody, vary
from tasks.demo.harmony import Chord, chord_on, loops, voicing
from tasks.demo.score import Key
from tasks.demo.styles import Style

_ENERGY = {"I": 0.3, "O": 0.25, "A": 0.55, "B": 0.95, "C": 0.4, "D": 0.75}
_REGISTER = {"I": 60, "O": 60, "A": 60, "B": 65, "C": 55, "D": 62}
_LOUDNESS_RANGE_DB = 9.0
"""Between a section of no energy and one of full energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """A seat in the band."""

    role: str
    instrument: str
    gain: float
    pan: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterPlan:
    """What one letter of the form sounds like."""

    chords: tuple[Chord, ...]
    """Four, one a bar."""
    roles: tuple[str, ...]
    """Who plays."""
    lead: str
    """Role that has the tune: ``lead`` or ``second-lead``."""
    chord_figure: str
    bass_figure: str
    around: int
    """MIDI pitch the chords lie around."""
    tune: tuple[Tone, ...]
    drums: str
    busy: bool
    level: float


def form_band(rng: np.random.Generator, style: Style) -> dict[str, Player]:
    """One player per role; gains are the mix of the band."""

    def pick(pool: tuple[str, ...]) -> str:
        return pool[rng.integers(len(pool))]

    lead = pick(style.leads)
    second = pick(tuple(name for name in style.leads if name != lead))
    side = float(rng.choice([-1.0, 1.0]))
    seats = (
        ("bass", pick(style.basses), 0.8, 0.0),
        ("chords", pick(style.chords), 0.5, 0.35 * side),
        ("pad", pick(style.pads), 0.4, -0.2 * side),
        ("lead", lead, 0.75, 0.1 * side),
        ("second-lead", second, 0.75, -0.15 * side),
        ("counter", pick(style.chords), 0.4, -0.5 * side),
    )
    return {
        role: Player(role=role, instrument=name, gain=gain * float(rng.uniform(0.8, 1.2)), pan=pan)
        for role, name, gain, pan in seats
    }


def plan_letters(
    rng: np.random.Generator, letters: tuple[str, ...], style: Style, key: Key, beats_per_bar: int
) -> dict[str, LetterPlan]:
    """Plan every letter of a form; body letters never share a loop, intro and outro borrow A's."""
    body = sorted(set(letters) - {"I", "O"})
    home, away = (rng.permutation(np.array(loops(key.mode, kind))).tolist() for kind in ("home", "away"))
    figures = rng.permutation(np.array(style.figures)).tolist()
    swap = rng.random() < 0.3  # verse above chorus
    plans = {}
    for place, letter in enumerate([*body, *sorted(set(letters) & {"I", "O"})]):
        degrees = (home, away)[place % 2][place // 2] if letter in body else home[0]
        energy_of = {"A": "B", "B": "A"}.get(letter, letter) if swap else letter
        plans[letter] = _plan_letter(
            rng,
            letter,
            style,
            key,
            tuple(chord_on(key, int(degree)) for degree in degrees),
            energy=float(np.clip(_ENERGY[energy_of] + rng.uniform(-0.08, 0.08), 0.0, 1.0)),
            chord_figure=figures[place % len(figures)],
            beats_per_bar=beats_per_bar,
        )
    return plans


def _plan_letter(
    rng: np.random.Generator,
    letter: str,
    style: Style,
    key: Key,
    chords: tuple[Chord, ...],
    *,
    energy: float,
    chord_figure: str,
    beats_per_bar: int,
) -> LetterPlan:
    around = _REGISTER[letter] + int(rng.integers(-2, 3))
    lead = "second-lead" if letter in "CD" or (letter == "B" and rng.random() < 0.5) else "lead"
    sung = letter in "ABCD" or rng.random() < 0.3
    roles = ["chords"]
    roles += ["bass"] if energy > 0.35 else []
    roles += ["pad"] if energy > 0.7 or energy < 0.45 else []
    roles += [lead] if sung else []
    roles += ["counter"] if energy > 0.8 or letter == "C" else []
    drums = "none"
    if style.drums and energy > 0.35:
        drums = style.drums[rng.integers(len(style.drums))]
        if energy < 0.5 and rng.random() < 0.6:
            drums = "none"
    return LetterPlan(
        chords=chords,
        roles=tuple(roles),
        lead=lead,
        chord_figure=chord_figure,
        bass_figure=style.bass_figures[rng.integers(len(style.bass_figures))],
        around=around,
        tune=melody(rng, key, chords, around=around + 12, dense=energy > 0.65, beats_per_bar=beats_per_bar),
        drums=drums,
        busy=energy > 0.8,
        level=10.0 ** (-(1.0 - energy) * _LOUDNESS_RANGE_DB / 20.0),
    )


def play_section(
    rng: np.random.Generator, plan: LetterPlan, num_bars: int, beats_per_bar: int, *, returning: bool
) -> Iterator[tuple[str, Tone]]:
    """The pitched notes of one section as ``(role, tone)``, in beats from its start."""
    tune = vary(rng, plan.tune) if returning else plan.tune
    for bar in range(num_bars):
        start = float(bar * beats_per_bar)
        chord, following = plan.chords[bar % 4], plan.chords[(bar + 1) % 4]
        pitches = voicing(chord, plan.around)
        bars = {
            "chords": chord_bar(plan.chord_figure, pitches, beats_per_bar),
            "pad": chord_bar("held", voicing(chord, plan.around + 7), beats_per_bar),
            "counter": chord_bar("arpeggio-up", voicing(chord, plan.around + 12), beats_per_bar),
            "bass": bass_bar(plan.bass_figure, chord, following, 40, beats_per_bar),
        }
        for role, tones in bars.items():
            if role in plan.roles:
                yield from ((role, _moved(tone, start, plan.level)) for tone in tones)
    if plan.lead in plan.roles:
        loop_beats = 4 * beats_per_bar
        for start in range(0, num_bars * beats_per_bar, loop_beats):
            fitting = (tone for tone in tune if start + tone.beat < num_bars * beats_per_bar)
            yield from ((plan.lead, _moved(tone, float(start), plan.level)) for tone in fitting)


def drum_part(rng: np.random.Generator, plan: LetterPlan, num_bars: int, beats_per_bar: int) -> list[Stroke]:
    """The strokes of one section, in beats from its start."""
    return drum_section(
        rng, plan.drums, num_bars=num_bars, beats_per_bar=beats_per_bar, busy=plan.busy, level=plan.level
    )


def final_chord(plan: LetterPlan, key: Key, beats: float) -> Iterator[tuple[str, Tone]]:
    """The tonic that ends a song, held by everyone of the last section but its singer."""
    tonic = chord_on(key, 0)
    for pitch in voicing(tonic, plan.around):
        yield from (
            (role, Tone(0.0, beats, pitch, 0.8 * plan.level)) for role in ("chords", "pad") if role in plan.roles
        )
    if "bass" in plan.roles:
        yield "bass", Tone(0.0, beats, voicing(tonic, 40)[0], 0.8 * plan.level)


def _moved(tone: Tone, beat: float, level: float) -> Tone:
    return Tone(tone.beat + beat, tone.beats, tone.pitch, tone.velocity * level)
