"""Random and hand-made analyses for the caption tests."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

from data_specs.records import AudioFacts, ChordSpan, Section, Structure
from tasks.structure.changes import changes_between

KEYS = [
    f"{tonic} {mode}"
    for tonic in ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    for mode in ("major", "minor")
]
LOOPS: list[tuple[str, ...]] = [
    ("Am", "F", "C", "G"),
    ("C", "G"),
    ("Dm", "Bb", "F"),
    ("E",),
    ("F#m", "D", "A", "E"),
    (),
]


def random_song(
    seed: int, *, num_sections: int | None = None, duration_s: float | None = None
) -> tuple[AudioFacts, Structure]:
    """An analysis as varied as real ones and beyond: sure or unsure, drumless, silent, extreme."""
    rng = random.Random(seed)
    n = num_sections or min(rng.randint(1, 40), rng.choice([6, 12, 40]))
    duration = duration_s or max(30.0, rng.choice([30.0, n * rng.uniform(8, 30), n * 20.0, rng.uniform(45, 5400)]))
    bpm = rng.choice([rng.uniform(40, 220), 120.0, rng.uniform(80, 140)])
    weights = [rng.uniform(1, 4) for _ in range(n)]
    edges = [0.0]
    for weight in weights:
        edges.append(edges[-1] + weight / sum(weights) * duration)
    edges[-1] = duration
    flavour = rng.choice(["normal", "normal", "normal", "drumless", "silent", "extreme", "monotonous"])
    pool = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: rng.randint(1, 8)] if n <= 26 else "ABCDE"
    palette = {letter: _sound(rng, flavour) for letter in pool}
    letters = [rng.choice(pool) for _ in range(n)]
    renamed = {letter: "ABCDEFGH"[i] for i, letter in enumerate(dict.fromkeys(letters))}
    sections = tuple(
        replace(
            _section(rng, flavour, i, n, edges[i], edges[i + 1], renamed[letter], palette[letter], bpm),
            variant=rng.choice([0, 0, 0, 1, 2]) if letter in letters[:i] else 0,
        )
        for i, letter in enumerate(letters)
    )
    sections = compared(sections)
    beats = tuple(i * 60 / bpm for i in range(int(duration * bpm / 60))) if rng.random() < 0.7 else ()
    structure = Structure(
        track_id=f"song{seed:06d}",
        engine="core-1",
        duration_s=duration,
        tempo_bpm=bpm,
        tempo_confidence=rng.random(),
        tempo_alternatives=rng.choice([(), (bpm / 2, bpm * 2), (bpm * 2,)]),
        beats_per_bar=rng.choice([3, 4, 4]),
        meter_confidence=rng.random(),
        beats_s=beats,
        downbeats_s=beats[::4],
        tuning_cents=rng.uniform(-50, 50),
        tuning_confidence=rng.random(),
        chords=_chords(rng, sections),
        key=rng.choice(KEYS),
        key_confidence=rng.random(),
        sections=sections,
        sections_confidence=rng.random(),
    )
    return _audio(rng, structure, flavour), structure


def compared(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """The sections with their changes, as the analyser fills them in."""
    first, *_ = sections
    others = (replace(s, changes=changes_between(before, s)) for before, s in pairwise(sections))
    return (replace(first, changes=()), *others)


def _chords(rng: random.Random, sections: tuple[Section, ...]) -> tuple[ChordSpan, ...]:
    sure = rng.choice([0.2, 0.9])
    return tuple(
        ChordSpan(
            start_s=s.start_s + (s.end_s - s.start_s) * i / len(loop),
            end_s=s.start_s + (s.end_s - s.start_s) * (i + 1) / len(loop),
            name=name,
            confidence=sure,
        )
        for s in sections
        for loop in [s.chords or ("N",)]
        for i, name in enumerate(loop)
    )


def _sound(rng: random.Random, flavour: str) -> dict[str, float]:
    silent = flavour == "silent"
    return {
        "loudness_db": rng.choice([-80.0, -40.0, 0.0]) if silent else rng.uniform(-9, 5),
        "onset_rate_hz": 0.0 if silent else rng.uniform(0.3, 7) * (4 if flavour == "extreme" else 1),
        "brightness_hz": 0.0 if silent else rng.uniform(400, 4000) * (2 if flavour == "extreme" else 1),
        "percussion": 0.0 if flavour in ("drumless", "silent") else rng.choice([0.0, 0.2, 0.9, rng.random()]),
        "bass": 0.0 if silent else rng.choice([0.02, rng.random() * 0.6]),
    }


def _section(
    rng: random.Random,
    flavour: str,
    i: int,
    n: int,
    start: float,
    end: float,
    letter: str,
    sound: dict[str, float],
    bpm: float,
) -> Section:
    wobble = 0.0 if flavour in ("monotonous", "silent") else 0.15
    values = {name: value * (1 + rng.uniform(-wobble, wobble)) for name, value in sound.items()}
    if flavour == "extreme" and rng.random() < 0.3:
        values["loudness_db"] = rng.choice([float("-inf"), -120.0, 40.0])
    label = "intro" if i == 0 and rng.random() < 0.5 else "outro" if i == n - 1 and rng.random() < 0.5 else "section"
    return Section(
        start_s=start,
        end_s=end,
        label=label,
        letter=letter,
        variant=0,
        letter_confidence=rng.random(),
        boundary_confidence=rng.random() if i else 1.0,
        num_bars=round((end - start) * bpm / 240),
        chords=LOOPS[ord(letter) % len(LOOPS)],
        chords_confidence=rng.random(),
        key=rng.choice(["", *KEYS[:6]]),
        key_confidence=rng.random(),
        changes=(),
        **{**values, "percussion": min(1.0, values["percussion"]), "bass": min(1.0, values["bass"])},
    )


def _audio(rng: random.Random, structure: Structure, flavour: str) -> AudioFacts:
    silent = flavour == "silent"
    return AudioFacts(
        track_id=structure.track_id,
        file=f"audio/{structure.track_id}.flac",
        sha256="0" * 64,
        pcm_sha256="1" * 64,
        num_bytes=1,
        duration_s=structure.duration_s,
        container_duration_s=None,
        gap_s=0.0,
        loudness_range_lu=rng.choice([None, rng.uniform(1, 20)]),
        side_db=rng.choice([None, -120.0, rng.uniform(-30, 0)]),
        source_sample_rate_hz=44100,
        source_channels=2,
        loudness_lufs=None if silent and rng.random() < 0.5 else rng.uniform(-40, -6),
        peak_dbfs=rng.choice([-0.1, -3.0, 0.0]),
        silence_ratio=rng.choice([0.0, 0.03, 0.9 if silent else 0.1]),
        longest_silence_s=rng.uniform(0, 5),
        clipping_ratio=0.0,
        bandwidth_hz=16000.0,
    )


def plain_song() -> tuple[AudioFacts, Structure]:
    """A song with everything sure: the one that the tests of single sentences and rules start from."""
    audio, structure = random_song(1, num_sections=6, duration_s=180.0)
    sounds = {
        "A": dict(
            loudness_db=-4.0,
            onset_rate_hz=1.2,
            brightness_hz=1100.0,
            percussion=0.05,
            bass=0.12,
            chords=("Am", "F", "C", "G"),
        ),
        "B": dict(
            loudness_db=2.5, onset_rate_hz=4.1, brightness_hz=2400.0, percussion=0.85, bass=0.31, chords=("C", "G")
        ),
        "C": dict(
            loudness_db=0.2,
            onset_rate_hz=2.2,
            brightness_hz=1700.0,
            percussion=0.3,
            bass=0.05,
            chords=("Dm", "Bb", "F"),
        ),
    }
    letters, bars = "ABABCB", (8, 16, 8, 16, 8, 16)
    bar_s = 180.0 / sum(bars)
    sections, at = [], 0.0
    for i, (letter, n) in enumerate(zip(letters, bars, strict=True)):
        extra = dict(sounds[letter], loudness_db=sounds[letter]["loudness_db"] + 0.7 * i)  # type: ignore[operator]
        sections.append(
            Section(
                start_s=at,
                end_s=at + n * bar_s,
                label="section",
                letter=letter,
                variant=0,
                letter_confidence=0.9,
                boundary_confidence=0.9 if i else 1.0,
                num_bars=n,
                chords_confidence=0.9,
                key="A minor",
                key_confidence=0.7,
                changes=(),
                **extra,
            )  # type: ignore[arg-type]
        )
        at += n * bar_s
    sections[-1] = replace(sections[-1], end_s=180.0)
    structure = replace(
        structure,
        track_id="plain",
        sections=compared(tuple(sections)),
        tempo_bpm=96.0,
        tempo_confidence=0.9,
        tempo_alternatives=(48.0, 192.0),
        key="A minor",
        key_confidence=0.8,
        tuning_cents=3.0,
        tuning_confidence=0.9,
        beats_per_bar=4,
        meter_confidence=0.9,
        beats_s=tuple(i * 0.625 for i in range(288)),
    )
    return replace(audio, track_id="plain", loudness_lufs=-14.2, peak_dbfs=-0.3, silence_ratio=0.0), structure
