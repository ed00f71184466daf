"""Which tracks of a split each of its captions describes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from collap_model.pairs import Pairs

__all__ = ["described", "described_tracks", "queries_sha256"]


def described_tracks(pairs: Pairs) -> dict[str, list[int]]:
    """``described`` of a split.

    Raises:
        ValueError: the manifest does not say which recordings are the same.
    """
    return described(((pair.track_id, pair.caption) for pair in pairs.pairs), pairs.recordings())


def described(captions: Iterable[tuple[str, str]], recordings: Mapping[str, str]) -> dict[str, list[int]]:
    """Every distinct caption with the numbers of the tracks that it describes.

    A caption describes every track that has it, and every other recording of these: tracks of one cluster sound
    the same, so finding one for the other is no mistake. A track may have any number of captions.

    Args:
        captions: track ids with their captions.
        recordings: the cluster of each track; tracks are numbered in this order.
    """
    members: dict[str, list[int]] = {}
    for number, cluster in enumerate(recordings.values()):
        members.setdefault(cluster, []).append(number)
    found: dict[str, set[int]] = {}
    for track_id, caption in captions:
        found.setdefault(caption, set()).update(members[recordings[track_id]])
    return {caption: sorted(tracks) for caption, tracks in found.items()}


def queries_sha256(described: Mapping[str, Sequence[int]], track_ids: Sequence[str]) -> str:
    """Hash of what is asked and what counts as found, whatever encoder hears it: runs with the same are comparable."""
    return hashlib.sha256(json.dumps([list(described.items()), list(track_ids)]).encode()).hexdigest()
