"""The rules every caption must pass, whoever wrote it. Each has a name and reports value and bound.

``RULES`` is the table: what a rule asks, whether breaking it is an error (the caption is rejected) or
a warning (it is noted in ``Caption.warnings`` and let through), and what ``tasks.caption.model``
does about it before a caption comes here. Rules that follow the words look at what the captioner wrote, the global
paragraph and the descriptions; ``assembled`` and ``order_free`` hold the renderings to those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from data_specs.outcomes import Outcome, ok, rejected
from data_specs.reasons import Reason
from data_specs.records import AudioFacts, Caption, Structure
from data_specs.scope import sentences
from tasks.caption.validation import record_rules, text_rules
from tasks.caption.validation.case import Case, Found, Violation
from tasks.caption.validation.text_rules import (
    MAX_REPETITION,
    by_sentence,
    repetition,
    words_bound,
)

__all__ = [
    "ANSWER_FLAWS",
    "MAX_REPETITION",
    "RULES",
    "Rule",
    "Violation",
    "count_violations",
    "in_order",
    "judge",
    "repetition",
    "sentences",
    "validate_caption",
    "words_bound",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table."""

    check: Callable[[Case], Found]
    what: str
    severity: Literal["error", "warning"]
    repair: str
    """What is done about it in a model's answer."""


def _error(check: Callable[[Case], Found], what: str, repair: str) -> Rule:
    return Rule(check, what, "error", repair)


def _warning(check: Callable[[Case], Found], what: str, repair: str) -> Rule:
    return Rule(check, what, "warning", repair)


_NONE = "none: the captioner is at fault"
_REFILL = "asked for again, then written from facts"
_DROP = "the sentence is dropped"
_STRIP = "the phrase is cut out, else the sentence is dropped"

RULES: dict[str, Rule] = {
    "words_min": _error(text_rules.words_min, "enough words, in proportion below two minutes", _REFILL),
    "words_max": _warning(text_rules.words_max, f"at most {text_rules.MAX_WORDS} words", "none"),
    "section_words": _warning(
        text_rules.section_words,
        f"at least {text_rules.MIN_SECTION_WORDS} words per section, fewer in brief ones",
        _REFILL,
    ),
    "order_free_words": _warning(text_rules.order_free_words, "an order-free text worth reading", "none"),
    "counts": _error(record_rules.counts, "num_words and repetition are those of the texts", _NONE),
    "track_id": _error(record_rules.track_id, "one track in caption, audio facts and structure", _NONE),
    "empty_text": _error(text_rules.empty_text, "words in every part", _REFILL),
    "section_count": _error(record_rules.section_count, "as many sections as analysed", _REFILL),
    "section_tiling": _error(
        record_rules.section_tiling, "sections from start to end without gap", "times are snapped"
    ),
    "section_fields": _error(record_rules.section_fields, "times, labels and letters of the analysis", _NONE),
    "label": _error(record_rules.label, "a label of the vocabulary", "replaced by its alias, else 'section'"),
    "writer": _error(record_rules.writer, "a known writer", _NONE),
    "attributes": _error(
        record_rules.attributes,
        f"vocals of the vocabulary; at most {record_rules.MAX_ATTRIBUTES} entries of"
        f" {record_rules.MAX_ATTRIBUTE_CHARACTERS} characters, each once",
        "what does not fit is left out",
    ),
    "assembled": _error(text_rules.assembled, "ordered texts are leads and parts, nothing else", _NONE),
    "order_free": _error(text_rules.order_free, "the order-free text has sentences of the parts, none of order", _NONE),
    "clock_free": _error(text_rules.clock_free, "no time in the texts without clock", _NONE),
    "not_text": _error(by_sentence("not_text"), "printable English in Latin letters", _DROP),
    "refusal": _error(by_sentence("refusal"), "no talk of what an assistant cannot do", _DROP),
    "preamble": _error(by_sentence("preamble"), "no talk to the reader", _DROP),
    "prompt_echo": _error(by_sentence("prompt_echo"), "no talk of the question or the answer", _DROP),
    "debris": _error(by_sentence("debris"), "no JSON, Markdown, mark-up or field names", "stripped, else dropped"),
    "recording_quality": _error(by_sentence("recording_quality"), "nothing on the recording's quality", _STRIP),
    "usage_speculation": _error(by_sentence("usage_speculation"), "nothing on what it could be used for", _STRIP),
    "lyrics": _error(by_sentence("lyrics"), "no lyrics, no quotations", _DROP),
    "named_work": _error(by_sentence("named_work"), "no titles, no artists", _DROP),
    "clock": _error(by_sentence("clock"), "no clock times: renderings add them", _STRIP),
    "time_range": _error(by_sentence("time_range"), "no length beyond that of the section or track", _DROP),
    "bpm": _error(by_sentence("bpm"), "a tempo near one of the readings", _STRIP),
    "key": _error(by_sentence("key"), "a key that is sure, and the analysed one", _STRIP),
    "negative": _error(by_sentence("negative"), "nothing said to be missing unless measured", _DROP),
    "contradiction": _error(by_sentence("contradiction"), "no claim that a sure measurement denies", _DROP),
    "function_name": _error(
        by_sentence("function_name"), "form parts of the analysis' labels only", "replaced by 'section'"
    ),
    "section_number": _error(
        by_sentence("section_number"), "no section by its number", "replaced by 'an earlier section' and such"
    ),
    "vocals": _error(text_rules.vocals, "not sung and instrumental at once", "'instrumental' is dropped"),
    "duplicate_sentence": _error(text_rules.duplicate_sentence, "each sentence once", "the second one is dropped"),
    "repetition": _error(
        text_rules.repeats, f"at most {MAX_REPETITION:.0%} of 4-grams said before", "echoes are dropped"
    ),
    "sections_alike": _error(
        text_rules.sections_alike, "sections of different letters that differ in their words", _REFILL
    ),
}
"""Name to rule, in the order in which they are reported."""

