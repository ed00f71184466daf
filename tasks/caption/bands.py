"""The fixed vocabulary: which measured value is called by which word.

A text encoder can learn these words only if they always mean the same range, so every sentence
takes them from here. A value at an edge belongs to the upper band.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bands:
    """``words[i]`` names the values from ``edges[i - 1]`` up to, not including, ``edges[i]``."""

    edges: tuple[float, ...]
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.words) != len(self.edges) + 1 or list(self.edges) != sorted(self.edges):
            raise ValueError(f"{len(self.edges)} rising edges need {len(self.edges) + 1} words, got {self.words}")

    def word(self, value: float) -> str:
        return self.words[bisect_right(self.edges, value)]


TEMPO = Bands((60, 80, 100, 120, 140, 170), ("very slow", "slow", "relaxed", "moderate", "brisk", "fast", "very fast"))
"""BPM."""
BRIGHTNESS = Bands((800, 1400, 2200, 3200), ("dark", "warm", "balanced", "bright", "brilliant"))
"""Hz, median spectral centroid."""
DENSITY = Bands((0.7, 1.7, 3.2, 5.0, 8.0), ("very sparse", "sparse", "medium-dense", "busy", "dense", "very dense"))
"""Note onsets per second."""
PERCUSSION = Bands(
    (0.15, 0.4, 0.7), ("no marked percussion", "light percussion", "moderate percussion", "steady percussion")
)
"""Share of beats with a broadband attack. None found is not proof of none, hence "marked"."""
BASS = Bands((0.08, 0.2, 0.4), ("almost no bass", "light bass", "moderate bass", "heavy bass"))
"""Share of energy below 150 Hz."""
LOUDNESS = Bands((-28, -20, -14, -9), ("very quiet", "quiet", "medium-loud", "loud", "very loud"))
"""LUFS, integrated."""
SPAN = Bands((3, 8, 15), ("narrow", "moderate", "wide", "very wide"))
"""dB between the softest and the loudest section."""
LOUDNESS_RANGE = Bands((4, 8, 14), ("narrow", "moderate", "wide", "very wide"))
"""LU, EBU Tech 3342."""
STEREO = Bands((-60, -20, -10, -4), ("no", "a narrow", "a moderate", "a wide", "a very wide"))
"""dB, level of left minus right against left plus right."""
