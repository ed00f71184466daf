"""Which bounds of the specification a measured track breaks: is it whole, how long is it, how does it sound."""

from __future__ import annotations

from collections.abc import Iterator

from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Harvest
from data_specs.spec import AudioSettings
from tasks.audio.loudness import ABSOLUTE_GATE_LUFS

Verdict = tuple[Reason, str]
"""Why a track is rejected, and the measured number beside its bound."""


def verdict(
    facts: AudioFacts, harvest: Harvest, settings: AudioSettings, *, missing_tail: str | None, is_stopped: bool
) -> Verdict | None:
    """The first broken bound: whether the track is whole, then its length, then its sound; None if it is accepted.

    Args:
        facts: what was measured.
        harvest: holds what the source says of the length.
        settings: the bounds.
        missing_tail: what shows that the file was cut off (``container.missing_tail``).
        is_stopped: decoding ended beyond ``max_duration_s`` with more to come, so the rest is unknown.
    """
    if not is_stopped:
        if missing_tail is not None:
            return Reason.TRUNCATED, missing_tail
        if facts.gap_s > settings.max_gap_s:
            return Reason.TRUNCATED, f"time stamps skip {facts.gap_s:.2f} s, at most {settings.max_gap_s:g} s"
    broken = (*_lengths(facts, harvest, settings, is_stopped), *_levels(facts, settings), *_stereo(facts, settings))
    return broken[0] if broken else None


def _lengths(facts: AudioFacts, harvest: Harvest, settings: AudioSettings, is_stopped: bool) -> Iterator[Verdict]:
    stated = [("file", facts.container_duration_s), ("source", harvest.stated_duration_s)]
    tolerance_s = settings.duration_tolerance_s
    for who, stated_s in stated:
        if stated_s is None:
            continue
        missing_s = stated_s - facts.duration_s
        if -missing_s > tolerance_s or (missing_s > tolerance_s and not is_stopped):
            # what the file promises of itself was there once; the source may speak of another recording
            yield (
                Reason.TRUNCATED if who == "file" and missing_s > 0 else Reason.DURATION_MISMATCH,
                f"decoded {facts.duration_s:.2f} s, the {who} states {stated_s:.2f} s (tolerance {tolerance_s:g} s)",
            )
    low_s, high_s = settings.min_duration_s, settings.max_duration_s
    if is_stopped:
        claims = "".join(f", the {who} states {stated_s:.2f} s" for who, stated_s in stated if stated_s is not None)
        yield Reason.TOO_LONG, f"more than {facts.duration_s:.2f} s{claims}, at most {high_s:g} s"
    if facts.duration_s < low_s:
        yield Reason.TOO_SHORT, f"{facts.duration_s:.2f} s, at least {low_s:g} s"


def _levels(facts: AudioFacts, settings: AudioSettings) -> Iterator[Verdict]:
    if facts.silence_ratio > settings.max_silence_ratio:
        yield Reason.SILENT, f"silence ratio {facts.silence_ratio:.3f}, at most {settings.max_silence_ratio:g}"
    lufs, least_lufs = facts.loudness_lufs, settings.min_loudness_lufs
    if least_lufs is not None and (lufs is None or lufs < least_lufs):
        level = f"below {ABSOLUTE_GATE_LUFS:g} LUFS" if lufs is None else f"{lufs:.1f} LUFS"
        yield Reason.TOO_QUIET, f"loudness {level}, at least {least_lufs:g} LUFS"
    if facts.clipping_ratio > settings.max_clipping_ratio:
        yield Reason.CLIPPED, f"clipping ratio {facts.clipping_ratio:.4f}, at most {settings.max_clipping_ratio:g}"
    if facts.bandwidth_hz < settings.min_bandwidth_hz:
        yield Reason.NARROW_BAND, f"bandwidth {facts.bandwidth_hz:.0f} Hz, at least {settings.min_bandwidth_hz:g} Hz"


def _stereo(facts: AudioFacts, settings: AudioSettings) -> Iterator[Verdict]:
    least_db = settings.min_side_db
    if least_db is None:
        return
    if facts.source_channels == 1:
        yield Reason.MONO, f"1 channel, at least a side level of {least_db:g} dB"
    elif facts.side_db is not None and facts.side_db < least_db:
        yield Reason.MONO, f"side level {facts.side_db:.1f} dB, at least {least_db:g} dB"
