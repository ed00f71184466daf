"""What a song is made of: key, sections, parts and drums, as exact times and pitches.

Times are seconds from the start of the song, pitches are MIDI numbers (60 is middle C),
velocities and gains are linear 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PITCH_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class Mode(StrEnum):
    """The two modes songs are written in."""

    MAJOR = "major"
    MINOR = "minor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One of 24 keys; ``str(key)`` reads ``A minor``, always with sharps."""

    tonic: int
    """Pitch class, 0 is C."""
    mode: Mode

    def __str__(self) -> str:
        return f"{PITCH_NAMES[self.tonic]} {self.mode}"


@dataclass(frozen=True, slots=True)
class Note:
    """One note of a pitched part; ``duration_s`` ends where the player lets go."""

    start_s: float
    duration_s: float
    pitch: int
    velocity: float


@dataclass(frozen=True, slots=True)
class Hit:
    """One stroke of a drum kit."""

    start_s: float
    sound: str
    velocity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One player: an instrument and everything it plays."""

    role: str
    """``bass``, ``chords``, ``pad``, ``lead`` or ``counter``."""
    instrument: str
    """A name in ``instruments.TIMBRES``."""
    gain: float
    pan: float
    """-1 left .. 1 right."""
    notes: tuple[Note, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrumPart:
    """The drummer; absent from songs without drums."""

    kit: str
    """A name in ``drums.KITS``."""
    gain: float
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SongSection:
    """A part of the form. Sections tile the song: each starts where the one before ends."""

    start_s: float
    end_s: float
    letter: str
    """Equal letters are the same music returning; ``I`` is an intro, ``O`` an outro."""
    label: str
    """``intro``, ``verse``, ``chorus``, ``bridge``, ``section`` or ``outro``."""
    num_bars: int
    chords: tuple[str, ...]
    """The loop in chord symbols, one chord a bar: ``("Am", "F", "C", "G")``."""
    instruments: tuple[str, ...]
    """Of the pitched parts that play here."""
    drums: str
    """Name of the drum pattern, ``none`` where the drummer rests."""
    level: float
    """Loudness of the playing, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How the recording sounds, the same for the whole song."""

    brightness_db: float
    """High shelf at 2.5 kHz."""
    reverb: float
    """Share of the signal sent into the room, 0..1."""
    reverb_s: float
    """Time for the room to fall by 60 dB."""
    loudness_dbfs: float
    """RMS level of the whole song that the master aims at."""
    fade_out_s: float
    """0 where the song ends on a chord that rings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """A composed song, complete: rendering adds nothing but sound."""

    song_id: str
    title: str
    artist: str
    labels: tuple[str, ...]
    """Words for the style, e.g. ``("rock", "guitar")``."""
    tempo_bpm: float
    beats_per_bar: int
    swing: float
    """Where an off-beat eighth falls within its beat: 0.5 straight, 0.66 a triplet."""
    key: Key
    form: tuple[str, ...]
    """Letters in order, e.g. ``("I", "A", "B", "A", "B", "O")``."""
    sections: tuple[SongSection, ...]
    parts: tuple[Part, ...]
    drums: DrumPart | None
    mix: Mix
    duration_s: float

    @property
    def beats_s(self) -> tuple[float, ...]:
        """Every beat up to the last bar line; the first is at 0."""
        num_beats = sum(section.num_bars for section in self.sections) * self.beats_per_bar
        return tuple(beat * 60.0 / self.tempo_bpm for beat in range(num_beats))

    @property
    def downbeats_s(self) -> tuple[float, ...]:
        """The first beat of every bar."""
        return self.beats_s[:: self.beats_per_bar]
