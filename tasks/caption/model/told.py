"""What the prompt tells of the analysis: sure facts in a few fixed words, relative and rounded."""

from __future__ import annotations

import re

from data_specs.records import Change
from tasks.caption.bands import TEMPO
from tasks.caption.facts import SectionFacts, TrackFacts

LETTER_SURE = 0.5
MAX_CHANGES = 4
"""Per section, the most telling ones."""

_CHORD = re.compile(r"[A-G][#b]?[A-Za-z0-9+/#]{0,8}")
_KEY = re.compile(r"[A-G][#b]? (?:major|minor)")
_LETTER = re.compile(r"[A-Z]{1,2}")
CHANGES = {
    "level_up": "louder by about {amount:.0f} dB",
    "level_down": "softer by about {amount:.0f} dB",
    "density_up": "denser, with {amount:.1f} times as many notes",
    "density_down": "sparser, with a fraction of the notes",
    "brightness_up": "brighter in tone",
    "brightness_down": "darker in tone",
    "percussion_in": "percussion enters",
    "percussion_out": "percussion drops out",
    "percussion_up": "more percussion",
    "percussion_down": "less percussion",
    "bass_in": "the bass enters",
    "bass_out": "the bass drops out",
    "bass_up": "more bass",
    "bass_down": "less bass",
    "key": "another key",
}
"""By the kind of change."""


def song_facts(facts: TrackFacts) -> list[str]:
    """Sentences on the whole song: tempo, meter, key, chord loop of the main music, form."""
    lines = []
    if facts.tempo_bpm is not None:
        word = TEMPO.word(facts.tempo_bpm)
        lines.append(f"Tempo: {facts.tempo_bpm:.0f} BPM ({word})." if facts.tempo_sure else f"Tempo: {word}.")
    if facts.beats_per_bar is not None:
        lines.append(f"Meter: {facts.beats_per_bar} beats to the bar.")
    if facts.key is not None and _KEY.fullmatch(facts.key):
        lines.append(f"Key: {facts.key}.")
    if main := _main_music(facts):
        lines.append(f"The music heard longest, {main.letter}, goes over the chords {'-'.join(main.chords)}.")
    if all(map(_letter_sure, facts.sections)) and len(facts.sections) > 1:
        lines.append(f"Form: {' '.join(map(_music, facts.sections))}; equal letters are the same music.")
    return lines


def section_facts(facts: TrackFacts, index: int) -> list[str]:
    """What is surely known of one section: its music, its bars and what changes when it begins."""
    section = facts.sections[index]
    found = []
    if _letter_sure(section):
        found.append(f"music {_music(section)}")
        if (same := _same_music(facts, section)) is not None:
            varied = "" if same.variant == section.variant else ", varied"
            found.append(f"the same music as section {same.index + 1}{varied}")
    if section.bars is not None:
        found.append(f"{section.bars} bar{'s' if section.bars > 1 else ''}")
    return found + [_change(change) for change in section.changes[:MAX_CHANGES]]


def _change(change: Change) -> str:
    return CHANGES[change.kind].format(amount=change.amount)


def _music(section: SectionFacts) -> str:
    """``A``, ``A′`` ..."""
    return section.letter + ("′" * section.variant if section.variant <= 3 else f"({section.variant})")


def _letter_sure(section: SectionFacts) -> bool:
    return section.measured.letter_confidence >= LETTER_SURE and bool(_LETTER.fullmatch(section.letter))


def _same_music(facts: TrackFacts, section: SectionFacts) -> SectionFacts | None:
    """The first section with this music, where it is an earlier one."""
    first = next(s for s in facts.sections if s.letter == section.letter)
    return first if first.index < section.index and _letter_sure(first) else None


def _main_music(facts: TrackFacts) -> SectionFacts | None:
    """The first section, with sure chords, of the letter that fills most of the song."""
    shares: dict[str, float] = {}
    for section in facts.sections:
        shares[section.letter] = shares.get(section.letter, 0.0) + section.share
    main = max(shares, key=lambda letter: shares[letter])
    of_main = [s for s in facts.sections if s.letter == main and _letter_sure(s)]
    return next((s for s in of_main if s.chords and all(map(_CHORD.fullmatch, s.chords))), None)
