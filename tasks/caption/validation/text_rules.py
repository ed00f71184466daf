"""Rules on whole texts: their length, their sameness, and what assembly made of the parts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations

from data_specs.records import SectionCaption
from data_specs.renderings import PARAGRAPH
from data_specs.scope import ORDER, sentences
from tasks.caption.validation.case import Case, Found, shown
from tasks.caption.validation.phrases import PHRASES
from tasks.caption.validation.sentence_rules import SENTENCE_RULES, Place, vocal_conflicts
from tasks.caption.wording import words

FULL_LENGTH_S = 120.0
MAX_WORDS = 900
MIN_SECTION_WORDS = 12
MIN_BRIEF_WORDS = 6
"""For sections of a few seconds, and where there are very many: a caption of forty sections is terse."""
BRIEF_S = 10.0
BRIEF_TRACK_S = 20.0
MAX_FULL_SECTIONS = 24
MIN_BAG_WORDS = 30
MAX_LEAD_WORDS = 14
MAX_REPETITION = 0.15
"""Share of 4-grams that occurred before; people stay below .01, prompted models reach .2."""
MAX_ALIKE = 0.7
"""Jaccard similarity of the sets of words of two sections with different letters."""


def words_bound(min_words: int, duration_s: float) -> int:
    """Fewest words of a caption: in proportion below two minutes."""
    return math.ceil(min_words * min(1.0, duration_s / FULL_LENGTH_S))


def section_words_bound(section: SectionCaption, num_sections: int) -> int:
    """Fewest words of a section's description."""
    brief = section.end_s - section.start_s < BRIEF_S or num_sections > MAX_FULL_SECTIONS
    return MIN_BRIEF_WORDS if brief else MIN_SECTION_WORDS


def global_words_bound(duration_s: float) -> int:
    """Fewest words of the paragraph on the whole."""
    return MIN_BRIEF_WORDS if duration_s < BRIEF_TRACK_S else MIN_SECTION_WORDS


def repetition(text: str, size: int = 4) -> float:
    """Share of the word n-grams of a text that occurred earlier in it."""
    tokens = words(text)
    grams = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def alike(a: str, b: str) -> float:
    """Jaccard similarity of two texts' sets of words."""
    left, right = set(words(a)), set(words(b))
    return len(left & right) / len(left | right) if left | right else 0.0


def alike_pairs(sections: Sequence[SectionCaption]) -> list[tuple[int, int]]:
    """Pairs of sections that say the same although their music differs; the same music may be told alike.

    An empty letter is one that nobody gave: such sections count as different music.
    """
    bags = [set(words(section.description)) for section in sections]
    return [
        (i, j)
        for i, j in combinations(range(len(sections)), 2)
        if (not sections[i].letter or sections[i].letter != sections[j].letter)
        and bags[i]
        and bags[j]
        and len(bags[i] & bags[j]) > MAX_ALIKE * len(bags[i] | bags[j])
    ]


def words_min(case: Case) -> Found:
    bound = words_bound(case.min_words, case.structure.duration_s)
    # The clock-free rendering lacks a few words per section; it must not be a stub.
    for name, text, fewest in (
        ("long_text", case.caption.long_text, bound),
        ("clock_free_text", case.caption.clock_free_text, math.floor(0.8 * bound)),
    ):
        if len(text.split()) < fewest:
            yield f"{len(text.split())} words in {name}", f"at least {fewest}"


def words_max(case: Case) -> Found:
    if (count := len(case.caption.long_text.split())) > MAX_WORDS:
        yield f"{count} words in long_text", f"at most {MAX_WORDS}"


def section_words(case: Case) -> Found:
    for index, section in enumerate(case.caption.sections):
        bound = section_words_bound(section, len(case.caption.sections))
        if (count := len(section.description.split())) < bound:
            yield f"{count} words in sections[{index}]", f"at least {bound}"


