from __future__ import annotations

import random
from collections.abc import Sequence

from data_specs.outcomes import Status
from data_specs.reasons import Reason
from tasks.duplicates.clusters import (
    Leak,
    Link,
    Song,
    apart,
    clusters_of,
    exact_links,
    judge,
    same_recording,
    spread_leaks,
)


def song(track_id: str, split: str = "train", samples: str = "") -> Song:
    return Song(track_id=track_id, split=split, pcm_sha256=samples or track_id, duration_s=60.0)


def naive_clusters(num_songs: int, links: Sequence[Link]) -> set[frozenset[int]]:
    """Join what a link connects until nothing changes."""
    groups = [{place} for place in range(num_songs)]
    for link in links:
        joined = [group for group in groups if link.first in group or link.second in group]
        groups = [group for group in groups if group not in joined] + [set().union(*joined)]
    return {frozenset(group) for group in groups if len(group) > 1}


def test_clusters_are_what_links_connect() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        songs = [song(f"t{place}", rng.choice(["train", "valid", "test"])) for place in range(30)]
        links = [Link(*sorted(rng.sample(range(30), 2)), 0.1, 30.0) for _ in range(rng.randrange(25))]
        assert {frozenset(cluster) for cluster in clusters_of(songs, links)} == naive_clusters(30, links)


def test_the_first_of_the_highest_split_leads() -> None:
    songs = [song("a"), song("b", "valid"), song("c", "test"), song("d", "test"), song("e")]
    links = [Link(0, 1, 0.1, 30.0), Link(1, 3, 0.1, 30.0), Link(2, 3, 0.1, 30.0)]
    assert clusters_of(songs, links) == [[2, 3, 1, 0]]


def test_one_is_kept_and_the_others_say_of_what_they_are_copies() -> None:
    songs = [song("a"), song("b"), song("c", samples="b"), song("d")]
    links = [*exact_links(songs), Link(0, 1, 0.031, 41.5)]
    outcomes = judge(songs, links, clusters_of(songs, links), {}, "one")
    assert [outcome.status for outcome in outcomes] == [Status.OK, Status.REJECTED, Status.REJECTED, Status.OK]
    assert outcomes[1].reason is outcomes[2].reason is Reason.DUPLICATE
    assert outcomes[1].detail == "same recording as a (train): error rate 0.031 over 41.5 s"
    assert outcomes[2].detail == "same recording as a (train) by way of b: error rate 0.000 over 60.0 s"
    kept, other, exact, unique = (outcome.record for outcome in outcomes)
    assert kept and other and exact and unique
    assert (kept.cluster, kept.cluster_size, kept.match, kept.error_rate) == ("a", 3, "b", 0.031)
    assert (other.cluster, other.cluster_size, other.match, other.overlap_s) == ("a", 3, "a", 41.5)
    assert (exact.cluster, exact.match, exact.error_rate, exact.overlap_s) == ("a", "b", 0.0, 60.0)
    assert (unique.cluster, unique.cluster_size, unique.match, unique.error_rate) == ("d", 1, None, None)


def test_no_cluster_is_kept_in_two_splits() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        songs = [song(f"t{place}", rng.choice(["train", "valid", "test"])) for place in range(30)]
        links = [Link(*sorted(rng.sample(range(30), 2)), 0.1, 30.0) for _ in range(25)]
        clusters = clusters_of(songs, links)
        one, all_ = judge(songs, links, clusters, {}, "one"), judge(songs, links, clusters, {}, "all")
        for cluster in clusters:
            best = "test" if any(songs[p].split == "test" for p in cluster) else songs[cluster[0]].split
            assert [p for p in cluster if one[p].status is Status.OK] == [cluster[0]]
            assert {p for p in cluster if all_[p].status is Status.OK} == {p for p in cluster if songs[p].split == best}


def test_a_leak_takes_its_recording_with_it_but_not_the_test_split() -> None:
    songs = [song("a"), song("b"), song("c", "test"), song("d", "valid"), song("e")]
    links = [Link(0, 1, 0.1, 30.0), Link(1, 3, 0.05, 25.0), Link(0, 2, 0.1, 30.0)]
    clusters = clusters_of(songs, links)
    leaks = spread_leaks(songs, links, {1: Leak(matched="x.wav", how="audio", error_rate=0.1, overlap_s=9.9)}, clusters)
    assert {place: leak.how for place, leak in leaks.items()} == {1: "audio", 0: "recording", 3: "recording"}
    outcomes = judge(songs, links, clusters, leaks, "all")
    leak = Reason.EVALUATION_LEAK
    assert [outcome.reason for outcome in outcomes] == [leak, leak, None, leak, None]
    assert outcomes[1].detail == "matches x.wav (audio, error rate 0.100 over 9.9 s)"
    assert outcomes[1].record is not None
    assert (outcomes[1].record.match, outcomes[1].record.cluster) == ("x.wav", "c")


def test_a_medley_joins_nobody_but_stays_out_of_other_splits() -> None:
    medley, songs = song("medley"), [song("a"), song("b", "test"), song("c", "valid")]
    songs.append(medley)
    quotes = [Link(place, 3, 0.05, 25.0) for place in range(3)]
    assert not any(same_recording(songs, link, 0.5) for link in quotes)
    assert same_recording(songs, Link(0, 3, 0.05, 30.0), 0.5)
    outcomes = apart(songs, quotes, [], judge(songs, [], [], {}, "one"))
    assert [outcome.reason for outcome in outcomes] == [None, None, None, Reason.DUPLICATE]
    assert outcomes[3].detail == "shares 25.0 s with b (test): error rate 0.050"
    assert outcomes[3].record is not None
    assert (outcomes[3].record.match, outcomes[3].record.cluster_size) == ("b", 1)


def test_a_passage_never_stays_in_two_splits() -> None:
    for seed in range(30):
        rng = random.Random(seed)
        songs = [song(f"t{place}", rng.choice(["train", "valid", "test"])) for place in range(30)]
        links = [Link(*sorted(rng.sample(range(30), 2)), 0.1, rng.choice([25.0, 40.0])) for _ in range(25)]
        same = [link for link in links if same_recording(songs, link, 0.5)]
        quotes = [link for link in links if link not in same]
        clusters = clusters_of(songs, same)
        judged = judge(songs, same, clusters, {}, "all")
        kept = apart(songs, quotes, clusters, judged)
        for link in links:
            if kept[link.first].status is kept[link.second].status is Status.OK:
                assert songs[link.first].split == songs[link.second].split
        lost = [
            place for place in range(30) if judged[place].status is Status.OK and kept[place].status is not Status.OK
        ]
        assert all(songs[place].split != "test" for place in lost)
