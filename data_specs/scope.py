"""How far a sentence reaches: whether it leans on order, on the whole track, or on the section before.

Judged by its words. A sentence too many is dropped rather than one too few: what stays has to be true.
"""

from __future__ import annotations

import re

__all__ = ["AGAINST_BEFORE", "ORDER", "RETURN", "WHOLE", "sentences", "without"]

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def _any_of(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(word for part in words for word in part.split())})\b", re.IGNORECASE)


# In a list of words a blank inside of one is written "\s".
_RANKS = (
    r"first third fourth fifth sixth seventh eighth ninth tenth \w+teenth twelfth \w+tieth \w+ty-\w+(?:st|nd|rd|th)"
    r" \d+(?:st|nd|rd|th)"
    # "3.2 onsets per second" has no rank in it, nor has "onsets a second".
    r" (?<!per\s)(?<!each\s)(?<!a\s)second a\ssecond\s(?:time|idea|kind|turn|round|statement|pass|verse|chorus|part)"
)
_EDGES = (
    r"last lastly final finally initial initially begins? beginning began starts? starting started opens opening"
    r" outset closes closing ends ended ending the\send its\send conclu\w+ finish\w* introduc\w+ intro outro halfway"
    r" midpoint middle leads\soff sets\sout rounds?\s\w+\soff runs\sright\sthrough kicks?\soff wraps?\sup coda"
)
_RETURNS = (
    r"return\w* again repeat\w* repris\w* recur\w* reappear\w* resum\w* once\smore (?<!-)back familiar"
    r" statement hearing appearance turn round"
)
_AFTER = (
    r"then next after afterwards? thereafter before until now prior previous\w* earlier later following follows?"
    r" followed subsequent\w* eventual\w* still continu\w+ carr(?:y|ies)\son goe?s?\son remains? stays? transition\w*"
    r" preced\w* ultimately already gives?\sway leads?\s(?:in)?to leading\s(?:in)?to one\smore\stime"
    r" new\s(?:material|music|idea|section|part) something\snew"
)
# Letters follow the order in which music is first heard: whoever reads of C knows that A and B were before.
_LETTERS = (
    r"(?:sections?|parts?|ideas?|themes?|lettered)\s(?-i:[A-Z])\d*(?=[\W′]|$)"
    r" the\s(?-i:[A-Z])\d*[\s-](?:section|part|idea|theme) (?<=\()(?-i:[A-Z])\d*(?=\))"
    r" (?:form|plan|it)\s(?:runs|reads|is)\s(?-i:[A-Z])\d*(?=[,:])"
)
_TOTALS = (
    r"throughout overall entire\w* whole averag\w+ mean running\stime total length lasts? lasting duration minutes?"
    r" LUFS sections letters ideas twice \w+\stimes half climax\w* peak\w* culminat\w+ builds? gradual\w* progress\w*"
    r" evolv\w+ fad(?:es|ing) journey unfolds? softest loudest densest sparsest brightest darkest longest shortest"
    r" silences? silent pause the\spiece the\strack of\sthe\s(?:song|total) dynamic\srange"
    r" (?:statement|hearing|number|turn)\s\w+\s(?:of|in) times\sby\snow"
)

ORDER = _any_of(_RANKS, _EDGES, _RETURNS, _AFTER, _LETTERS)
"""Words of order: a sentence with one of them has no place in a bag of sections."""
WHOLE = _any_of(_TOTALS, _RANKS, _EDGES)
"""Claims on the whole track: its length, parts, edges, averages; and the rank of anything in it."""
RETURN = _any_of(_RETURNS)
AGAINST_BEFORE = _any_of(
    _RETURNS,
    _AFTER,
    r"more less fewer \w+er\sthan louder softer quieter brighter darker busier sparser heavier lighter fuller thinner"
    r" faster slower ris(?:es|ing) falls? falling grow(?:s|ing)? climbs? sinks? swells? recedes? steps gain loss"
    r" enters? entering joins? comes?\sin sets\sin drops? leaves? disappears? stops? goes thickens? thins brightens?"
    r" darkens? lightens? fills? empties stays? keeps? unchanged same change\w* moves? shifts? alters? holds? turns?"
    r" tilts contrast\w* compared another new spread crowds? differs? persist also in\saddition loses gains forward"
    r" arrives? takes\sover gives\sway larger smaller lifts? dips? increas\w+ decreas\w+ recede alters? beyond\sthat"
    r" along\swith\sthat at\sthe\ssame\stime meanwhile",
)
"""Comparisons with what was heard just before."""


def sentences(text: str) -> list[str]:
    """The sentences of a text; a decimal point ends none."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


def without(pattern: re.Pattern[str], text: str) -> str:
    """The sentences in which the pattern does not occur."""
    return " ".join(sentence for sentence in sentences(text) if not pattern.search(sentence))
