"""Compose a song from a seed and an index.

Every choice comes from a stream of random numbers named by seed, index and purpose. So a song
never depends on how many others exist, and a new choice in one place moves nothing elsewhere.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from math import floor

import numpy as np

from tasks.demo.arrange import LetterPlan, Player, drum_part, final_chord, form_band, plan_letters, play_section
from tasks.demo.forms import FormPlan, plan_form
from tasks.demo.score import DrumPart, Hit, Key, Mix, Mode, Note, Part, Song, SongSection
from tasks.demo.styles import STYLES, Style, artist_from, title_from

VERSION = "1"
"""Raised whenever a seed and index give another song or sound; part of the name of cached media."""

_JITTER_S = 0.004
"""How far players stray from the grid."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a catalogue says of a song without composing it."""

    title: str
    artist: str
    style: str
    """A name in ``STYLES``."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Words for the style."""
        return STYLES[self.style].labels


def song_id(index: int) -> str:
    """``song-0007``."""
    return f"song-{index:04d}"


def identify(seed: int, index: int) -> Identity:
    """Title, artist and style of a song; cheap, so that long catalogues are."""
    rng = _stream(seed, index, "identity")
    first, second, artist, style = (int(number) for number in rng.integers(1 << 16, size=4))
    return Identity(title_from((first, second)), artist_from(artist), list(STYLES)[style % len(STYLES)])


def compose(seed: int, index: int, min_duration_s: float = 45.0, max_duration_s: float = 120.0) -> Song:
    """Write song number ``index`` of the catalogue with this ``seed``; its duration is within the bounds."""
    identity = identify(seed, index)
    style = STYLES[identity.style]
    rng = _stream(seed, index, "frame")
    # Whole milliseconds make whole samples at every usual rate.
    duration_s = float(np.clip(round(rng.uniform(min_duration_s, max_duration_s), 3), min_duration_s, max_duration_s))
    key = Key(tonic=int(rng.integers(12)), mode=Mode.MINOR if rng.random() < style.minor else Mode.MAJOR)
    rings = rng.random() < 0.7
    tail_s = min(float(rng.uniform(2.0, 3.5)), 0.12 * duration_s) if rings else 0.0
    form = plan_form(rng, duration_s - tail_s, style.tempo_bpm, style.beats_per_bar)
    swing = float(rng.uniform(0.6, 0.67)) if rng.random() < style.swing else 0.5
    mix = _draw_mix(_stream(seed, index, "mix"), style, fade_out_s=0.0 if rings else min(7.0, 0.12 * duration_s))

    band = form_band(_stream(seed, index, "band"), style)
    plans = plan_letters(_stream(seed, index, "letters"), form.letters, style, key, style.beats_per_bar)
    performance = _Performance(form.tempo_bpm, swing)
    starts_s = _play_form(performance, seed, index, form, plans, style.beats_per_bar)
    if rings:
        performance.play_final(plans[form.letters[-1]], key, starts_s[-1], tail_s)

    kit = style.kits[int(_stream(seed, index, "kit").integers(len(style.kits)))]
    return Song(
        song_id=song_id(index),
        title=identity.title,
        artist=identity.artist,
        labels=style.labels,
        tempo_bpm=form.tempo_bpm,
        beats_per_bar=style.beats_per_bar,
        swing=swing,
        key=key,
        form=form.letters,
        sections=_describe(form, plans, band, (*starts_s[:-1], duration_s)),
        parts=performance.parts(band),
        drums=performance.drums(kit),
        mix=mix,
        duration_s=duration_s,
    )


