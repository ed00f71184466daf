"""Statistics over the captions of a whole build, in one pass over the caption parts.

Texts are those of accepted captions; ``clock_free_text`` where words are compared, since clock times
say nothing of how a text is written. Rates of rules are over every caption, rejected ones included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from tasks.reporting.captions.distribution import Distribution
from tasks.reporting.captions.diversity import Diversity
from tasks.reporting.captions.tallies import OutcomeTally, Provenance, RuleRate, SectionTally
from tasks.reporting.captions.texts import Repeated, TextTally

BATCH_ROWS = 512
_COLUMNS = (
    "track_id status reason detail captioner model prompt version settings global_text attributes sections "
    "clock_free_text num_words repetition flaws repairs warnings"
).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionStatistics:
    """What can be said of the captions without hearing the music. Shares are 0..1, times are seconds."""

    tracks: int
    """Tracks that reached the captioner."""
    written: int
    """Of those, with a caption, accepted or not: what the rates of rules are shares of."""
    accepted: int
    reasons: dict[str, int]
    """Why the others were rejected or failed."""
    provenance: tuple[Provenance, ...]
    """Of the accepted ones, most frequent first."""
    rules: tuple[RuleRate, ...]
    rejected_by: dict[str, int]
    """Rejected captions by the first of the rules that they broke."""
    repaired: int
    """Captions with at least one repair."""
    repairs: dict[str, int]
    """Captions by kind of repair: ``drop_sentence:usage_speculation``, ``refill`` ..."""
    warnings: dict[str, int]
    refills: int
    """Times that a section was asked for again."""
    attributes: dict[str, dict[str, int]]
    """Captions by value, for each field of ``Attributes``; the most frequent values."""

    words: Distribution
    """Per caption, of ``long_text``."""
    long_tracks: int
    """Accepted captions of tracks over two minutes."""
    long_words: Distribution
    """Words per caption of those."""
    short_share: float
    """Of those, under 250 words."""
    section_words: Distribution
    sections_per_track: Distribution
    section_seconds: Distribution
    section_variation: Distribution
    """Standard deviation over mean of a track's section lengths, for tracks of three sections or more."""
    uniform_share: float
    """Of those tracks, with a variation below .15: as good as cut by a ruler."""
    labels_by_position: dict[str, tuple[float, ...]]
    """For each label, its share of each tenth of the tracks' time."""
    letters: dict[str, int]
    """Sections by letter."""
    letters_per_track: Distribution
    returning_share: float
    """Of the tracks whose sections have letters, those where one comes back."""
    writers: dict[str, int]
    """Sections by who wrote them."""

    repetition: Distribution
    """Share of 4-grams that occurred before in the same caption."""
    repetition_over_05: float
    repetition_over_15: float
    whole: Diversity
    """Of the captions as they are."""
    stretches: Diversity
    """Of one stretch of each, as many and as long as ``HUMAN`` has captions: this one can be compared."""
    novelty: float
    """Share of the songs' sentences that stand in one song only."""
    copies: int
    """Captions whose text is also another track's."""
    openings: tuple[Repeated, ...]
    """First five words of captions, the most frequent; songs that share them."""
    section_openings: tuple[Repeated, ...]
    sentences: tuple[Repeated, ...]
    """Whole sentences."""
    instruments: dict[str, float]
    """Share of captions that name each, see ``tasks.reporting.captions.texts.INSTRUMENTS``."""


def caption_statistics(paths: Iterable[str | Path], seed: int = 0) -> CaptionStatistics:
    """The statistics of the caption parts ``paths``; the same whatever order they come in.

    Holds a batch of rows, the vocabulary, and one counter per distinct sentence: about 600 MB for 51,300 captions.

    Raises:
        OSError, pyarrow.ArrowInvalid: a part is missing or damaged.
    """
    outcomes, sections, texts = OutcomeTally(), SectionTally(), TextTally(str(seed))
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=_COLUMNS):
                accepted = outcomes.add(batch)
                sections.add(accepted)
                texts.add(accepted)
    return CaptionStatistics(**outcomes.result(), **sections.result(), **texts.result())
