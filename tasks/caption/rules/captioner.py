"""The embedded default captioner: true sentences from measured facts, without weights or network.

One plan, several lengths: the same track is written at rising levels of detail, and the richest
text that stays within the aim for its number of sections is taken. A song of two sections is thus
described finely, one of forty tersely, and neither is padded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data_specs import renderings
from data_specs.outcomes import Outcome
from data_specs.records import Attributes, AudioFacts, Caption, SectionCaption, Structure
from data_specs.spec import RulesCaptions
from tasks.caption import bands, validate
from tasks.caption.assemble import assemble, wording_seed
from tasks.caption.draft import Draft
from tasks.caption.facts import TrackFacts, gather_facts
from tasks.caption.rules.overview import write_overview
from tasks.caption.rules.overview_phrases import OVERVIEW
from tasks.caption.rules.passage_phrases import PASSAGE, RATES
from tasks.caption.rules.passages import write_passage
from tasks.caption.validate import repetition
from tasks.caption.validation.text_rules import alike_pairs
from tasks.caption.wording import Phrasebook

CAPTIONER = "rules-2"
MAX_DETAIL = 19
"""In half steps: an odd one describes new material one step finer than material that returns."""
AIM_WORDS = 310
AIM_WORDS_PER_SECTION = 13
MAX_AIM_WORDS = 860
MAX_ATTEMPTS = 4
FULL_LENGTH_S = 120.0
"""A shorter track is described in proportion, down to half of the aim."""
MAX_REPETITION = 0.05
"""Above it, a text closer to the aim is not taken."""


class RulesCaptioner:
    """A ``Captioner``: what it says is a function of the records, the settings and the version alone."""

    def __init__(self, settings: RulesCaptions) -> None:
        self._settings = settings

    def caption(self, audio: AudioFacts, structure: Structure, version: int, workspace: Path) -> Outcome[Caption]:
        """The caption of one track.

        Raises:
            ValueError: the structure has no sections or no duration.
        """
        seed, min_words = self._settings.seed, self._settings.min_words
        draft = write_draft(audio, structure, wording_seed(seed, version, structure.track_id), min_words)
        caption = assemble(
            structure.track_id, draft, captioner=CAPTIONER, model=None, prompt=None, version=version, seed=seed
        )
        return validate.judge(caption, audio, structure, min_words)


@dataclass(frozen=True, slots=True)
class _Text:
    """One draft and how it reads when it is rendered."""

    draft: Draft
    told_apart: bool
    """Whether no two sections of different letters say the same."""
    num_words: int
    repetition: float


def write_draft(audio: AudioFacts, structure: Structure, seed: str, min_words: int) -> Draft:
    """True sentences on the whole and on every section, without clock times.

    Args:
        seed: chooses among equivalent wordings.
        min_words: that the rendered text is to have at least; in proportion for a track under two minutes.

    Raises:
        ValueError: the structure has no sections or no duration.
    """
    if not structure.sections or structure.duration_s <= 0:
        raise ValueError(f"structure of {structure.track_id} has no sections or no duration; nothing to describe")
    track = gather_facts(audio, structure)
    needed = validate.words_bound(min_words, structure.duration_s)
    aim = min(AIM_WORDS + AIM_WORDS_PER_SECTION * len(track.sections), MAX_AIM_WORDS)
    aim = max(needed, round(aim * min(1.0, max(0.5, structure.duration_s / FULL_LENGTH_S))))
    best: _Text | None = None
    for detail in range(MAX_DETAIL + 1):
        text = _write_apart(track, structure, seed, detail)
        if best is None or _merit(text, aim, needed) >= _merit(best, aim, needed):
            best = text
        if text.num_words > aim:
            break
    assert best is not None
    return best.draft


def _merit(text: _Text, aim: int, needed: int) -> tuple[bool, bool, float, int]:
    """Long enough, then sections told apart, then unrepetitive, then close to the aim."""
    excess = max(0.0, text.repetition - MAX_REPETITION)
    return text.num_words >= needed, text.told_apart, -excess, -abs(aim - text.num_words)


def _write_apart(track: TrackFacts, structure: Structure, seed: str, detail: int) -> _Text:
    """In other words where sections come out alike: the same few bands may hold for different music."""
    texts = (_write(track, structure, f"{seed}:{attempt}", detail) for attempt in range(MAX_ATTEMPTS))
    text = next(texts)
    return text if text.told_apart else next((other for other in texts if other.told_apart), text)


def _write(track: TrackFacts, structure: Structure, seed: str, detail: int) -> _Text:
    global_text = write_overview(track, Phrasebook(OVERVIEW | RATES, seed), detail // 2)
    book = Phrasebook(PASSAGE, seed)
    sections = tuple(
        SectionCaption(
            start_s=known.start_s,
            end_s=known.end_s,
            label=known.label,
            letter=known.letter,
            description=write_passage(section, track, book, (detail + (section.occurrence == 1)) // 2),
            writer="rules",
        )
        for section, known in zip(track.sections, structure.sections, strict=True)
    )
    text = renderings.clock_free(global_text, sections, seed)
    draft = Draft(global_text=global_text, attributes=_attributes(track), sections=sections, anchored=True)
    return _Text(draft, not alike_pairs(sections), len(text.split()), repetition(text))


def _attributes(track: TrackFacts) -> Attributes:
    """Measured ones only: no genre, mood or instrument can be read off a spectrum for sure."""
    return Attributes(tempo_word=bands.TEMPO.word(track.tempo_bpm) if track.tempo_sure and track.tempo_bpm else "")
