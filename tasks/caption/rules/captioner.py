"""The embedded default captioner: true sentences from measured facts, without weights or network.

One plan, several lengths: the same track is written at rising levels of detail, and the richest
text that stays within the aim for its number of sections is taken. A song of two sections is thus
described finely, one of forty tersely, and neither is padded.
"""

from __future__ import annotations

from dataclasses import dataclass

from data_specs.records import AudioFacts, Caption, SectionCaption, Structure
from data_specs.spec import CaptionSettings
from tasks.caption.facts import TrackFacts, gather_facts
from tasks.caption.overview import with_clock, write_overview
from tasks.caption.overview_phrases import OVERVIEW
from tasks.caption.passage_phrases import PASSAGE
from tasks.caption.passages import write_passage
from tasks.caption.validate import repetition
from tasks.caption.wording import Phrasebook, cardinal, clock, lower_first, ordinal

MAX_DETAIL = 19
"""In half steps: an odd one describes new material one step finer than material that returns."""
AIM_WORDS = 310
AIM_WORDS_PER_SECTION = 13
MAX_AIM_WORDS = 860
MAX_REPETITION = 0.12
"""Stricter than the validator's bound, so that a change of wording does not meet it by surprise."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """One rendering of the plan."""

    overview: str
    """Without clock times."""
    passages: tuple[str, ...]
    long_text: str
    clock_free_text: str

    @property
    def num_words(self) -> int:
        return len(self.long_text.split())

    @property
    def repetition(self) -> float:
        return max(repetition(self.long_text), repetition(self.clock_free_text))


class RulesCaptioner:
    """Writes what was measured, in the words of ``bands``, with the syntax of the two phrase tables."""

    name = "rules"
    version = "1"

    def __init__(self, settings: CaptionSettings) -> None:
        self._settings = settings

    def caption(self, audio: AudioFacts, structure: Structure) -> Caption:
        """The caption of one track: a function of its records and the settings, and nothing else."""
        if not structure.sections or structure.duration_s <= 0:
            raise ValueError(f"structure of {structure.track_id} has no sections or no duration; nothing to describe")
        track = gather_facts(audio, structure)
        draft = self._choose(track, structure.track_id)
        sections = tuple(
            SectionCaption(
                start_s=section.start_s,
                end_s=section.end_s,
                label=section.label,
                letter=section.letter,
                description=passage,
            )
            for section, passage in zip(structure.sections, draft.passages, strict=True)
        )
        return Caption(
            track_id=structure.track_id,
            captioner=f"{self.name}-{self.version}",
            global_text=with_clock(draft.overview, track),
            sections=sections,
            long_text=draft.long_text,
            clock_free_text=draft.clock_free_text,
            num_words=draft.num_words,
        )

    def _choose(self, track: TrackFacts, track_id: str) -> _Draft:
        """The richest draft within the aim, or the tersest that is long enough."""
        aim = max(min(AIM_WORDS + AIM_WORDS_PER_SECTION * len(track.sections), MAX_AIM_WORDS), self._settings.min_words)
        best: _Draft | None = None
        for detail in range(MAX_DETAIL + 1):
            draft = _write(track, f"{self._settings.seed}:{track_id}", detail)
            if best is None or _merit(draft, aim, self._settings.min_words) >= _merit(
                best, aim, self._settings.min_words
            ):
                best = draft
            if draft.num_words > aim:
                break
        assert best is not None
        return best


def _merit(draft: _Draft, aim: int, min_words: int) -> tuple[bool, float, int]:
    """Long enough before unrepetitive before close to the aim, from below or else from above."""
    return draft.num_words >= min_words, -max(0.0, draft.repetition - MAX_REPETITION), -abs(aim - draft.num_words)


def _write(track: TrackFacts, seed: str, detail: int) -> _Draft:
    overview = write_overview(track, Phrasebook(OVERVIEW | PASSAGE, seed), detail // 2)
    book = Phrasebook(PASSAGE, seed)
    passages = tuple(
        write_passage(section, track, book, (detail + (section.occurrence == 1)) // 2) for section in track.sections
    )
    timed, ordered = [with_clock(overview, track)], [overview]
    for section, passage in zip(track.sections, passages, strict=True):
        lead = book.pick("clock_lead", a=clock(section.start_s), b=clock(section.end_s))
        timed.append(_led(lead, passage))
        ordered.append(_led(_order_lead(section.index, len(passages), book), passage))
    # A paragraph about the whole, then one per section.
    return _Draft(overview, passages, "\n\n".join(timed), "\n\n".join(ordered))


def _order_lead(index: int, total: int, book: Phrasebook) -> str:
    if index == 0:
        return book.pick("lead_first")
    if index == total - 1:
        return book.pick("lead_last")
    return book.pick("lead_next", nth=ordinal(index + 1), n=cardinal(index + 1))


def _led(lead: str, passage: str) -> str:
    lead = lead[:1].upper() + lead[1:]
    return lead + lower_first(passage)