class _Performance:
    """Collects what everyone plays, turning beats into seconds."""

    def __init__(self, tempo_bpm: float, swing: float) -> None:
        self._beat_s = 60.0 / tempo_bpm
        self._swing = swing
        self._notes: dict[str, list[Note]] = defaultdict(list)
        self._hits: list[Hit] = []

    def play(
        self, rng: np.random.Generator, plan: LetterPlan, start_s: float, num_bars: int, beats: int, returning: bool
    ) -> None:
        """One section of ``num_bars`` bars with ``beats`` beats each."""
        for role, tone in play_section(rng, plan, num_bars, beats, returning=returning):
            at_s = self._at(start_s, tone.beat, rng)
            self._notes[role].append(Note(at_s, tone.beats * self._beat_s, tone.pitch, tone.velocity))
        for stroke in drum_part(rng, plan, num_bars, beats):
            self._hits.append(Hit(self._at(start_s, stroke.beat, rng), stroke.sound, stroke.velocity))

    def play_final(self, plan: LetterPlan, key: Key, start_s: float, tail_s: float) -> None:
        """A last chord that fades within the tail."""
        for role, tone in final_chord(plan, key, beats=0.6 * tail_s / self._beat_s):
            self._notes[role].append(Note(start_s, tone.beats * self._beat_s, tone.pitch, tone.velocity))
        if self._hits:
            self._hits.append(Hit(start_s, "kick", 0.6 * plan.level))

    def parts(self, band: dict[str, Player]) -> tuple[Part, ...]:
        """The players who had something to play."""
        return tuple(
            Part(
                role=player.role,
                instrument=player.instrument,
                gain=player.gain,
                pan=player.pan,
                notes=tuple(self._notes[role]),
            )
            for role, player in band.items()
            if self._notes[role]
        )

    def drums(self, kit: str) -> DrumPart | None:
        """The drummer, if there is one."""
        return DrumPart(kit=kit, gain=0.9, hits=tuple(self._hits)) if self._hits else None

    def _at(self, start_s: float, beat: float, rng: np.random.Generator) -> float:
        whole = floor(beat)
        within = beat - whole
        swung = 2 * within * self._swing if within <= 0.5 else 1 - 2 * (1 - within) * (1 - self._swing)
        return max(0.0, start_s + (whole + swung) * self._beat_s + float(rng.uniform(-_JITTER_S, _JITTER_S)))


def _play_form(
    performance: _Performance,
    seed: int,
    index: int,
    form: FormPlan,
    plans: dict[str, LetterPlan],
    beats_per_bar: int,
) -> list[float]:
    """Play all sections; returns their starts in seconds and, last, the end of the last bar."""
    bars_before = np.concatenate([[0], np.cumsum(form.bars)])
    starts_s = [float(bars) * beats_per_bar * 60.0 / form.tempo_bpm for bars in bars_before]
    for number, (letter, num_bars) in enumerate(zip(form.letters, form.bars, strict=True)):
        returning = letter in form.letters[:number]
        rng = _stream(seed, index, f"section {number}")
        performance.play(rng, plans[letter], starts_s[number], num_bars, beats_per_bar, returning)
    return starts_s


def _describe(
    form: FormPlan, plans: dict[str, LetterPlan], band: dict[str, Player], bounds_s: tuple[float, ...]
) -> tuple[SongSection, ...]:
    """The sections between ``bounds_s``, one more than there are sections."""
    return tuple(
        SongSection(
            start_s=bounds_s[number],
            end_s=bounds_s[number + 1],
            letter=letter,
            label=form.labels[number],
            num_bars=form.bars[number],
            chords=tuple(chord.symbol for chord in plans[letter].chords),
            instruments=tuple(band[role].instrument for role in plans[letter].roles),
            drums=plans[letter].drums,
            level=plans[letter].level,
        )
        for number, letter in enumerate(form.letters)
    )


def _draw_mix(rng: np.random.Generator, style: Style, *, fade_out_s: float) -> Mix:
    return Mix(
        brightness_db=float(rng.uniform(*style.brightness_db)),
        reverb=float(rng.uniform(*style.reverb)),
        reverb_s=float(rng.uniform(0.7, 1.6)),
        loudness_dbfs=float(rng.uniform(*style.loudness_dbfs)),
        fade_out_s=fade_out_s,
    )


def _stream(seed: int, index: int, purpose: str) -> np.random.Generator:
    # Python's own hash() differs between processes.
    digest = hashlib.sha256(f"collap demo {seed} {index} {purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
