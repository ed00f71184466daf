"""The words for one section: how it arrives, what changes, how it sounds, how it differs from before."""

from __future__ import annotations

from itertools import pairwise

from data_specs.records import Change
from tasks.caption import bands
from tasks.caption.facts import SectionFacts, TrackFacts, changes, same_loop, unchanged
from tasks.caption.rules.overview import rate_phrase
from tasks.caption.wording import (
    Phrasebook,
    article,
    cardinal,
    listed,
    ordinal,
    percent,
    rough_duration,
    rounded_hz,
    rounded_rate,
    sentence,
    times,
)

_DIFFERENCES = {
    "level_up": "{db} dB louder",
    "level_down": "{db} dB softer",
    "density_up": "busier",
    "density_down": "sparser",
    "brightness_up": "brighter",
    "brightness_down": "darker",
    "bass_in": "fuller in the bass",
    "bass_up": "heavier in the bass",
    "bass_out": "thinner in the bass",
    "bass_down": "lighter in the bass",
    "percussion_in": "now with percussion",
    "percussion_out": "now without percussion",
    "percussion_up": "more marked by percussion",
    "percussion_down": "less marked by percussion",
    "key": "in another key, {key}",
}


def write_passage(section: SectionFacts, track: TrackFacts, book: Phrasebook, detail: int) -> str:
    """The sentences of one section, without any time; the first one can follow a lead such as ``then``."""
    previous = track.sections[section.index - 1] if section.index else None
    told = detail < 1 and _step_told(section, track)
    returns = previous is not None and section.occurrence > 1 and previous.letter != section.letter
    if told and returns and section.rate_hz is not None and section.brightness_hz is not None:
        return sentence(_brief_return(section, book))
    moves = [_say(change, section, book) for change in section.changes] if previous and not told else []
    room = (1, 2, 3)[min(detail, 2)]
    arrival = _arrival(section, track, book)
    if moves:
        arrival = book.pick("join" if len(moves[:room]) == 1 else "join_many", a=arrival, b=listed(moves[:room]))
    elif previous and unchanged(previous, section) and detail >= (1 if previous.letter != section.letter else 3):
        # That a repetition is like what it repeats goes without saying.
        arrival = book.pick("join", a=arrival, b=book.pick("unchanged"))
    lines = [arrival]
    if len(moves) > room and detail >= 4:
        lines.append(book.pick("also", b=listed(moves[room:])))
    if previous is None or detail >= 6 or _state_words(section) != _state_words(previous):
        finely = detail if previous else max(detail, 2)
        lines.append(_state(section, book, finely))
        # A sentence of its own: unlike the state it means nothing in a crop.
        if finely >= 2 and section.level_db is not None and len(track.sections) > 1:
            lines.append(book.pick("level", level=_level(section.level_db, book)))
    # Early, also of short tracks: few facts tell one piece from another as its chords do.
    if detail >= (1 if section.occurrence == 1 else 2):
        lines.append(_harmony(section, track, book))
    if detail >= 4:
        lines.append(_against_first_time(section, track, book))
    lines += _finely(section, track, book, detail)
    return " ".join(sentence(line) for line in lines if book.once(line))


def _step_told(section: SectionFacts, track: TrackFacts) -> bool:
    """Whether the step from the same letter to the same letter was taken before: a terse text tells it once."""
    letters = [s.letter for s in track.sections[: section.index + 1]]
    steps = list(pairwise(letters))
    return bool(steps) and steps[-1] in steps[:-1]


def _say(change: Change, section: SectionFacts, book: Phrasebook) -> str:
    slot = "key_change" if change.kind == "key" else change.kind
    return book.pick(slot, db=f"{change.amount:.0f}", key=section.measured.key)


def _arrival(section: SectionFacts, track: TrackFacts, book: Phrasebook) -> str:
    last = section.index == len(track.sections) - 1
    if len(track.sections) == 1:
        slot = "only"
    elif section.index == 0:
        slot = "first"
    elif last and section.label == "outro" and section.occurrence == 1:
        slot = "outro"
    elif section.occurrence == 1:
        slot = "new"
    else:
        slot = "repeat" if track.sections[section.index - 1].letter == section.letter else "return"
        slot += "_varied" if section.variant else ""
    if slot.startswith("return") and not section.letter_sure:
        slot = "return_unsure"
    length = _length(section)
    return book.pick(
        slot,
        L=section.letter,
        length=book.pick("for", n=length),
        long=book.pick("long", n=length),
        length_n=length,
        nth=ordinal(section.occurrence),
        nth_a=article(ordinal(section.occurrence)),
        times=times(section.occurrence),
        occ=cardinal(section.occurrence),
        total=cardinal(section.occurrences),
        idea_a=article(ordinal(section.idea)),
    )


def _brief_return(section: SectionFacts, book: Phrasebook) -> str:
    """One of many returns, whose changes were told before: which one, and how it sounds."""
    density, band, *_ = _state_words(section)
    state = book.pick("brief_state", density=density, band=band)
    return book.pick(
        "brief_return" if section.letter_sure else "brief_return_unsure",
        L=section.letter,
        nth=ordinal(section.occurrence),
        nth_a=article(ordinal(section.occurrence)),
        state=f"varied, {state}" if section.variant else state,
    )


