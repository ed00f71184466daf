"""How long it takes to find the duplicates of a whole dataset, how much memory, and what is found.

    python -m benchmarks.duplicates [--tracks 2000] [--values 2300]

Fingerprints are made up with the statistics of real ones (41 pieces of game music): one value differs from the next
in 12 % of its bits, and two values of different tracks are equal once in 2**25.5. One track in fifty is followed by a
copy of an earlier one with a known share of wrong bits, cut or padded by a known number of values. Wrong bits come at
random, which is harder than codecs make it: those spoil some values and leave others whole.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass

import numpy as np

from tasks.duplicates.match import Fingerprints, find_matches
from tasks.duplicates.passage import Values, values_within

ERROR_RATES = (0.01, 0.03, 0.06, 0.1, 0.14)
COMMON_RATIO = 0.02
"""Values that come from a pool which all tracks share; chosen for the rate of equal values named above."""

_POOL = np.random.default_rng(99).integers(1 << 32, size=20_000, dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class Planted:
    """A copy: ``offset`` is its place less the original's."""

    original: int
    copy: int
    offset: int
    error_rate: float


def bits(rng: np.random.Generator, count: int, share: float) -> Values:
    """Words with a share of their bits set: random words joined until it is reached (resolution 2**-10)."""
    words = np.zeros(count, np.uint32)
    for digit in reversed(range(10)):  # the binary digits of the share, the last one first
        noise = rng.integers(1 << 32, size=count, dtype=np.uint32)
        words = words | noise if round(share * 1024) >> (9 - digit) & 1 else words & noise
    return words


def made_up(rng: np.random.Generator, num_values: int) -> Values:
    """A fingerprint of one track."""
    values_V = np.bitwise_xor.accumulate(bits(rng, num_values, 0.12))
    values_V ^= rng.integers(1 << 32, dtype=np.uint32)
    common = rng.random(num_values) < COMMON_RATIO
    values_V[common] = rng.choice(_POOL, int(common.sum()))
    return values_V


def dataset(num_tracks: int, num_values: int) -> tuple[Fingerprints, list[Planted]]:
    rng = np.random.default_rng(0)
    tracks: list[Values] = []
    planted = []
    for place in range(num_tracks):
        if place % 50 != 49:
            tracks.append(made_up(rng, int(num_values * rng.uniform(0.5, 1.5))))
            continue
        error_rate = ERROR_RATES[place // 50 % len(ERROR_RATES)]
        original = place - int(rng.integers(1, 49))
        values_V = tracks[original] ^ bits(rng, len(tracks[original]), error_rate)
        offset = int(rng.integers(-200, 200))
        values_V = values_V[-offset:] if offset < 0 else np.concatenate([made_up(rng, offset), values_V])
        tracks.append(values_V)
        planted.append(Planted(original, place, offset, error_rate))
    return Fingerprints.of(tracks), planted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=2000)
    parser.add_argument("--values", type=int, default=2300, help="mean per track; 8 a second")
    options = parser.parse_args()
    prints, planted = dataset(options.tracks, options.values)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(prints)} tracks, {len(prints.values_V):,} values, {len(planted)} planted; {before_mb:.0f} MB so far")
    wall, cpu = time.monotonic(), time.process_time()
    found = find_matches(prints, 0.2, values_within(20.0))
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{wall:.1f} s wall, {cpu:.1f} CPU s, peak {peak_mb:.0f} MB")
    offsets = {(match.first, match.second): match.passage.offset for match in found}
    for error_rate in ERROR_RATES:
        these = [p for p in planted if p.error_rate == error_rate]
        right = sum(offsets.get((p.original, p.copy)) == p.offset for p in these)
        print(f"error rate {error_rate:.2f}: {right} of {len(these)} found, at their offset")
    print(f"false pairs: {len(offsets.keys() - {(p.original, p.copy) for p in planted})}")


if __name__ == "__main__":
    main()
