"""Mends a draft by the rules of ``tasks.caption.validate``, and says which parts are past mending.

Always in this order: times and labels of sections that the model chose, characters and white space,
Markdown, loops, sentences that break a rule (a phrase is cut out or a word replaced where that
helps, else the sentence goes), echoes of other sentences, singing against "instrumental", the last
full stop, attributes, and parts that lost more than half of their words. It is repeated until
nothing changes, so mending twice is mending once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from data_specs.records import VOCALS, Attributes, AudioFacts, Structure
from data_specs.scope import WHOLE, sentences
from tasks.caption.draft import GLOBAL, Draft
from tasks.caption.model.cuts import cut
from tasks.caption.model.spans import tile
from tasks.caption.model.tidy import finished, normalised, plain, shortened, unlooped
from tasks.caption.validate import in_order
from tasks.caption.validation.record_rules import MAX_ATTRIBUTE_CHARACTERS, MAX_ATTRIBUTES, attribute_faults
from tasks.caption.validation.sentence_rules import SENTENCE_RULES, Place, renamed, unnumbered, vocal_conflicts
from tasks.caption.validation.text_rules import (
    MAX_REPETITION,
    alike_pairs,
    global_words_bound,
    repetition,
    section_words_bound,
)
from tasks.caption.wording import words

MAX_PASSES = 6
MAX_ECHO = 0.8
"""Share of a sentence's 4-grams that were said before, from which it is an echo."""
MIN_ECHO_GRAMS = 4
MAX_DROPPED = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """A draft after mending."""

    draft: Draft
    repairs: tuple[str, ...]
    """``<step>:<rule>``, or ``<step>:<how many>``; each once, in the order of the steps."""
    flaws: tuple[str, ...]
    """Rules that were broken before, in the order of ``RULES``."""
    failing: tuple[int, ...]
    """Parts that are missing or unusable: indices of sections, ``GLOBAL`` last."""


def mend(draft: Draft, audio: AudioFacts, structure: Structure) -> Mended:
    """The draft with everything taken out or put right that breaks a rule.

    A part of which more than half had to go is emptied: what is left of it misleads.

    Args:
        audio: of the same track; its id is checked.
        structure: what sentences are held against; of sections that are ``anchored`` also their times.

    Raises:
        ValueError: audio and structure are of different tracks.
    """
    if audio.track_id != structure.track_id:
        raise ValueError(f"audio facts of {audio.track_id}, structure of {structure.track_id}: expected one track")
    work = _Work(structure, draft.anchored)
    draft = _with_tiling(draft, structure, work)
    parts = _parts(draft)
    flaws = _text_flaws(parts, draft)
    parts = {index: _plain(text, work) for index, text in parts.items()}
    num_words = {index: len(text.split()) for index, text in parts.items()}
    attributes = draft.attributes
    for number in range(MAX_PASSES + 1):
        before = (parts, attributes)
        parts = {index: _sifted(index, text, draft, work) for index, text in parts.items()}
        parts = _without_echoes(parts, work)
        parts, attributes = _one_voice(parts, attributes, work)
        parts = {index: work.noted("full_stop", None, finished, text) for index, text in parts.items()}
        parts = {index: _plain(text, work) for index, text in parts.items()}
        attributes = _bounded(attributes, work)
        if (parts, attributes) == before:
            break
        if number == MAX_PASSES:  # text that never settles is none
            parts = {index: text if text == before[0][index] else "" for index, text in parts.items()}
    for index, text in parts.items():
        # An echo takes nothing from what is left: it was true, and is said elsewhere.
        if len(text.split()) < MAX_DROPPED * (num_words[index] - work.echoed.get(index, 0)):
            parts[index] = ""
            work.add("empty", "unusable", flaw="unusable")
    draft = _with(draft, parts, attributes)
    return Mended(
        draft=draft,
        repairs=tuple(work.repairs),
        flaws=in_order(flaws | work.flaws),
        failing=_failing(draft, structure.duration_s),
    )