ANSWER_FLAWS = {
    "empty": "no text at all",
    "json": "not the JSON that was asked for",
    "length": "cut off before its end",
    "section_missing": "a section that was asked for is missing",
    "section_extra": "sections that were not asked for",
    "section_times": "other times than those given",
    "global_missing": "the paragraph on the whole is missing",
    "unnoted": "says what the notes that it was to be written from do not say",
    "loop": "endless repetition",
    "unusable": "more than half of a part had to be dropped",
}
"""What ``Caption.flaws`` may name beside rules: faults that only an answer has, before it is a caption."""


def in_order(flaws: Iterable[str]) -> tuple[str, ...]:
    """Each flaw once: those of answers first, then rules in their order."""
    found = set(flaws)
    return tuple(name for name in (*ANSWER_FLAWS, *RULES) if name in found)


def validate_caption(caption: Caption, audio: AudioFacts, structure: Structure, min_words: int) -> list[Violation]:
    """Every broken rule that is an error, in the order of ``RULES``; an empty list for a valid caption."""
    return _violations(Case(caption, audio, structure, min_words), "error")


def judge(caption: Caption, audio: AudioFacts, structure: Structure, min_words: int) -> Outcome[Caption]:
    """The caption with its warnings, or the same rejected with the rules that it breaks.

    Args:
        min_words: of a track of two minutes or more; shorter ones in proportion.
    """
    case = Case(caption, audio, structure, min_words)
    noticed = [violation.rule for violation in _violations(case, "warning")]
    caption = replace(caption, warnings=tuple(dict.fromkeys([*caption.warnings, *noticed])))
    violations = _violations(case, "error")
    if not violations:
        return ok(caption)
    counts = count_violations(violations)
    first = {violation.rule: violation for violation in reversed(violations)}
    detail = "; ".join(
        str(first[rule]) + (f" (and {count - 1} more)" if count > 1 else "") for rule, count in counts.items()
    )
    reason = Reason.CAPTION_TOO_SHORT if set(counts) == {"words_min"} else Reason.CAPTION_INVALID
    return rejected(caption, reason, detail)


def count_violations(violations: Iterable[Violation]) -> Counter[str]:
    """How often each rule was broken, for a build's table."""
    return Counter(violation.rule for violation in violations)


def _violations(case: Case, severity: str) -> list[Violation]:
    return [
        Violation(name, value, bound)
        for name, rule in RULES.items()
        if rule.severity == severity
        for value, bound in rule.check(case)
    ]
