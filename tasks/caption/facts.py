"""What may be said of a track: measurements, each kept only where it is finite and sure enough.

Sentences are written from these facts alone, so a claim without a measurement cannot arise: what
is ``None`` (or an empty chord loop) here has no words later.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from data_specs.records import AudioFacts, Section, Structure

TEMPO_SURE = 0.5
"""Below, the tempo gets a word but no number, and nothing is counted in bars."""
TEMPO_CERTAIN = 0.75
"""Below, the strongest other reading of the tempo is named too."""
KEY_SURE = 0.5
CHORDS_SURE = 0.5
LEVEL_STEP_DB = 2.0
DENSITY_RATIO = 1.3
BRIGHTNESS_RATIO = 1.2
AUDIBLE_RATE_HZ = 0.5
"""Two rates below this are both nearly nothing; their ratio says nothing."""
TUNING_STEP_CENTS = 15.0
PULSE_SPREAD = 0.02
MIN_BEATS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionFacts:
    """One section, its place in the form and what was measured in it."""

    index: int
    letter: str
    label: str
    start_s: float
    end_s: float
    share: float
    """Of the running time."""
    bars: int | None
    level_db: float | None
    rate_hz: float | None
    brightness_hz: float | None
    percussion: float | None
    bass: float | None
    chords: tuple[str, ...]
    occurrence: int
    """1 the first time this letter is heard."""
    occurrences: int
    idea: int
    """Rank of the letter by first appearance, from 1."""
    pulse_bpm: float | None
    """From this section's own beats."""

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFacts:
    """One track: what holds for the whole of it, and its sections."""

    duration_s: float
    tempo_bpm: float | None
    tempo_sure: bool
    tempo_alternative: float | None
    beats_per_bar: int
    pulse_steady: bool
    key: str | None
    tuning_cents: float | None
    loudness_lufs: float | None
    peak_over_db: float | None
    silence_ratio: float
    longest_silence_s: float
    sections: tuple[SectionFacts, ...]

    def average(self, value: Callable[[SectionFacts], float | None]) -> float | None:
        """Mean of what was measured, weighted by duration."""
        known = [(v, s.duration_s) for s in self.sections if (v := value(s)) is not None]
        weight = sum(w for _, w in known)
        return sum(v * w for v, w in known) / weight if weight > 0 else None

    def values(self, value: Callable[[SectionFacts], float | None]) -> list[float]:
        return [v for s in self.sections if (v := value(s)) is not None]


@dataclass(frozen=True, slots=True)
class Change:
    """One audible difference between two sections, above its threshold."""

    kind: str
    """``level_up``, ``percussion_in`` ...: also the name of the phrases that say it."""
    amount: float = 0.0


def gather_facts(audio: AudioFacts, structure: Structure) -> TrackFacts:
    """Keep what is finite and sure of both records."""
    sure = structure.tempo_confidence >= TEMPO_SURE
    tempo = _measured(structure.tempo_bpm, above=1)
    sections = tuple(_section_facts(structure, bars_sure=sure))
    key_sure = structure.key_confidence >= KEY_SURE and bool(structure.key)
    tuning = _measured(structure.tuning_cents)
    lufs = _measured(audio.loudness_lufs)
    peak = _measured(audio.peak_dbfs)
    pulses = [s.pulse_bpm for s in sections if s.pulse_bpm is not None]
    return TrackFacts(
        duration_s=structure.duration_s,
        tempo_bpm=tempo,
        tempo_sure=sure and tempo is not None,
        tempo_alternative=_alternative(structure),
        beats_per_bar=structure.beats_per_bar,
        pulse_steady=len(pulses) >= 2 and max(pulses) / min(pulses) <= 1 + PULSE_SPREAD,
        key=structure.key if key_sure else None,
        tuning_cents=tuning if key_sure and tuning is not None and abs(tuning) >= TUNING_STEP_CENTS else None,
        loudness_lufs=lufs,
        peak_over_db=peak - lufs if peak is not None and lufs is not None and peak > lufs else None,
        silence_ratio=audio.silence_ratio,
        longest_silence_s=audio.longest_silence_s,
        sections=sections,
    )


def changes(before: SectionFacts, after: SectionFacts) -> tuple[Change, ...]:
    """What differs between two sections, the most telling first."""
    found = (
        _percussion_change(before.percussion, after.percussion),
        _level_change(before.level_db, after.level_db),
        _ratio_change("density", before.rate_hz, after.rate_hz, DENSITY_RATIO, floor=AUDIBLE_RATE_HZ),
        _bass_change(before.bass, after.bass),
        _ratio_change("bright", before.brightness_hz, after.brightness_hz, BRIGHTNESS_RATIO, floor=1),
    )
    return tuple(change for change in found if change is not None)


