"""From pairs of equal recordings to clusters, and which members of one stay in the dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from data_specs.outcomes import Outcome, Status, ok, rejected
from data_specs.reasons import Reason
from data_specs.records import Recording
from data_specs.spec import DuplicateSettings
from tasks.duplicates.match import Fingerprints, find_matches
from tasks.duplicates.passage import values_within

SPLIT_ORDER = {"test": 0, "valid": 1, "train": 2}
"""A cluster stays in the first of these that it has a member of: training gives way to measurement."""

_BANDWIDTH_STEP_HZ = 1000.0
"""Less is no difference in quality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """What clustering needs to know of one track."""

    track_id: str
    split: str
    pcm_sha256: str
    duration_s: float
    bandwidth_hz: float = 0.0
    site_ids: frozenset[str] = frozenset()
    """All ids that the source knows it by."""


@dataclass(frozen=True, slots=True)
class Link:
    """Two songs, by their place in the dataset, that are one recording."""

    first: int
    second: int
    error_rate: float
    overlap_s: float

    def other(self, song: int) -> int:
        return self.first + self.second - song


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A track of ``train`` or ``valid`` that models are measured on."""

    matched: str
    """The id or the audio file."""
    how: Literal["audio", "id", "recording"]
    """``recording``: another track of the same recording matches."""
    error_rate: float | None = None
    overlap_s: float | None = None
    offset_s: float | None = None
    """Time in the track less time in the evaluation audio."""

    def __str__(self) -> str:
        facts = "" if self.error_rate is None else f", error rate {self.error_rate:.3f} over {self.overlap_s:.1f} s"
        return f"{self.matched} ({self.how}{facts})"


def exact_links(songs: Sequence[Song]) -> list[Link]:
    """Each song of equal samples with the first one that has them."""
    first: dict[str, int] = {}
    links = []
    for place, song in enumerate(songs):
        original = first.setdefault(song.pcm_sha256, place)
        if original != place:
            links.append(Link(original, place, 0.0, song.duration_s))
    return links


def near_links(prints: Fingerprints, bounds: DuplicateSettings, check: Callable[[], None] = lambda: None) -> list[Link]:
    """The songs whose fingerprints share a passage; ``check`` as for ``find_matches``."""
    found = find_matches(prints, bounds.max_error_rate, values_within(bounds.min_overlap_s), check=check)
    return [Link(match.first, match.second, match.passage.error_rate, match.passage.overlap_s) for match in found]


def same_recording(songs: Sequence[Song], link: Link, min_share: float) -> bool:
    """Whether so much is common that two songs are one; else one quotes the other, or both a third."""
    return link.overlap_s >= min_share * min(songs[link.first].duration_s, songs[link.second].duration_s)


def clusters_of(songs: Sequence[Song], links: Iterable[Link]) -> list[list[int]]:
    """Connected songs, two or more, each cluster led by the one that is kept.

    That is the first in the order of split (``SPLIT_ORDER``), then of bandwidth (a copy of a copy has
    less), then dataset.
    """

    def rank(place: int) -> tuple[int, int, int]:
        return SPLIT_ORDER[songs[place].split], -round(songs[place].bandwidth_hz / _BANDWIDTH_STEP_HZ), place

    pairs = np.array([(link.first, link.second) for link in links], np.int64).reshape(-1, 2)
    shape = (len(songs), len(songs))
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=shape)
    labels = connected_components(graph, directed=False)[1]
    members: dict[int, list[int]] = defaultdict(list)
    for place in np.unique(pairs).tolist():
        members[int(labels[place])].append(place)
    return [sorted(cluster, key=rank) for cluster in members.values()]


def links_by_song(links: Iterable[Link]) -> dict[int, list[Link]]:
    found: dict[int, list[Link]] = defaultdict(list)
    for link in links:
        found[link.first].append(link)
        found[link.second].append(link)
    return found


def spread_leaks(
    songs: Sequence[Song], links: Sequence[Link], leaks: Mapping[int, Leak], clusters: Sequence[Sequence[int]]
) -> dict[int, Leak]:
    """The leaks, and with each of them all of its recording that is not ``test``."""
    spread = dict(leaks)
    of_song = links_by_song(links)
    for cluster in clusters:
        source = next((place for place in cluster if place in leaks), None)
        for place in cluster if source is not None else ():
            if place not in leaks and songs[place].split != "test":
                assert source is not None
                link = _best_link(of_song[place], source, place)
                spread[place] = Leak(
                    matched=leaks[source].matched,
                    how="recording",
                    error_rate=link.error_rate,
                    overlap_s=link.overlap_s,
                )
    return spread


def judge(
    songs: Sequence[Song],
    links: Sequence[Link],
    clusters: Sequence[Sequence[int]],
    leaks: Mapping[int, Leak],
    keep: Literal["one", "all"],
) -> list[Outcome[Recording]]:
    """The outcome of each song: kept, a duplicate or a leak. No cluster is kept in two splits."""
    outcomes = [_alone(song, leaks.get(place)) for place, song in enumerate(songs)]
    of_song = links_by_song(links)
    for cluster in clusters:
        kept = cluster[0]
        for place in cluster:
            link = _best_link(of_song[place], kept, place)
            record = Recording(
                track_id=songs[place].track_id,
                cluster=songs[kept].track_id,
                cluster_size=len(cluster),
                match=songs[link.other(place)].track_id,
                error_rate=link.error_rate,
                overlap_s=link.overlap_s,
            )
            stays = place == kept or (keep == "all" and songs[place].split == songs[kept].split)
            if place in leaks:
                outcomes[place] = _leaked(record, leaks[place])
            elif stays:
                outcomes[place] = ok(record)
            else:
                outcomes[place] = rejected(record, Reason.DUPLICATE, _why(songs, kept, place, link))
    return outcomes


def apart(
    songs: Sequence[Song],
    quotes: Sequence[Link],
    clusters: Sequence[Sequence[int]],
    outcomes: Sequence[Outcome[Recording]],
) -> list[Outcome[Recording]]:
    """The outcomes without what shares a passage with a recording that is kept in an earlier split.

    Args:
        quotes: passages too short to make two songs one recording.
    """
    judged = list(outcomes)
    members: dict[int, Sequence[int]] = {place: [place] for place in range(len(songs))}
    for cluster in clusters:
        members |= {place: cluster for place in cluster}

    def rank(place: int) -> int:
        return SPLIT_ORDER[songs[members[place][0]].split]

    # Those of the first split decide first: what they drive out drives nobody out.
    for link in sorted(quotes, key=lambda link: min(rank(link.first), rank(link.second))):
        winner, loser = sorted((link.first, link.second), key=rank)
        if rank(winner) == rank(loser) or judged[members[winner][0]].status is not Status.OK:
            continue
        for place in members[loser]:
            record = judged[place].record
            if judged[place].status is Status.OK and record is not None:
                record = replace(
                    record, match=songs[winner].track_id, error_rate=link.error_rate, overlap_s=link.overlap_s
                )
                judged[place] = rejected(record, Reason.DUPLICATE, _why_apart(songs, winner, link))
    return judged


def _alone(song: Song, leak: Leak | None) -> Outcome[Recording]:
    record = Recording(
        track_id=song.track_id, cluster=song.track_id, cluster_size=1, match=None, error_rate=None, overlap_s=None
    )
    return ok(record) if leak is None else _leaked(record, leak)


def _leaked(record: Recording, leak: Leak) -> Outcome[Recording]:
    record = replace(record, match=leak.matched, error_rate=leak.error_rate, overlap_s=leak.overlap_s)
    return rejected(record, Reason.EVALUATION_LEAK, f"matches {leak}")


def _best_link(links: Sequence[Link], wanted: int, place: int) -> Link:
    """The link to the wanted song if there is one, else the surest."""
    return min(
        links, key=lambda link: (link.other(place) != wanted, link.error_rate, -link.overlap_s, link.other(place))
    )


def _why_apart(songs: Sequence[Song], winner: int, link: Link) -> str:
    return (
        f"shares {link.overlap_s:.1f} s with {songs[winner].track_id} ({songs[winner].split}): "
        f"error rate {link.error_rate:.3f}"
    )


def _why(songs: Sequence[Song], kept: int, place: int, link: Link) -> str:
    by_way_of = "" if link.other(place) == kept else f" by way of {songs[link.other(place)].track_id}"
    return (
        f"same recording as {songs[kept].track_id} ({songs[kept].split}){by_way_of}: "
        f"error rate {link.error_rate:.3f} over {link.overlap_s:.1f} s"
    )
