"""The paragraph over the whole track: pulse, key, colour, level, form and what stands out."""

from __future__ import annotations

from tasks.caption import bands
from tasks.caption.facts import SectionFacts, TrackFacts, winner
from tasks.caption.wording import (
    Phrasebook,
    cardinal,
    listed,
    ordinal,
    percent,
    rounded_hz,
    rounded_rate,
    sentence,
    spoken_duration,
    times,
)
from tasks.structure.changes import LEVEL_STEP_DB

MAX_FORM_LETTERS = 16
"""A longer form is named by its first and last letters: nobody reads forty."""
_ORDERS = (
    ("tempo", "key", "colour", "drums", "level", "form"),
    ("form", "tempo", "key", "drums", "colour", "level"),
    ("colour", "drums", "tempo", "key", "form", "level"),
    ("level", "colour", "drums", "key", "tempo", "form"),
    ("key", "tempo", "drums", "level", "form", "colour"),
)


def write_overview(track: TrackFacts, book: Phrasebook, detail: int) -> str:
    """The global paragraph without clock times; ``detail`` decides how much beside the essentials."""
    blocks = {
        "tempo": _tempo_values(track),
        "key": {"key": track.key} if track.key else {},
        "colour": _colour_values(track, book),
        "drums": _drum_values(track),
        "level": _level_values(track),
        "form": {"form": _form(track, book)} if len(track.sections) > 1 else {},
    }
    order = min(_ORDERS, key=lambda o: book.rank("order", *o))
    opener = min((name for name, values in blocks.items() if values), key=lambda name: book.rank("opener", name))
    dur = spoken_duration(track.duration_s)
    lines = [book.pick(f"open_{opener}", dur=dur, **blocks[opener]) + _tail(opener, track, book, detail)]
    for name in order:
        if name != opener and (line := _line(name, blocks[name], track, book, detail)):
            lines.append(line)
    lines += _outstanding(track, book, detail)
    return " ".join(sentence(line) for line in lines)


def section_name(section: SectionFacts, track: TrackFacts) -> str:
    """``the fourth section (B)``; where it has a function, ``the second chorus (B)`` or ``the bridge (C)``."""
    if section.label == "section":
        return f"the {ordinal(section.index + 1)} section ({section.letter})"
    alike = [s.index for s in track.sections if s.label == section.label]
    rank = f"{ordinal(alike.index(section.index) + 1)} " if len(alike) > 1 else ""
    return f"the {rank}{section.label} ({section.letter})"


def rate_phrase(rate_hz: float, book: Phrasebook) -> str:
    if rate_hz < 0.05:
        return book.pick("rate_none")
    return book.pick("rate", x=rounded_rate(rate_hz))


def _line(name: str, values: dict[str, str], track: TrackFacts, book: Phrasebook, detail: int) -> str:
    """The sentence of one block, or a hedge where the measurement is not sure, or nothing."""
    if values:
        return book.pick(name, **values) + _tail(name, track, book, detail)
    if name == "tempo" and track.tempo_bpm is not None:
        return book.pick("tempo_guess", word=bands.TEMPO.word(track.tempo_bpm))
    if name == "level":
        return book.pick("level_gate")
    if name == "key":
        return book.pick("key_guess")
    return ""


def _tail(name: str, track: TrackFacts, book: Phrasebook, detail: int) -> str:
    """What is added to a block's sentence when there is room."""
    tails: list[str] = []
    if name == "tempo":
        if track.tempo_alternative is not None:
            tails.append(book.pick("tempo_alternative", bpm=round(track.tempo_alternative)))
        if detail >= 2 and track.beats_per_bar is not None:
            tails.append(book.pick("meter", beats=cardinal(track.beats_per_bar)))
        if detail >= 4 and track.pulse_steady:
            tails.append(book.pick("pulse_steady"))
    elif name == "key" and track.tuning_cents is not None:
        side = "sharp" if track.tuning_cents > 0 else "flat"
        tails.append(book.pick("tuning", cents=round(abs(track.tuning_cents)), side=side))
    elif name == "level":
        if detail >= 5 and track.peak_over_db is not None:
            tails.append(book.pick("peak", db=round(track.peak_over_db)))
    elif name == "drums" and detail >= 3 and len(track.sections) > 1:
        tails += _percussion_places(track, book, detail)
    return "; " + listed(tails) if tails else ""


def _tempo_values(track: TrackFacts) -> dict[str, str]:
    if not track.tempo_sure or track.tempo_bpm is None:
        return {}
    return {"bpm": f"{track.tempo_bpm:.0f}", "word": bands.TEMPO.word(track.tempo_bpm)}


