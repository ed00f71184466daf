"""The HTML of the site: a list of songs, and a page per song for people and for yt-dlp."""

from __future__ import annotations

import json
from html import escape

from data_specs.spec import RenderedSource
from tasks.demo.catalogue import Entry, Fault, demo_tracks, media_url
from tasks.demo.encode import MEDIA_TYPES
from tasks.demo.song import compose

LICENSE = "https://creativecommons.org/publicdomain/zero/1.0/"
"""Nobody played these songs and the project claims nothing on them."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem }}</style>
{head}</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def list_page(source: RenderedSource) -> str:
    """All pages of the site, as links."""
    items = "\n".join(
        f'<li><a href="/songs/{track.track_id}">{escape(track.title or track.track_id)}</a> '
        f"<small>{escape(', '.join(track.labels))}</small></li>"
        for track in demo_tracks(source)
    )
    return _PAGE.format(title="Rendered songs", head="", body=f"<ol>\n{items}\n</ol>")


def song_page(source: RenderedSource, entry: Entry) -> str:
    """One song: its media as JSON-LD and as a link.

    There is no ``<audio>`` element on purpose: yt-dlp prefers one to JSON-LD, and would then know
    neither title nor artist nor duration.
    """
    if entry.fault is Fault.NO_MEDIA:
        return _PAGE.format(title="Broken page: no-media", head="", body="<p>This song was taken down.</p>")
    song = compose(source.seed, entry.index or 0, source.min_duration_s, source.max_duration_s)
    title = song.title if entry.fault is None else f"Broken page: {entry.fault}"
    duration_s = source.min_duration_s if entry.fault is Fault.SILENT else song.duration_s
    address = media_url(source, entry)
    facts = {
        "@context": "https://schema.org",
        "@type": "AudioObject",
        "name": title,
        "contentUrl": address,
        "duration": f"PT{duration_s:.3f}S",
        "author": {"@type": "MusicGroup", "name": song.artist},
        "byArtist": {"@type": "MusicGroup", "name": song.artist},
        "genre": song.labels[0],
        "license": LICENSE,
    }
    escaped = json.dumps(facts).replace("</", "<\\/")  # or a title could end the script element
    head = f'<script type="application/ld+json">{escaped}</script>\n'
    body = (
        f"<p>{escape(song.artist)} ({escape(', '.join(song.labels))}), {duration_s:.0f} s</p>\n"
        f'<p><a href="{address}" type="{MEDIA_TYPES[entry.container]}">Listen</a></p>\n'
        f'<p><a rel="license" href="{LICENSE}">CC0 1.0</a> <a href="/">All songs</a></p>'
    )
    return _PAGE.format(title=escape(title), head=head, body=body)
