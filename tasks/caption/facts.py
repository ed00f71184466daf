"""What may be said of a track: measurements, each kept only where it is finite and sure enough.

Sentences are written from these facts alone, so a claim without a measurement cannot arise: what
is ``None`` (or an empty chord loop) here has no words later.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from data_specs.records import AudioFacts, Change, ChordSpan, Section, Structure
from tasks.structure.changes import changes_between

TEMPO_SURE = 0.5
"""Below, the tempo gets a word but no number, and nothing is counted in bars."""
TEMPO_CERTAIN = 0.75
"""Below, the strongest other reading of the tempo is named too."""
KEY_SURE = 0.5
CHORDS_SURE = 0.5
CHANGE_SURE = 0.5
METER_SURE = 0.5
"""Below, nothing is counted in bars either: with seven eighths to the bar, or a wrong first beat, each count is off."""
TUNING_SURE = 0.5
LETTER_SURE = 0.5
TUNING_STEP_CENTS = 15.0
PULSE_SPREAD = 0.02
MAX_DRIFT = 0.05
MIN_BEATS = 9
MIN_CHORD_SHARE = 0.6
"""Of the running time; below, the chords that are sure do not speak for the track."""
MAX_CHORDS = 4


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
    letter_sure: bool
    variant: int
    """0 where the letter's music is as first heard."""
    pulse_bpm: float | None
    """From this section's own beats."""
    changes: tuple[Change, ...]
    """Sure ones against the section before."""
    measured: Section
    """Everything, sure or not."""

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
    beats_per_bar: int | None
    pulse_steady: bool
    key: str | None
    tuning_cents: float | None
    loudness_lufs: float | None
    peak_over_db: float | None
    loudness_range_lu: float | None
    side_db: float | None
    """Level of the stereo difference against the sum; None unless the source is stereo."""
    silence_ratio: float
    longest_silence_s: float
    bandwidth_hz: float | None
    pulse_halves: tuple[float, float] | None
    """BPM counted over the first half of the beats and over the second."""
    chord_shares: tuple[tuple[str, float], ...]
    """The chords heard most with their shares of the running time; empty where few are sure."""
    chord_s: float | None
    """Mean length of a chord; None where no chord changes."""
    sections: tuple[SectionFacts, ...]

    def average(self, value: Callable[[SectionFacts], float | None]) -> float | None:
        """Mean of what was measured, weighted by duration."""
        known = [(v, s.duration_s) for s in self.sections if (v := value(s)) is not None]
        weight = sum(w for _, w in known)
        return sum(v * w for v, w in known) / weight if weight > 0 else None

    def values(self, value: Callable[[SectionFacts], float | None]) -> list[float]:
        return [v for s in self.sections if (v := value(s)) is not None]


def gather_facts(audio: AudioFacts, structure: Structure) -> TrackFacts:
    """Keep what is finite and sure of both records."""
    sure = structure.tempo_confidence >= TEMPO_SURE
    meter_sure = sure and structure.meter_confidence >= METER_SURE
    tempo = _measured(structure.tempo_bpm, above=1)
    sections = tuple(_section_facts(structure, tempo_sure=sure, meter_sure=meter_sure))
    key_sure = structure.key_confidence >= KEY_SURE and bool(structure.key)
    tuning = _measured(structure.tuning_cents) if structure.tuning_confidence >= TUNING_SURE else None
    lufs = _measured(audio.loudness_lufs)
    peak = _measured(audio.peak_dbfs)
    pulses = [s.pulse_bpm for s in sections if s.pulse_bpm is not None]
    return TrackFacts(
        duration_s=structure.duration_s,
        tempo_bpm=tempo,
        tempo_sure=sure and tempo is not None,
        tempo_alternative=_alternative(structure),
        beats_per_bar=structure.beats_per_bar if meter_sure else None,
        pulse_steady=len(pulses) >= 2 and max(pulses) / min(pulses) <= 1 + PULSE_SPREAD,
        key=structure.key if key_sure else None,
        tuning_cents=tuning if tuning is not None and abs(tuning) >= TUNING_STEP_CENTS else None,
        loudness_lufs=lufs,
        peak_over_db=peak - lufs if peak is not None and lufs is not None and peak > lufs else None,
        loudness_range_lu=_measured(audio.loudness_range_lu),
        side_db=_measured(audio.side_db),
        silence_ratio=audio.silence_ratio,
        longest_silence_s=audio.longest_silence_s,
        bandwidth_hz=_measured(audio.bandwidth_hz, above=20),
        pulse_halves=_pulse_halves(structure) if sure and tempo is not None else None,
        chord_shares=_chord_shares(structure),
        chord_s=_chord_length_s(structure),
        sections=sections,
    )