def _length(section: SectionFacts) -> str:
    """In bars where the beat is sure, in seconds or minutes otherwise."""
    if section.bars is None:
        return rough_duration(section.duration_s)
    return f"{cardinal(section.bars)} bar{'s' if section.bars != 1 else ''}"


def _state_words(section: SectionFacts) -> tuple[str | None, ...]:
    """The band words of a section: equal ones need not be said again."""
    pairs = (
        (bands.DENSITY, section.rate_hz),
        (bands.BRIGHTNESS, section.brightness_hz),
        (bands.PERCUSSION, section.percussion),
        (bands.BASS, section.bass),
    )
    return tuple(None if value is None else band.word(value) for band, value in pairs)


def _state(section: SectionFacts, book: Phrasebook, detail: int) -> str:
    if detail < 1:
        return ""
    rate, hz, percussion, bass = section.rate_hz, section.brightness_hz, section.percussion, section.bass
    if rate is None or hz is None or percussion is None or bass is None:
        return _partial_state(section, book)
    slot = "state1" if detail < 2 else "state3" if detail < 5 else "state5"
    return book.pick(
        slot,
        density=bands.DENSITY.word(rate),
        rate=rate_phrase(rate, book) if slot == "state5" else "",
        band=bands.BRIGHTNESS.word(hz),
        hz=rounded_hz(hz),
        perc=bands.PERCUSSION.word(percussion),
        bass=bands.BASS.word(bass),
    )


def _partial_state(section: SectionFacts, book: Phrasebook) -> str:
    """The state of a section in which something could not be measured, such as the colour of silence."""
    density, band, percussion, bass = _state_words(section)
    parts = [part for part in (percussion, bass) if part is not None]
    if section.rate_hz is not None:
        parts.append(f"a {density} texture, {rate_phrase(section.rate_hz, book)}")
    if section.brightness_hz is not None:
        parts.append(f"a {band} tone near {rounded_hz(section.brightness_hz)} Hz")
    # Another order each time: where little can be measured, the same few parts come in every section.
    turn = section.index % max(1, len(parts))
    return book.pick("state_parts", parts=listed(parts[turn:] + parts[:turn])) if parts else ""


def _level(level_db: float, book: Phrasebook) -> str:
    rounded = round(level_db)
    slot = "near" if rounded == 0 else "above" if rounded > 0 else "below"
    return book.pick(slot, db=abs(rounded))


def _harmony(section: SectionFacts, track: TrackFacts, book: Phrasebook) -> str:
    """What the chords do, where this section's loop is sure."""
    if not section.chords:
        return ""
    loop = "-".join(section.chords)
    earlier = track.sections[: section.index]
    if earlier and earlier[-1].chords and same_loop(earlier[-1].chords, section.chords):
        return book.pick("chords_stay", loop=loop)
    if len(section.chords) == 1:
        return book.pick("chords_one", loop=loop)
    for other in earlier:
        if other.chords and same_loop(other.chords, section.chords):
            return book.pick("chords_back", loop=loop, nth=ordinal(other.index + 1))
    return book.pick("chords_change" if earlier and earlier[-1].chords else "chords_new", loop=loop)


def _against_first_time(section: SectionFacts, track: TrackFacts, book: Phrasebook) -> str:
    first = next(s for s in track.sections if s.letter == section.letter)
    if section.index - first.index < 2:
        return ""  # the first time itself, or told already as the change from the section before
    differences = [
        _DIFFERENCES[c.kind].format(db=f"{c.amount:.0f}", key=section.measured.key) for c in changes(first, section)
    ]
    return book.pick("first_time", diffs=listed(differences)) if differences else book.pick("as_first_time")


def _finely(section: SectionFacts, track: TrackFacts, book: Phrasebook, detail: int) -> list[str]:
    """Finer measurements, for tracks whose few sections leave room for them."""
    lines = []
    if detail >= 6 and len(track.sections) > 1:
        lines.append(book.pick("share", pct=percent(section.share)))
    if detail >= 7 and len(track.sections) > 1:
        lines.append(_against_average("rate", section.rate_hz, track.average(lambda s: s.rate_hz), book))
        lines.append(_against_average("bright", section.brightness_hz, track.average(lambda s: s.brightness_hz), book))
    if detail >= 8 and track.tempo_sure and track.tempo_bpm and section.rate_hz:
        lines.append(book.pick("onsets_per_beat", x=rounded_rate(section.rate_hz * 60 / track.tempo_bpm)))
    if detail >= 9 and section.percussion is not None:
        lines.append(book.pick("percussion_share", pct=percent(section.percussion)))
    if detail >= 9 and section.bass is not None:
        lines.append(book.pick("bass_share", pct=percent(section.bass)))
    return lines


def _against_average(name: str, value: float | None, mean: float | None, book: Phrasebook) -> str:
    if value is None or not mean:
        return ""
    away = value / mean - 1
    if abs(away) < 0.1:
        return book.pick(f"{name}_even")
    return book.pick(f"{name}_against", pct=percent(abs(away)), side="above" if away > 0 else "below")
