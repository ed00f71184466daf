"""A thousand broken files through the real stage function in real worker processes.

Asserted of every file: the worker lives, no exception leaves it, the file costs a bounded amount of
CPU time, the worker's memory stays bounded, and the outcome is either a success or a reason with
words. Of every success: its FLAC holds as many samples as the record says, and its length is that of
the original. Where nobody states the original length, the length may be another one only if the file
itself states it, or if the file states none.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_specs.outcomes import Outcome, Status
from data_specs.reasons import Reason
from data_specs.records import AudioFacts
from tasks.engine.pools import Pools
from tests.tasks.audio.mutations import MUTATIONS
from tests.tasks.audio.sounds import SETTINGS, accepted, as_file, fragmented_m4a, noise, peak_bytes

DURATION_S = 3.0
TOLERANCE_S = SETTINGS.duration_tolerance_s
MOST_CPU_S = 5.0
MOST_MEMORY_BYTES = 800 << 20

REASONS = {Reason.UNDECODABLE, Reason.TRUNCATED, Reason.DURATION_MISMATCH, Reason.TOO_LONG, Reason.TOO_SHORT}
REASONS |= {Reason.NO_AUDIO, Reason.SILENT, Reason.CLIPPED, Reason.NARROW_BAND}


@dataclass(frozen=True)
class Judged:
    """What one mutated file came to."""

    outcome: Outcome[AudioFacts]
    stated: bool
    """Whether the source stated the length of the original."""
    cpu_s: float
    peak_bytes: int
    """Of the worker so far."""


@functools.cache
def originals() -> dict[str, bytes]:
    sound_TC = noise(DURATION_S, 48_000)
    files = {name: as_file(sound_TC, 48_000, name) for name in ("m4a", "webm", "mp3", "flac", "ogg", "wav")}
    return files | {"dash.m4a": fragmented_m4a(sound_TC, 48_000)}


def judge(case: tuple[int, Path]) -> Judged:
    """Build mutated file ``number`` from its own seed, and judge it; runs in a worker."""
    number, folder = case
    rng = np.random.default_rng(number)
    files = list(originals().items())
    name, content = files[number % len(files)]
    _, other = files[int(rng.integers(len(files)))]
    mutated = MUTATIONS[number // len(files) % len(MUTATIONS)](content, other, rng)
    stated_s = DURATION_S if rng.random() < 0.5 else None
    before_s = time.process_time()
    outcome = accepted(mutated, folder / str(number), f"t.{name}", stated_s)
    cpu_s = time.process_time() - before_s
    if outcome.record is not None and outcome.record.file:
        samples, rate_hz = soundfile.read(folder / str(number) / outcome.record.file)
        assert len(samples) / rate_hz == pytest.approx(outcome.record.duration_s, abs=0.001)
    return Judged(outcome, stated_s is not None, cpu_s, peak_bytes())


def test_a_thousand_broken_files_are_judged_and_never_a_crash(tmp_path: Path) -> None:
    cases = [(number, tmp_path) for number in range(1000)]
    with Pools(num_downloads=1, num_processes=2) as pools:
        results = {case[0]: result for case, result in pools.map("processes", judge, cases)}
    errors = {number: result for number, result in results.items() if not isinstance(result, Judged)}
    assert not errors
    judged = {number: result for number, result in results.items() if isinstance(result, Judged)}
    assert len(judged) == len(cases)
    for number, one in judged.items():
        assert one.cpu_s < MOST_CPU_S, (number, one)
        assert one.peak_bytes < MOST_MEMORY_BYTES, (number, one)
        _check(number, one)
    counts = Counter(str(one.outcome.reason or "ok") for one in judged.values())
    slowest = max(judged.values(), key=lambda one: one.cpu_s)
    print(f"\n{dict(counts.most_common())}")
    print(f"slowest {slowest.cpu_s:.2f} CPU s, largest worker {max(o.peak_bytes for o in judged.values()) >> 20} MiB")
    # not all refused, not all let through, or this test shows nothing
    assert counts["ok"] > 100
    assert counts[Reason.UNDECODABLE] > 100
    assert counts[Reason.TRUNCATED] > 50


def _check(number: int, one: Judged) -> None:
    outcome = one.outcome
    if outcome.status is not Status.OK:
        assert outcome.reason in REASONS, (number, outcome)
        assert outcome.detail, number
        return
    facts = outcome.record
    assert facts is not None
    if abs(facts.duration_s - DURATION_S) > TOLERANCE_S:
        says_s = facts.container_duration_s
        assert not one.stated, (number, outcome)
        assert says_s is None or abs(facts.duration_s - says_s) <= TOLERANCE_S, (number, outcome)
