"""Phrases that can be cut out of a sentence so that the rest still stands."""

from __future__ import annotations

import re

from tasks.caption.claim_phrases import BPM, KEY

MIN_WORDS_LEFT = 4

_I = re.IGNORECASE
_TIME = r"(?:\d{1,3}:[0-5]\d(?::[0-5]\d)?(?:\.\d+)?)"
_SPAN = rf"{_TIME}(?:\s*(?:-|–|—|to|until|and)\s*{_TIME})?"
_AT = r"(?:at|from|around|between|until|till|by|after|before|starting at|beginning at|about|about|in|near|to)"
_HEDGE = r"(?:around |about |approximately |roughly |some |a |an )*"

CUTS: dict[str, tuple[re.Pattern[str], ...]] = {
    "clock": (
        re.compile(rf"\s*[(\[]\s*(?:{_AT} )?{_SPAN}\s*[)\]]", _I),
        re.compile(
            rf"(?:,\s*|\s*\b|^)(?:{_AT} )?(?:about |around )?{_SPAN}(?: mark)?(?!\s*(?:min|sec|long))\s*[,:]?", _I
        ),
        re.compile(
            r",?\s*\b(?:at|around|near|from|after|by) (?:about |around )?(?:the )?\d+(?:\.\d+)?[ -]?"
            r"(?:s|secs?|seconds?|minutes?|min)\b(?! long| in length)(?:[ -]marks?)?"
            r"(?: (?:in|into)(?: the (?:song|track|piece|section))?)?,?",
            _I,
        ),
    ),
    "key": (
        re.compile(
            rf"(?<!\bis)(?<!\bare)(?<!\bstays)(?<!\bwritten)\s*,?\s+in (?:the key of )?(?-i:{KEY.pattern})(?: key)?"
            r"(?! (?:pentatonic|blues|scales?|harmony|mode|and|or|to|then)\b)",
            _I,
        ),
        re.compile(rf"\s*\((?:in )?(?-i:{KEY.pattern})\)", _I),
    ),
    "bpm": (
        re.compile(rf"\s*,?\s*\(\s*{_HEDGE}{BPM.pattern}\s*\)", _I),
        re.compile(rf"(?<!\bis)(?<!\bmoves)\s*,?\s+(?:at|of) (?:a tempo of )?{_HEDGE}{BPM.pattern}", _I),
    ),
    "recording_quality": (
        re.compile(
            # Before the noun that it belongs to: "of poor quality and loud" has none.
            r"(?<!of )(?<!in )(?<!is )\b(?:low|poor|bad|high|good|amateur)[ -](?:audio[ -]|sound[ -])?"
            r"(?:quality|fidelity) (?=[a-z])(?!(?:and|but|or|of|with|in|on|as|to|at|for|from|that|which|while|due"
            r"|because|is|are|was|were|has|makes?)\b)",
            _I,
        ),
    ),
    "usage_speculation": (
        re.compile(
            r"\s*(?:,|-|–|—)?\s*(?:and |which is |that is )?(?:\w+ )?(?:like |as )?(?:something|one) (?:that )?you"
            r"(?: would| could| might| may| can|'d)\b[^.;]*",
            _I,
        ),
        re.compile(
            r"\s*,\s*(?:and |which is |making it |being )*(?:perfect|suitable|ideal|appropriate|well[- ]suited)"
            r" (?:for|as|to)\b[^.;]*",
            _I,
        ),
    ),
}
"""By rule, in the order in which they are tried."""


def cut(rule: str, sentence: str) -> str | None:
    """The sentence without what breaks the rule; None where too little is left, or nothing was cut."""
    text = sentence
    for pattern in CUTS.get(rule, ()):
        text = pattern.sub(" ", text)
    if text == sentence:
        return None
    text = " ".join(text.split())
    text = re.sub(r"\(\s*\)", "", text)
    text = re.sub(r"\s+([,.;:!?])", r"\1", text)
    text = re.sub(r"[,;:]+([.!?])", r"\1", text).lstrip(",;:.-–— ")
    if len(text.split()) < MIN_WORDS_LEFT:
        return None
    return text[:1].upper() + text[1:]
