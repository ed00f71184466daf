"""From samples to a track's structure: rhythm, harmony and sections, measured without any weights.

In the order of the data: ``spectrum`` -> ``onsets`` -> ``tempo`` -> ``beats`` -> ``pitch`` -> ``harmony``
-> ``sections`` -> ``facts`` -> ``analyse``; ``spans`` averages over times, ``picture`` draws the result.
"""

from __future__ import annotations
