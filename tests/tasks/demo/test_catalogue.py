from __future__ import annotations

import re

import pytest

from data_specs.spec import RenderedSource
from tasks.demo.catalogue import Fault, demo_tracks, find_entry, song_entry
from tasks.demo.encode import CONTAINERS
from tasks.demo.song import compose


def test_catalogue_lists_songs_then_faults() -> None:
    source = RenderedSource(num_songs=12, port=8500)
    tracks = demo_tracks(source)
    assert [track.track_id for track in tracks[:2]] == ["song-0000", "song-0001"]
    assert [track.track_id for track in tracks[12:]] == [f"broken-{fault}" for fault in Fault]
    assert tracks[7].url == "http://127.0.0.1:8500/songs/song-0007"
    assert (tracks[7].title, tracks[7].labels) == ((song := compose(0, 7)).title, song.labels)
    assert all(track.source == "rendered" and re.fullmatch(r"[\w-]+", track.track_id) for track in tracks)
    more = demo_tracks(RenderedSource(num_songs=20, port=8500, broken=False))
    assert more[:12] == tracks[:12]
    assert len(more) == 20
    assert {song_entry(index).container for index in range(4)} == set(CONTAINERS)


@pytest.mark.parametrize(
    "track_id", ["song-0004", "song-4", "song-00000", "0000", "song-", "song-²", "broken-missing", "broken-x"]
)
def test_ids_that_have_no_page(track_id: str) -> None:
    assert find_entry(RenderedSource(num_songs=4), track_id) is None
    assert find_entry(RenderedSource(num_songs=4, broken=False), "broken-silent") is None