def order_free_words(case: Case) -> Found:
    if (count := len(case.caption.order_free_text.split())) < MIN_BAG_WORDS:
        yield f"{count} words in order_free_text", f"at least {MIN_BAG_WORDS}"


def empty_text(case: Case) -> Found:
    for _, name, text in case.parts():
        if not text.strip():
            yield f"{name} is empty", "text"


def assembled(case: Case) -> Found:
    """Both ordered texts are a lead and a part per paragraph, in order: no words are lost or come in between."""
    parts = [text.casefold() for _, _, text in case.parts() if text]
    for name, text in list(case.renderings())[:2]:
        paragraphs = text.casefold().split(PARAGRAPH)
        if len(paragraphs) != len(parts):
            yield f"{len(paragraphs)} paragraphs in {name}", f"{len(parts)}, one per part"
            continue
        for index, (paragraph, part) in enumerate(zip(paragraphs, parts, strict=True)):
            lead = paragraph.removesuffix(part)
            if not paragraph.endswith(part) or len(lead.split()) > MAX_LEAD_WORDS:
                yield f"paragraph {index} of {name} is {shown(paragraph)}", f"a lead and {shown(part)}"
                break


def order_free(case: Case) -> Found:
    known = {s.casefold() for _, _, text in case.parts() for s in sentences(text)}
    paragraphs = case.caption.order_free_text.split(PARAGRAPH)
    for sentence in [sentence for paragraph in paragraphs for sentence in sentences(paragraph)]:
        if sentence.casefold() not in known:
            yield f"{shown(sentence)} in order_free_text", "a sentence of the caption's parts"
        elif match := ORDER.search(sentence):
            yield f"{shown(match.group())} in order_free_text", "no word of order"


def clock_free(case: Case) -> Found:
    for name, text in list(case.renderings())[1:]:
        for match in PHRASES["clock"].finditer(text):
            yield f"{shown(match.group())} in {name}", "no clock time"


def duplicate_sentence(case: Case) -> Found:
    for name, text in case.renderings():
        for repeated, count in Counter(s.casefold() for s in sentences(text)).items():
            if count > 1:
                yield f"{count} x {shown(repeated)} in {name}", "each sentence once"


def repeats(case: Case) -> Found:
    for name, text in list(case.renderings())[:2]:
        if (share := repetition(text)) > MAX_REPETITION:
            yield f"4-gram repetition {share:.3f} in {name}", f"at most {MAX_REPETITION}"


def sections_alike(case: Case) -> Found:
    for i, j in alike_pairs(case.caption.sections):
        share = alike(case.caption.sections[i].description, case.caption.sections[j].description)
        yield f"sections {i} and {j} share {share:.2f} of their words", f"at most {MAX_ALIKE}"


def vocals(case: Case) -> Found:
    parts = {index: text for index, _, text in case.parts()}
    for index, sentence in vocal_conflicts(parts, case.caption.attributes):
        if index is None:
            yield "vocals 'none' in attributes", "what the text says: sung"
        else:
            yield f"{shown(sentence)} in {_name(index)}", "no 'instrumental' beside singing"


def by_sentence(rule: str) -> Callable[[Case], Found]:
    """The check of a rule on single sentences, over all that the captioner wrote."""
    find = SENTENCE_RULES[rule]

    def check(case: Case) -> Found:
        for index, name, text in case.parts():
            for sentence in sentences(text):
                if found := find(sentence, _place(case, index)):
                    yield f"{found[0]} in {name}", found[1]

    return check


def _place(case: Case, index: int) -> Place:
    section = case.caption.sections[index] if index >= 0 else None
    start_s, end_s = (section.start_s, section.end_s) if section else (0.0, case.structure.duration_s)
    return Place(index, start_s, end_s, case.caption.anchored, case.structure)


def _name(index: int) -> str:
    return "global_text" if index < 0 else f"sections[{index}]"
