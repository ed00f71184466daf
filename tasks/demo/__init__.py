"""The demo's music: songs of known form, rendered here and served by a loopback web site.

``compose`` (song) -> ``render`` (synth) -> ``encode`` -> ``SongStore`` (store) -> ``Site``;
``demo_tracks`` (catalogue) lists what the site offers. Everything follows from a seed and a song's
index, so the demo needs neither network nor licences and its truth is known to the bar.
"""