@dataclass(slots=True)
class _Work:
    """The account of what was done."""

    structure: Structure
    anchored: bool
    _repairs: dict[str, dict[str, int]] = field(default_factory=dict)
    flaws: set[str] = field(default_factory=set)
    echoed: dict[int, int] = field(default_factory=dict)
    """Words per part that were said in another place as well."""

    def add(self, step: str, what: str, *, flaw: str | None = None) -> None:
        counts = self._repairs.setdefault(step, {})
        counts[what] = counts.get(what, 0) + 1
        if flaw:
            self.flaws.add(flaw)

    def noted(self, step: str, flaw: str | None, change: Callable[[str], str], text: str) -> str:
        """The changed text; a step that names no rule is recorded by how many texts it changed."""
        changed = change(text)
        if changed != text:
            self.add(step, "", flaw=flaw)
        return changed

    @property
    def repairs(self) -> list[str]:
        order = sorted(self._repairs, key=_STEPS.index)
        return [f"{step}:{what or count}" for step in order for what, count in self._repairs[step].items()]


_STEPS = (
    "labels sort snap fill merge shorten normalise markdown loop rename cut drop_sentence drop_echo full_stop"
    " attributes empty"
).split()


def _with_tiling(draft: Draft, structure: Structure, work: _Work) -> Draft:
    if draft.anchored:
        return draft
    tiling = tile(draft.sections, structure)
    for repair in tiling.repairs:
        work.add(*repair.split(":"))
    work.flaws |= tiling.flaws
    return replace(draft, sections=tiling.sections)


def _parts(draft: Draft) -> dict[int, str]:
    """Sections before the global paragraph: of two equal sentences, that of the section stays."""
    return {i: section.description for i, section in enumerate(draft.sections)} | {GLOBAL: draft.global_text}


def _with(draft: Draft, parts: dict[int, str], attributes: Attributes) -> Draft:
    sections = tuple(replace(section, description=parts[i]) for i, section in enumerate(draft.sections))
    return replace(draft, global_text=parts[GLOBAL], sections=sections, attributes=attributes)


def _text_flaws(parts: dict[int, str], draft: Draft) -> set[str]:
    """Rules on whole texts, judged before anything is taken out."""
    flaws = set()
    if any(not text.strip() for text in parts.values()):
        flaws.add("empty_text")
    if repetition(" ".join(text[:20_000] for text in parts.values())) > MAX_REPETITION:
        flaws.add("repetition")
    if any(
        0 < len(section.description.split()) < section_words_bound(section, len(draft.sections))
        for section in draft.sections
    ):
        flaws.add("section_words")
    if alike_pairs(draft.sections):
        flaws.add("sections_alike")
    return flaws


def _plain(text: str, work: _Work) -> str:
    text = work.noted("shorten", "loop", shortened, text)
    text = work.noted("normalise", None, normalised, text)
    text = work.noted("markdown", "debris" if any(mark in text for mark in "*#`{}[]") else None, plain, text)
    return work.noted("loop", "loop", unlooped, text)


def _sifted(index: int, text: str, draft: Draft, work: _Work) -> str:
    """The sentences that keep every rule, mended where a cut or another word is enough."""
    section = draft.sections[index] if index >= 0 else None
    span = (section.start_s, section.end_s) if section else (0.0, work.structure.duration_s)
    place = Place(index, *span, draft.anchored, work.structure)
    kept = (_mended_sentence(sentence, place, work) for sentence in sentences(text))
    return " ".join(sentence for sentence in kept if sentence)


_RENAMES: dict[str, Callable[[str, Place], str | None]] = {"function_name": renamed, "section_number": unnumbered}


def _mended_sentence(sentence: str, place: Place, work: _Work) -> str:
    for rule, find in SENTENCE_RULES.items():
        if find(sentence, place) is None:
            continue
        work.flaws.add(rule)
        rename = _RENAMES.get(rule)
        mended = rename(sentence, place) if rename else cut(rule, sentence)
        if mended is None or find(mended, place) is not None:
            work.add("drop_sentence", rule)
            return ""
        work.add("rename" if rename else "cut", rule)
        sentence = mended
    return sentence


