"""What differs between two sections: thresholds of what is audible, and how sure it is that one is passed.

A measurement is repeated too seldom to be exact: 16 beats say less of the drums than 64. Each
difference is taken as normal around what was measured, with a deviation from the number of beats,
onsets or seconds that it rests on; its confidence is the probability that the true difference
passes the threshold. So it is about .5 at the threshold, and nearer to 1 the further beyond it.
"""

from __future__ import annotations

import math

from data_specs.records import Change, Section
from tasks.structure.harmony import PITCH_CLASSES

LEVEL_STEP_DB = 2.0
DENSITY_RATIO = 1.3
BRIGHTNESS_RATIO = 1.2
AUDIBLE_RATE_HZ = 0.5
"""Two rates below this are both nearly nothing; their ratio says nothing."""
AUDIBLE_BRIGHTNESS_HZ = 20.0
"""A spectral centroid below this was measured on silence."""
PERCUSSION_ABSENT, PERCUSSION_PRESENT, PERCUSSION_STEP = 0.15, 0.3, 0.3
"""Shares of beats. Between absent and present lies a gap: a value that merely crosses one edge is no entry."""
BASS_ABSENT, BASS_PRESENT, BASS_STEP, BASS_RATIO = 0.08, 0.15, 0.1, 1.5
KEY_SURE = 0.6

_LEVEL_SPREAD_DB = 1.5
"""Of the level of one second against its section's mean; neighbouring seconds are alike, so 4 count as one."""
_BRIGHTNESS_SPREAD = 0.15
"""The same for the natural logarithm of the spectral centroid."""
_BASS_SPREAD = 0.1
_INDEPENDENT_S = 4.0
_BEATS_PER_S = 2.0
"""The record of a section has no count of its beats; 120 a minute stand in."""


def changes_between(before: Section, after: Section) -> tuple[Change, ...]:
    """Audible differences of ``after`` against ``before``, the most telling first.

    Players that enter or leave come first, then another key, then the rest by how many times they
    exceed their threshold.
    """
    found = (
        _percussion_change(before, after),
        _bass_change(before, after),
        _key_change(before, after),
        _level_change(before, after),
        _density_change(before, after),
        _brightness_change(before, after),
    )
    return tuple(sorted((change for change in found if change is not None), key=_rank))


def _rank(change: Change) -> tuple[int, float]:
    if change.kind.endswith(("_in", "_out")):
        return (0, -change.amount)
    if change.kind == "key":
        return (1, 0.0)
    times = {
        "level": change.amount / LEVEL_STEP_DB,
        "density": math.log(max(change.amount, 1)) / math.log(DENSITY_RATIO),
        "brightness": math.log(max(change.amount, 1)) / math.log(BRIGHTNESS_RATIO),
        "percussion": change.amount / PERCUSSION_STEP,
        "bass": change.amount / BASS_STEP,
    }
    return (2, -times[change.kind.partition("_")[0]])


def _level_change(before: Section, after: Section) -> Change | None:
    step = _difference(before.loudness_db, after.loudness_db)
    if not abs(step) >= LEVEL_STEP_DB:  # so written that a number that is none says nothing
        return None
    deviation = _LEVEL_SPREAD_DB * _over_time(before, after)
    return _change("level", step, abs(step), (abs(step) - LEVEL_STEP_DB) / deviation)


def _density_change(before: Section, after: Section) -> Change | None:
    pair = (before.onset_rate_hz, after.onset_rate_hz)
    if not (math.isfinite(sum(pair)) and min(pair) >= 0 and max(pair) >= AUDIBLE_RATE_HZ):
        return None
    # Onsets are counted, so the count's deviation is its root; half an onset stands for none.
    counts = [max(section.onset_rate_hz * _length_s(section), 0.5) for section in (before, after)]
    ratio = (counts[1] / _length_s(after)) / (counts[0] / _length_s(before))
    larger = max(ratio, 1 / ratio)
    if larger < DENSITY_RATIO:
        return None
    deviation = math.sqrt(1 / counts[0] + 1 / counts[1])
    return _change("density", math.log(ratio), larger, math.log(larger / DENSITY_RATIO) / deviation)


def _brightness_change(before: Section, after: Section) -> Change | None:
    pair = (before.brightness_hz, after.brightness_hz)
    if not (math.isfinite(sum(pair)) and min(pair) >= AUDIBLE_BRIGHTNESS_HZ):
        return None
    larger = max(pair) / min(pair)
    if larger < BRIGHTNESS_RATIO:
        return None
    deviation = _BRIGHTNESS_SPREAD * _over_time(before, after)
    return _change("brightness", pair[1] - pair[0], larger, math.log(larger / BRIGHTNESS_RATIO) / deviation)


