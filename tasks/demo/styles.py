"""The styles songs are drawn from: who plays, how fast, and how it is recorded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A pool of choices; a song takes one of each."""

    labels: tuple[str, ...]
    tempo_bpm: tuple[float, float]
    leads: tuple[str, ...]
    chords: tuple[str, ...]
    pads: tuple[str, ...]
    basses: tuple[str, ...]
    figures: tuple[str, ...]
    """Of the chords, see ``figures.CHORD_FIGURES``."""
    bass_figures: tuple[str, ...]
    drums: tuple[str, ...] = ()
    """Patterns of ``beats.PATTERNS``; a style without any has no drummer."""
    kits: tuple[str, ...] = ("acoustic",)
    beats_per_bar: int = 4
    minor: float = 0.5
    """Share of songs in minor."""
    swing: float = 0.0
    """Share of songs that swing."""
    brightness_db: tuple[float, float] = (-3.0, 3.0)
    reverb: tuple[float, float] = (0.08, 0.25)
    loudness_dbfs: tuple[float, float] = (-19.0, -14.0)


STYLES: dict[str, Style] = {
    "rock": Style(
        labels=("rock", "guitar", "drums"),
        tempo_bpm=(104, 152),
        leads=("brass", "organ", "steel-pluck"),
        chords=("steel-pluck", "organ"),
        pads=("organ", "strings"),
        basses=("finger-bass",),
        figures=("pulse", "eighths", "syncopated"),
        bass_figures=("eighths", "beats", "root-fifth"),
        drums=("rock", "rock", "half-time"),
        brightness_db=(0.0, 5.0),
        reverb=(0.05, 0.15),
        loudness_dbfs=(-15.0, -11.0),
    ),
    "house": Style(
        labels=("electronic", "house", "dance"),
        tempo_bpm=(116, 132),
        leads=("square-lead", "bell", "saw-lead"),
        chords=("e-piano", "saw-pluck"),
        pads=("warm-pad", "strings"),
        basses=("synth-bass", "sub-bass"),
        figures=("offbeat", "syncopated", "arpeggio-up"),
        bass_figures=("octaves", "eighths", "beats"),
        drums=("four-on-the-floor",),
        kits=("electronic",),
        minor=0.7,
        loudness_dbfs=(-14.0, -10.5),
    ),
    "ambient": Style(
        labels=("ambient", "instrumental", "calm"),
        tempo_bpm=(60, 84),
        leads=("bell", "flute", "e-piano"),
        chords=("warm-pad", "harp", "e-piano"),
        pads=("warm-pad", "strings"),
        basses=("sub-bass",),
        figures=("held", "arpeggio-wave", "arpeggio-up"),
        bass_figures=("roots",),
        brightness_db=(-5.0, 0.0),
        reverb=(0.3, 0.5),
        loudness_dbfs=(-23.0, -18.0),
    ),
    "folk": Style(
        labels=("folk", "acoustic", "guitar"),
        tempo_bpm=(84, 128),
        leads=("flute", "nylon-pluck", "harp"),
        chords=("nylon-pluck", "steel-pluck"),
        pads=("strings",),
        basses=("upright-bass",),
        figures=("arpeggio-wave", "eighths", "broken"),
        bass_figures=("root-fifth", "roots"),
        drums=("light", "light", "brushed"),
        minor=0.35,
        loudness_dbfs=(-21.0, -16.0),
    ),
    "jazz": Style(
        labels=("jazz", "swing", "piano"),
        tempo_bpm=(100, 178),
        leads=("brass", "flute", "e-piano"),
        chords=("e-piano", "organ"),
        pads=("organ",),
        basses=("upright-bass",),
        figures=("syncopated", "offbeat", "held"),
        bass_figures=("walking", "beats"),
        drums=("brushed",),
        swing=1.0,
        brightness_db=(-4.0, 1.0),
    ),
    "soul": Style(
        labels=("soul", "rhythm and blues", "electric piano"),
        tempo_bpm=(66, 98),
        leads=("organ", "brass", "square-lead"),
        chords=("e-piano",),
        pads=("strings", "warm-pad"),
        basses=("finger-bass", "synth-bass"),
        figures=("syncopated", "held", "offbeat"),
        bass_figures=("root-fifth", "syncopated", "eighths"),
        drums=("half-time", "rock", "breakbeat"),
        swing=0.4,
        brightness_db=(-4.0, 0.0),
    ),
    "synth-pop": Style(
        labels=("pop", "electronic", "synthesizer"),
        tempo_bpm=(88, 128),
        leads=("saw-lead", "square-lead", "bell"),
        chords=("saw-pluck", "warm-pad"),
        pads=("warm-pad",),
        basses=("synth-bass",),
        figures=("arpeggio-up", "eighths", "pulse"),
        bass_figures=("eighths", "octaves"),
        drums=("rock", "four-on-the-floor", "half-time"),
        kits=("electronic",),
        brightness_db=(0.0, 4.0),
        loudness_dbfs=(-15.0, -11.0),
    ),
    "chamber": Style(
        labels=("classical", "chamber music", "strings"),
        tempo_bpm=(60, 116),
        leads=("flute", "violin"),
        chords=("harp", "strings"),
        pads=("strings",),
        basses=("cello",),
        figures=("arpeggio-wave", "held", "broken", "arpeggio-up"),
        bass_figures=("roots", "root-fifth", "beats"),
        reverb=(0.22, 0.4),
        loudness_dbfs=(-24.0, -18.0),
    ),
    "waltz": Style(
        labels=("waltz", "dance", "acoustic"),
        tempo_bpm=(96, 140),
        leads=("violin", "flute", "brass"),
        chords=("e-piano", "nylon-pluck", "harp"),
        pads=("strings", "organ"),
        basses=("upright-bass", "cello"),
        figures=("broken", "arpeggio-wave", "held"),
        bass_figures=("roots",),
        drums=("light", "brushed"),
        beats_per_bar=3,
    ),
    "brass band": Style(
        labels=("brass band", "march", "marching"),
        tempo_bpm=(100, 126),
        leads=("brass", "flute"),
        chords=("brass", "organ"),
        pads=("brass",),
        basses=("tuba",),
        figures=("broken", "pulse", "offbeat"),
        bass_figures=("root-fifth", "beats"),
        drums=("light", "rock"),
        minor=0.2,
        loudness_dbfs=(-18.0, -13.0),
    ),
    "drum and bass": Style(
        labels=("drum and bass", "electronic", "fast"),
        tempo_bpm=(158, 178),
        leads=("bell", "saw-lead", "flute"),
        chords=("warm-pad", "e-piano"),
        pads=("warm-pad", "strings"),
        basses=("sub-bass", "synth-bass"),
        figures=("held", "offbeat", "arpeggio-up"),
        bass_figures=("roots", "syncopated"),
        drums=("breakbeat",),
        kits=("electronic",),
        minor=0.8,
        loudness_dbfs=(-14.0, -10.5),
    ),
    "ballad": Style(
        labels=("ballad", "slow", "piano"),
        tempo_bpm=(60, 80),
        leads=("violin", "flute", "steel-pluck"),
        chords=("e-piano", "nylon-pluck"),
        pads=("strings", "warm-pad"),
        basses=("finger-bass",),
        figures=("held", "arpeggio-wave", "eighths"),
        bass_figures=("roots", "root-fifth"),
        drums=("light", "half-time"),
        reverb=(0.15, 0.35),
    ),
}

