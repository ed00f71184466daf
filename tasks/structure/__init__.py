"""From samples to a track's structure: rhythm, harmony and sections, measured without any weights.

In the order of the data: ``spectrum`` -> ``onsets`` -> ``tempo``, ``beats``, ``bars`` -> ``rhythm`` for
time; ``pitch`` -> ``harmony`` for tones; ``bar_features`` -> ``sections``, ``letters`` for the form; ``facts``
-> ``changes``, ``forms`` for what is said of it; ``analyse`` runs them. ``engines`` reads beats and sections
that others found, ``spans`` averages over times, ``picture`` draws the result.
"""

from __future__ import annotations