def _colour_values(track: TrackFacts, book: Phrasebook) -> dict[str, str]:
    hz, rate = track.average(lambda s: s.brightness_hz), track.average(lambda s: s.rate_hz)
    if hz is None or rate is None:
        return {}
    return {
        "band": bands.BRIGHTNESS.word(hz),
        "hz": rounded_hz(hz),
        "density": bands.DENSITY.word(rate),
        "rate": rate_phrase(rate, book),
    }


def _drum_values(track: TrackFacts) -> dict[str, str]:
    percussion, bass = track.average(lambda s: s.percussion), track.average(lambda s: s.bass)
    if percussion is None or bass is None:
        return {}
    return {"perc": bands.PERCUSSION.word(percussion), "bass": bands.BASS.word(bass)}


def _level_values(track: TrackFacts) -> dict[str, str]:
    if track.loudness_lufs is None:
        return {}
    return {"lufs": f"{track.loudness_lufs:.0f}", "word": bands.LOUDNESS.word(track.loudness_lufs)}


def _percussion_places(track: TrackFacts, book: Phrasebook, detail: int) -> list[str]:
    known = [s for s in track.sections if s.percussion is not None]
    present = [s for s in known if bands.PERCUSSION.word(s.percussion or 0) != bands.PERCUSSION.words[0]]
    total = cardinal(len(track.sections))
    if len(known) < len(track.sections):
        return []
    if not present:
        return [book.pick("perc_none", total=total)] if detail >= 6 else []
    if len(present) == len(known):
        return [book.pick("perc_all", total=total)]
    return [book.pick("perc_some", count=cardinal(len(present)), total=total, first=ordinal(present[0].index + 1))]


def _form(track: TrackFacts, book: Phrasebook) -> str:
    letters = [s.letter for s in track.sections]
    form = ", ".join(letters)
    if len(letters) > MAX_FORM_LETTERS:
        form = f"{', '.join(letters[:6])} at its start and {', '.join(letters[-4:])} at its end"
    num_ideas = len(set(letters))
    slot = "ideas_one" if num_ideas == 1 else "ideas_all_new" if num_ideas == len(letters) else "ideas"
    return f"{form}: {book.pick(slot, n=cardinal(len(letters)), k=cardinal(num_ideas))}"


def _outstanding(track: TrackFacts, book: Phrasebook, detail: int) -> list[str]:
    """Contrasts, extremes and returning material, as far as there is room."""
    lines = [_most(track, book, "most")]
    levels = track.values(lambda s: s.level_db)
    if len(levels) > 1 and detail >= 1:
        span = max(levels) - min(levels)
        lines.append(book.pick("span", db=f"{span:.0f}", word=bands.SPAN.word(span)))
    if detail >= 2:
        lines.append(_returning(track, book))
    if detail >= 4:
        lines.append(_arc(track, book))
    if detail >= 5:
        lines.append(_biggest_step(track, book))
    if detail >= 6:
        lines += [_silence(track, book), _lengths(track, book)]
    if detail >= 7 and len(track.sections) > 2:
        lines.append(_most(track, book, "least"))
    if detail >= 8:
        lines += _finely(track, book)
    if detail >= 8 and len(track.sections) > 1:
        middle = next(s for s in track.sections if s.end_s >= track.duration_s / 2)
        lines.append(book.pick("halfway", section=section_name(middle, track)))
    return [line for line in lines if line]


def _finely(track: TrackFacts, book: Phrasebook) -> list[str]:
    """Finer measurements, for tracks whose few sections leave room for them."""
    lines = []
    if track.chord_shares:
        shares = [f"{name} ({percent(share)}% of the time)" for name, share in track.chord_shares]
        lines.append(book.pick("chords_most", chords=listed(shares)))
    if track.chord_s is not None:
        lines.append(book.pick("chord_length", s=f"{track.chord_s:.1f}"))
    if track.loudness_range_lu is not None:
        word = bands.LOUDNESS_RANGE.word(track.loudness_range_lu)
        lines.append(book.pick("loudness_range", lu=f"{track.loudness_range_lu:.0f}", word=word))
    if track.side_db is not None:
        lines.append(book.pick("stereo", word=bands.STEREO.word(track.side_db)))
    if track.bandwidth_hz is not None:
        lines.append(book.pick("bandwidth", hz=rounded_hz(track.bandwidth_hz)))
    if track.pulse_halves is not None:
        first, second = (f"{bpm:.0f}" for bpm in track.pulse_halves)
        slot = "pulse_halves_even" if first == second else "pulse_halves"
        lines.append(book.pick(slot, first=first, second=second))
    if len(track.sections) == 1:
        lines.append(book.pick("undivided"))
    return lines