_FIRST = (
    "Amber Broken Copper Distant Electric Falling Gentle Hidden Iron Jade Kindled Lonely Midnight Northern Open Paper "
    "Quiet Restless Silver Twilight Under Velvet Wandering Yellow Winter Summer Morning Hollow Golden Salt Glass Second"
).split()
_SECOND = (
    "Avenue Bridge Canyon Doorway Echo Ferry Garden Harbour Island Junction Kite Lantern Meadow Number Ocean Parade "
    "Quarry River Station Tide Umbrella Valley Window Yard Machine Orchard Signal Compass Mirror Weather Carousel Road"
).split()
_ARTISTS = (
    "The Loopback Band, Port Authority, Ada Render, Sine & Sons, The Quantisers, Nyquist Trio, Hertz and Soul, "
    "Low Pass Orchestra, The Mel Filters, Octave Brothers, Tempo Rubato, Minor Swing Society"
).split(", ")


def title_from(numbers: tuple[int, int]) -> str:
    """A two-word title for two non-negative numbers."""
    return f"{_FIRST[numbers[0] % len(_FIRST)]} {_SECOND[numbers[1] % len(_SECOND)]}"


def artist_from(number: int) -> str:
    """An invented performer for a non-negative number."""
    return _ARTISTS[number % len(_ARTISTS)]
