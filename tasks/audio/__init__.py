"""Decode every harvested file once, in full: measure it, judge it, keep 16 kHz mono.

    Harvest -> accept.accept_audio -> Outcome[AudioFacts] + audio/flac/<track_id>.flac

``decode`` reads samples out of any container, ``container`` and ``mp4`` know what the file says about
its own length, ``loudness`` and ``measure`` listen, ``verdict`` decides, ``accept`` does it all. Neither
memory nor time grows with what a file claims: decoding ends at the longest track that is wanted.

Shapes: C channels, T samples.
"""
