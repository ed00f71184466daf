"""Decode every harvested file once, in full: measure it, judge it, keep 16 kHz mono.

    Harvest -> accept.accept_audio -> Outcome[AudioFacts] + audio/flac/<track_id>.flac

``decode`` reads samples out of any container, ``container`` knows what the file says about its own
length, ``loudness`` and ``measure`` listen, ``accept`` decides. Memory does not grow with the track.

Shapes: C channels, T samples.
"""
