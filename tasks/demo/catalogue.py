"""What the demo's site offers: its songs, and one page of each kind of fault."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from data_specs.hashing import digest
from data_specs.records import Track
from data_specs.spec import RenderedSource
from tasks.demo.encode import CONTAINERS
from tasks.demo.song import VERSION, identify, song_id

HOST = "127.0.0.1"
_BROKEN_PREFIX = "broken-"
_CYCLE = (*CONTAINERS, "webm", "m4a", "flac", "webm")
"""Formats by song number. Few are mp3, whose encoder takes longer than the song's rendering."""


class Fault(StrEnum):
    """How a page of the site is broken, on every visit."""

    MISSING = "missing"
    """The page answers 404."""
    FORBIDDEN = "forbidden"
    """The page is there, its media answer 403."""
    TRUNCATED = "truncated"
    """The connection closes halfway through the media, whatever range is asked for."""
    NOT_AUDIO = "not-audio"
    """The link to the media answers with a web page."""
    SILENT = "silent"
    """A sound file of nothing but digital silence."""
    NO_MEDIA = "no-media"
    """The page links to no media."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A page of the site."""

    track_id: str
    container: str
    """Extension of its media file: the format follows from the index."""
    index: int | None = None
    """Of the song, see ``compose``; None on a broken page."""
    fault: Fault | None = None


def song_entry(index: int) -> Entry:
    """The page of a song."""
    return Entry(track_id=song_id(index), container=_CYCLE[index % len(_CYCLE)], index=index)


def find_entry(source: RenderedSource, track_id: str) -> Entry | None:
    """The page with this id; None where the site has none, pages that are meant to be missing included."""
    if source.broken and track_id in {_BROKEN_PREFIX + fault for fault in Fault}:
        fault = Fault(track_id.removeprefix(_BROKEN_PREFIX))
        return None if fault is Fault.MISSING else Entry(track_id=track_id, container="mp3", fault=fault)
    digits = track_id.removeprefix("song-")
    # Going back to the id refuses other spellings of the same number.
    if not (digits.isascii() and digits.isdigit()) or song_id(int(digits)) != track_id:
        return None
    return song_entry(int(digits)) if int(digits) < source.num_songs else None


def page_url(source: RenderedSource, track_id: str) -> str:
    """Address of a page."""
    return f"http://{HOST}:{source.port}/songs/{track_id}"


def media_url(source: RenderedSource, entry: Entry) -> str:
    """Address of the media file a page links to."""
    return f"http://{HOST}:{source.port}/media/{entry.track_id}.{entry.container}"


def demo_tracks(source: RenderedSource) -> list[Track]:
    """Every page as a track: the songs in order, then, if wanted, the broken pages.

    ``split`` is a placeholder, selection assigns the real one. Composes nothing.
    """
    tracks = []
    for index in range(source.num_songs):
        identity = identify(source.seed, index)
        tracks.append(_track(source, song_id(index), identity.title, identity.labels))
    if source.broken:
        tracks += [_track(source, _BROKEN_PREFIX + fault, f"Broken page: {fault}", ("broken",)) for fault in Fault]
    return tracks


def _track(source: RenderedSource, track_id: str, title: str, labels: tuple[str, ...]) -> Track:
    return Track(
        track_id=track_id,
        source=source.type,
        url=page_url(source, track_id),
        split="train",
        title=title,
        labels=labels,
        revision=digest(VERSION, source.seed, source.min_duration_s, source.max_duration_s),
    )
