"""Order and split of tracks: hashes of their ids, so that no track depends on another."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data_specs.spec import SplitSettings

SPLITS = ("train", "valid", "test")
TRAIN, VALID, TEST = range(len(SPLITS))

TRACK_ID = "[A-Za-z0-9_-]{1,80}"
"""Pattern of a track id: it names files."""


def digests(ids: pa.StringArray, salt: str) -> NDArray[np.uint64]:
    """Digests, shape ``(N, 2)``: the first word orders a track, the second gives its split.

    One 128-bit BLAKE2b (RFC 7693) of salt and id serves both.
    """
    salted = hashlib.blake2b(salt.encode() + b"\0", digest_size=16)

    def digest(track_id: bytes) -> bytes:
        state = salted.copy()
        state.update(track_id)
        return state.digest()

    joined = b"".join(map(digest, ids.cast(pa.binary()).to_pylist()))
    return np.frombuffer(joined, dtype=">u8").astype(np.uint64).reshape(-1, 2)


def order_of(digests_N2: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Rows in the fixed order; the second word decides where the first ones are equal."""
    first_N = digests_N2[:, 0].copy()
    order = np.argsort(first_N)
    ordered_N = first_N[order]
    if (ordered_N[1:] == ordered_N[:-1]).any():  # once in ten million lists of a million tracks
        return np.lexsort((digests_N2[:, 1], first_N))
    return order


def splits_of(digests_N2: NDArray[np.uint64], settings: SplitSettings) -> NDArray[np.int8]:
    """For every track an index into ``SPLITS``."""
    percent_N = digests_N2[:, 1] * (100 / 2**64)
    splits_N = np.full(len(percent_N), TRAIN, dtype=np.int8)
    splits_N[percent_N < settings.test_percent + settings.valid_percent] = VALID
    splits_N[percent_N < settings.test_percent] = TEST
    return splits_N


def split_of(track_id: str, settings: SplitSettings) -> str:
    """``test``, ``valid`` or ``train`` of one track, where its source does not say."""
    return SPLITS[splits_of(digests(pa.array([track_id]), settings.salt), settings)[0]]