def _percussion_change(before: Section, after: Section) -> Change | None:
    shares = (before.percussion, after.percussion)
    deviations = tuple(_share_deviation(section) for section in (before, after))
    entry = _entry("percussion", shares, deviations, PERCUSSION_ABSENT, PERCUSSION_PRESENT)
    step = _difference(*shares)
    if entry is not None or not abs(step) >= PERCUSSION_STEP:
        return entry
    return _change("percussion", step, abs(step), (abs(step) - PERCUSSION_STEP) / math.hypot(*deviations))


def _bass_change(before: Section, after: Section) -> Change | None:
    shares = (before.bass, after.bass)
    deviations = tuple(_BASS_SPREAD / math.sqrt(_independent(section)) for section in (before, after))
    entry = _entry("bass", shares, deviations, BASS_ABSENT, BASS_PRESENT)
    step = _difference(*shares)
    if entry is not None or not (abs(step) >= BASS_STEP and max(shares) >= round(BASS_RATIO * min(shares), 6)):
        return entry
    return _change("bass", step, abs(step), (abs(step) - BASS_STEP) / math.hypot(*deviations))


def _entry(
    name: str, shares: tuple[float, float], deviations: tuple[float, ...], absent: float, present: float
) -> Change | None:
    """A player that is absent on one side and present on the other, told apart at the middle of the gap."""
    if not (min(shares) < absent and max(shares) >= present):
        return None
    middle = (absent + present) / 2
    sure = [_probability(abs(share - middle) / spread) for share, spread in zip(shares, deviations, strict=True)]
    kind = f"{name}_in" if shares[1] > shares[0] else f"{name}_out"
    return Change(kind=kind, amount=round(abs(shares[1] - shares[0]), 2), confidence=round(math.prod(sure), 2))


def _key_change(before: Section, after: Section) -> Change | None:
    """Another key, whose scale differs by more than one note: neighbouring keys share their loops with each other."""
    sure = min(before.key_confidence, after.key_confidence)
    if not (before.key and after.key and sure >= KEY_SURE):
        return None
    (tonic, signature), (new_tonic, new_signature) = _tonic_and_signature(before.key), _tonic_and_signature(after.key)
    fifths = (new_signature - signature) % 12
    if min(fifths, 12 - fifths) <= 1:
        return None
    confidence = before.key_confidence * after.key_confidence
    return Change(kind="key", amount=float((new_tonic - tonic) % 12), confidence=round(confidence, 2))


def _tonic_and_signature(key: str) -> tuple[int, int]:
    """Pitch class of the tonic, and the key's place on the circle of fifths, where C major and A minor are 0."""
    name, mode = key.split(" ")
    tonic = PITCH_CLASSES.index(name)
    return tonic, (tonic if mode == "major" else tonic + 3) * 7 % 12


def _change(name: str, direction: float, amount: float, deviations: float) -> Change:
    kind = f"{name}_up" if direction > 0 else f"{name}_down"
    return Change(kind=kind, amount=round(amount, 2), confidence=round(_probability(deviations), 2))


def _difference(before: float, after: float) -> float:
    """The difference of two rounded values, itself rounded: .3 less .2 reaches a threshold of .1."""
    return round(after - before, 6)


def _probability(deviations: float) -> float:
    """Of a normal variable being below this many standard deviations."""
    return 0.5 * (1 + math.erf(deviations / math.sqrt(2)))


def _length_s(section: Section) -> float:
    return max(section.end_s - section.start_s, 1e-3)


def _independent(section: Section) -> float:
    """How many independent readings of a slow quantity a section holds."""
    return max(_length_s(section) / _INDEPENDENT_S, 1.0)


def _over_time(before: Section, after: Section) -> float:
    """Deviation of the difference of two means, in deviations of one reading."""
    return math.sqrt(1 / _independent(before) + 1 / _independent(after))


def _share_deviation(section: Section) -> float:
    """Of a share of beats (binomial, with one beat added on each side so that 0 of 8 is not certain)."""
    beats = _BEATS_PER_S * _length_s(section)
    share = (section.percussion * beats + 1) / (beats + 2)
    return math.sqrt(share * (1 - share) / (beats + 2))