def _most(track: TrackFacts, book: Phrasebook, slot: str) -> str:
    """Which section is loudest, densest, brightest, longest (or the reverse), without near ties."""
    sign = 1 if slot == "most" else -1
    names = (
        ("loudest", "densest", "brightest", "longest") if sign > 0 else ("softest", "sparsest", "darkest", "shortest")
    )
    if len(track.sections) == 2:
        names = ("louder", "denser", "brighter", "longer")
    found = (
        winner(track.sections, lambda s: s.level_db, lambda a, b: sign * (a - b) >= 1),
        winner(track.sections, lambda s: s.rate_hz, lambda a, b: _ahead(a, b, sign, 1.1)),
        winner(track.sections, lambda s: s.brightness_hz, lambda a, b: _ahead(a, b, sign, 1.1)),
        winner(track.sections, lambda s: s.duration_s, lambda a, b: _ahead(a, b, sign, 1.1)),
    )
    wins: dict[int, list[str]] = {}
    for name, section in zip(names, found, strict=True):
        if section is not None:
            wins.setdefault(section.index, []).append(name)
    if not wins:
        return ""
    named = [(section_name(track.sections[i], track), listed(adjectives)) for i, adjectives in wins.items()]
    parts = [
        f"{name} is the {adjectives}" if i == 0 else f"{name} the {adjectives}"
        for i, (name, adjectives) in enumerate(named)
    ]
    return book.pick(slot, wins=listed(parts))


def _ahead(a: float, b: float, sign: int, ratio: float) -> bool:
    return a > b * ratio if sign > 0 else a * ratio < b


def _returning(track: TrackFacts, book: Phrasebook) -> str:
    share: dict[str, float] = {}
    for section in track.sections:
        if section.occurrences > 1:
            share[section.letter] = share.get(section.letter, 0.0) + section.share
    if not share or len({s.letter for s in track.sections}) == 1:
        return ""
    letter, part = max(share.items(), key=lambda item: item[1])
    count = sum(s.letter == letter for s in track.sections)
    return book.pick("returning", letter=letter, times=times(count), times_n=cardinal(count), pct=percent(part))


def _arc(track: TrackFacts, book: Phrasebook) -> str:
    first, last = track.sections[0].level_db, track.sections[-1].level_db
    if len(track.sections) < 3 or first is None or last is None or abs(last - first) < LEVEL_STEP_DB:
        return ""
    return book.pick("arc", db=f"{abs(last - first):.0f}", word="louder" if last > first else "softer")


def _biggest_step(track: TrackFacts, book: Phrasebook) -> str:
    steps = [
        (abs(b.level_db - a.level_db), a, b)
        for a, b in zip(track.sections, track.sections[1:], strict=False)
        if a.level_db is not None and b.level_db is not None
    ]
    if len(steps) < 2:
        return ""
    size, a, b = max(steps, key=lambda step: step[0])
    if size < LEVEL_STEP_DB or a.level_db is None or b.level_db is None:
        return ""
    way = "rise" if b.level_db > a.level_db else "fall"
    return book.pick("biggest_step", way=way, db=f"{size:.0f}", a=ordinal(a.index + 1), b=ordinal(b.index + 1))


def _silence(track: TrackFacts, book: Phrasebook) -> str:
    if track.silence_ratio < 0.01:
        return book.pick("no_silence")
    pause = spoken_duration(track.longest_silence_s) if track.longest_silence_s >= 0.5 else "under a second"
    return book.pick("silence", pct=percent(track.silence_ratio), pause=pause)


def _lengths(track: TrackFacts, book: Phrasebook) -> str:
    if len(track.sections) < 2:
        return ""
    seconds = [s.duration_s for s in track.sections]
    mean = f"{sum(seconds) / len(seconds):.0f}"
    if max(seconds) - min(seconds) < 2:
        return book.pick("lengths_even", mean=mean)
    if len(seconds) == 2:
        longer, shorter = ("first", "second") if seconds[0] > seconds[1] else ("second", "first")
        low, high = f"{min(seconds):.0f}", f"{max(seconds):.0f}"
        return book.pick("lengths_two", longer=longer, shorter=shorter, low=low, high=high)
    return book.pick("lengths", low=f"{min(seconds):.0f}", high=f"{max(seconds):.0f}", mean=mean)