def changes(before: SectionFacts, after: SectionFacts) -> tuple[Change, ...]:
    """What surely differs between any two sections, the most telling first."""
    return _sure(changes_between(before.measured, after.measured))


def unchanged(before: SectionFacts, after: SectionFacts) -> bool:
    """Whether nothing passes its threshold, not even unsurely."""
    return not changes_between(before.measured, after.measured)


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


def _sure_chords(structure: Structure) -> list[ChordSpan]:
    """The chords, where those that are sure make up most of the track."""
    sure = [c for c in structure.chords if c.confidence >= CHORDS_SURE and c.name != "N"]
    heard_s = sum(chord.end_s - chord.start_s for chord in sure)
    return sure if heard_s >= MIN_CHORD_SHARE * structure.duration_s else []


def _chord_shares(structure: Structure) -> tuple[tuple[str, float], ...]:
    shares: dict[str, float] = {}
    for chord in _sure_chords(structure):
        shares[chord.name] = shares.get(chord.name, 0.0) + (chord.end_s - chord.start_s) / structure.duration_s
    return tuple(sorted(shares.items(), key=lambda item: (-item[1], item[0]))[:MAX_CHORDS])


def _chord_length_s(structure: Structure) -> float | None:
    chords = _sure_chords(structure)
    changing = len({chord.name for chord in chords}) > 1
    return sum(chord.end_s - chord.start_s for chord in chords) / len(chords) if changing else None


def _section_facts(structure: Structure, *, tempo_sure: bool, meter_sure: bool) -> Iterable[SectionFacts]:
    totals = Counter(section.letter for section in structure.sections)
    ideas = {letter: rank for rank, letter in enumerate(totals, 1)}
    seen: Counter[str] = Counter()
    for index, section in enumerate(structure.sections):
        seen[section.letter] += 1
        # A loop has a chord a bar: where a clear pulse fits no meter, its chords are cut in the wrong places.
        loop_sure = section.chords_confidence >= CHORDS_SURE and (meter_sure or not tempo_sure)
        loop = section.chords if loop_sure and "N" not in section.chords else ()
        yield SectionFacts(
            index=index,
            letter=section.letter,
            label=section.label,
            start_s=section.start_s,
            end_s=section.end_s,
            share=(section.end_s - section.start_s) / structure.duration_s,
            bars=section.num_bars if meter_sure and section.num_bars >= 1 else None,
            level_db=_measured(section.loudness_db),
            rate_hz=_measured(section.onset_rate_hz, above=0),
            brightness_hz=_measured(section.brightness_hz, above=20),
            percussion=_measured(section.percussion, above=0),
            bass=_measured(section.bass, above=0),
            chords=loop,
            occurrence=seen[section.letter],
            occurrences=totals[section.letter],
            idea=ideas[section.letter],
            letter_sure=section.letter_confidence >= LETTER_SURE,
            variant=section.variant,
            pulse_bpm=_pulse(structure, section) if tempo_sure else None,
            changes=_sure(section.changes) if index else (),
            measured=section,
        )


def _sure(found: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(change for change in found if change.confidence >= CHANGE_SURE)


def _pulse(structure: Structure, section: Section) -> float | None:
    return _rate_bpm([b for b in structure.beats_s if section.start_s <= b < section.end_s])


def _pulse_halves(structure: Structure) -> tuple[float, float] | None:
    middle = len(structure.beats_s) // 2
    first, second = _rate_bpm(structure.beats_s[: middle + 1]), _rate_bpm(structure.beats_s[middle:])
    if first is None or second is None:
        return None
    # Beats at another octave than the tempo would contradict it in the same paragraph.
    near = all(abs(bpm / structure.tempo_bpm - 1) <= MAX_DRIFT for bpm in (first, second))
    return (first, second) if near else None


def _rate_bpm(beats_s: Sequence[float]) -> float | None:
    if len(beats_s) < MIN_BEATS or beats_s[-1] <= beats_s[0]:
        return None
    return 60 * (len(beats_s) - 1) / (beats_s[-1] - beats_s[0])