def _without_echoes(parts: dict[int, str], work: _Work) -> dict[int, str]:
    """Each sentence once, and none that strings together what was said before."""
    said: set[tuple[str, ...]] = set()
    # A claim on the whole track belongs into the paragraph on the whole, any other into its section.
    of_whole = {_line(s) for s in sentences(parts[GLOBAL]) if WHOLE.search(s)}
    lines: set[str] = set()
    result = {}
    for index, text in parts.items():
        kept = []
        for sentence in sentences(text):
            tokens = words(sentence)
            grams = set(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))
            if _line(sentence) in lines or (index != GLOBAL and _line(sentence) in of_whole):
                fault = "duplicate_sentence"
            elif len(grams) >= MIN_ECHO_GRAMS and len(grams & said) >= MAX_ECHO * len(grams):
                fault = "repetition"
            else:
                kept.append(sentence)
                said |= grams
                lines.add(_line(sentence))
                continue
            work.add("drop_echo", fault, flaw=fault)
            work.echoed[index] = work.echoed.get(index, 0) + len(sentence.split())
        result[index] = " ".join(kept)
    return result


def _line(sentence: str) -> str:
    return sentence.casefold().rstrip(".!?")


def _one_voice(parts: dict[int, str], attributes: Attributes, work: _Work) -> tuple[dict[int, str], Attributes]:
    """Singing stands against "instrumental": that something sings is heard, that nothing does is concluded."""
    for index, sentence in vocal_conflicts(parts, attributes):
        if index is None:
            attributes = replace(attributes, vocals="unknown")
            work.add("attributes", "vocals", flaw="vocals")
        else:
            kept = [s for s in sentences(parts[index]) if s != sentence]
            parts = parts | {index: " ".join(kept)}
            work.add("drop_sentence", "vocals", flaw="vocals")
    return parts, attributes


def _bounded(attributes: Attributes, work: _Work) -> Attributes:
    if not any(attribute_faults(attributes)):
        return attributes
    work.add("attributes", "bounds", flaw="attributes")
    lists = {name: _entries(getattr(attributes, name)) for name in ("genres", "moods", "instruments", "production")}
    tempo = _entries((attributes.tempo_word,))
    return Attributes(**lists, vocals=_voice(attributes.vocals), tempo_word=tempo[0] if tempo else "")


def _entries(values: tuple[str, ...]) -> tuple[str, ...]:
    """What fits, each once; an entry that is too long is a sentence, not a name."""
    plain_values = (" ".join(normalised(value[:200]).split()).strip(" .,;:\"'*[]{}") for value in values)
    fitting = [value for value in plain_values if 0 < len(value) <= MAX_ATTRIBUTE_CHARACTERS and value.isprintable()]
    unique: dict[str, str] = {}
    for value in fitting:
        unique.setdefault(value.casefold(), value)
    return tuple(unique.values())[:MAX_ATTRIBUTES]


def _voice(text: str) -> str:
    """The word of ``VOCALS`` that a text means."""
    said = set(text[:200].lower().replace("-", " ").replace(",", " ").split())
    if text in VOCALS:
        return text
    female, male = said & {"female", "woman", "women", "girl"}, said & {"male", "man", "men", "boy"}
    if said & {"choir", "choral", "chorus"}:
        return "choir"
    if said & {"mixed", "duet", "both"} or (female and male):
        return "mixed"
    if female or male:
        return "female" if female else "male"
    if said & {"spoken", "speech", "rap", "rapped", "talking"}:
        return "spoken"
    return "none" if said & {"none", "no", "instrumental", "absent"} else "unknown"


def _failing(draft: Draft, duration_s: float) -> tuple[int, ...]:
    num_sections = len(draft.sections)
    failing = {
        index
        for index, section in enumerate(draft.sections)
        if len(section.description.split()) < section_words_bound(section, num_sections)
    }
    for first, second in alike_pairs(draft.sections):
        if first not in failing:
            failing.add(second)
    whole = (GLOBAL,) if len(draft.global_text.split()) < global_words_bound(duration_s) else ()
    return (*sorted(failing), *whole)