def same_loop(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether two chord loops are equal, wherever in the loop each begins."""
    return len(a) == len(b) and any(a[i:] + a[:i] == b for i in range(max(1, len(a))))


def winner(
    sections: Iterable[SectionFacts],
    value: Callable[[SectionFacts], float | None],
    beats: Callable[[float, float], bool],
) -> SectionFacts | None:
    """The section whose value beats every other's, or None when it is a near tie or was not measured."""
    known = [(v, s) for s in sections if (v := value(s)) is not None]
    for v, candidate in known:
        if len(known) > 1 and all(beats(v, other) for other, s in known if s is not candidate):
            return candidate
    return None


def _measured(value: float | None, above: float = -math.inf) -> float | None:
    return value if value is not None and math.isfinite(value) and value >= above else None


def _alternative(structure: Structure) -> float | None:
    """The strongest other reading of the tempo, where the first one is not beyond doubt."""
    if not TEMPO_SURE <= structure.tempo_confidence < TEMPO_CERTAIN:
        return None
    for bpm in structure.tempo_alternatives:
        if _measured(bpm, above=1) is not None and round(bpm) != round(structure.tempo_bpm):
            return bpm
    return None


def _section_facts(structure: Structure, *, bars_sure: bool) -> Iterable[SectionFacts]:
    totals = Counter(section.letter for section in structure.sections)
    ideas = {letter: rank for rank, letter in enumerate(totals, 1)}
    seen: Counter[str] = Counter()
    for index, section in enumerate(structure.sections):
        seen[section.letter] += 1
        loop = section.chords if section.chords_confidence >= CHORDS_SURE and "N" not in section.chords else ()
        yield SectionFacts(
            index=index,
            letter=section.letter,
            label=section.label,
            start_s=section.start_s,
            end_s=section.end_s,
            share=(section.end_s - section.start_s) / structure.duration_s,
            bars=section.num_bars if bars_sure and section.num_bars >= 1 else None,
            level_db=_measured(section.loudness_db),
            rate_hz=_measured(section.onset_rate_hz, above=0),
            brightness_hz=_measured(section.brightness_hz, above=20),
            percussion=_measured(section.percussion, above=0),
            bass=_measured(section.bass, above=0),
            chords=loop,
            occurrence=seen[section.letter],
            occurrences=totals[section.letter],
            idea=ideas[section.letter],
            pulse_bpm=_pulse(structure, section) if bars_sure else None,
        )


def _pulse(structure: Structure, section: Section) -> float | None:
    beats = [b for b in structure.beats_s if section.start_s <= b < section.end_s]
    if len(beats) < MIN_BEATS or beats[-1] <= beats[0]:
        return None
    return 60 * (len(beats) - 1) / (beats[-1] - beats[0])


def _level_change(before: float | None, after: float | None) -> Change | None:
    if before is None or after is None or abs(after - before) < LEVEL_STEP_DB:
        return None
    return Change("level_up" if after > before else "level_down", abs(after - before))


def _ratio_change(name: str, before: float | None, after: float | None, bound: float, floor: float) -> Change | None:
    if before is None or after is None or max(before, after) < floor:
        return None
    if min(before, after) * bound > max(before, after):
        return None
    return Change(f"{name}_up" if after > before else f"{name}_down")


def _percussion_change(before: float | None, after: float | None) -> Change | None:
    # Between "absent" (< .15) and "present" (>= .3) lies a gap: a value that merely crosses the
    # edge of a band is no entry.
    if before is None or after is None:
        return None
    if before < 0.15 and after >= 0.3:
        return Change("percussion_in")
    if before >= 0.3 and after < 0.15:
        return Change("percussion_out")
    if abs(after - before) >= 0.3:
        return Change("percussion_up" if after > before else "percussion_down")
    return None


def _bass_change(before: float | None, after: float | None) -> Change | None:
    if before is None or after is None:
        return None
    if before < 0.08 and after >= 0.15:
        return Change("bass_in")
    if before >= 0.15 and after < 0.08:
        return Change("bass_out")
    if abs(after - before) >= 0.1 and max(after, before) >= 1.5 * min(after, before):
        return Change("bass_up" if after > before else "bass_down")
    return None
