"""Rules that one sentence breaks or keeps, given where it stands. Validation reports them, mending drops by them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from data_specs.records import Attributes, Structure
from data_specs.scope import sentences
from tasks.caption.claim_phrases import BPM, keys, pitch_class
from tasks.caption.claims import SURE, Verdict, check, claims, is_reading, sure_keys
from tasks.caption.draft import GLOBAL
from tasks.caption.validation.case import shown
from tasks.caption.validation.phrases import PHRASES, foreign

ABSENT = {"percussion": 0.15, "bass": 0.08}
"""Below these shares the words of ``bands`` are "no marked percussion" and "almost no bass"."""
TIME_TOLERANCE_S = 1.0
FUNCTIONS = ("pre-chorus", "post-chorus", "chorus", "verse", "refrain", "bridge")

_THINGS = (
    r"(?P<{0}>vocals?|singing|singers?|voices?|lyrics|drums?|drum kit|percussion|bass|guitars?|pianos?|strings|synths?"
    r"|synthesi[sz]ers?|brass|keyboards?|instruments?|melody|harmony|choir|solos?|beat)"
)
_NEGATIVE = re.compile(
    r"\b(?:no(?! (?:longer|less|more|one|doubt|matter))|without(?: any)?|lacks?|lacking|devoid of|absence of|free of"
    rf"|not any)(?: (?:any|an?|the))?(?: [\w-]+){{0,2}}? {_THINGS.format('lacked')}\b"
    rf"|\b{_THINGS.format('gone')} (?:is|are|remains?) (?:still |entirely |completely |notably )?"
    r"(?:absent|missing|not (?:present|heard|used|there|audible))\b",
    re.I,
)
_DOUBLED = re.compile(r"\b(?:no|not|never|none|nothing|hardly|rarely)\b", re.I)
_SPAN = re.compile(
    r"\b(?:for|over|lasts?|lasting|takes?|spans?|spanning) (?:about |around |roughly |some |nearly )?"
    r"(\d+(?:\.\d+)?)[ -](second|minute)s?\b",
    re.I,
)
_EFFECTS = r"(?:vibrato|flanger|reverb|tremolo|delay|phaser|echo|distortion|compression)"
_NO_PARTS = {
    # An effect, or a crowd of voices.
    "chorus": re.compile(
        r"\bchorus(?:es)?(?:[ -](?:effects?|pedals?|laden|of\b|guitars?|ensemble|applied)|-(?:drenched|soaked|tinged"
        r"|treated|heavy|rich)|,? on (?:the|its|an?) (?:[\w-]+ )?(?:guitars?|bass|keys|piano|rhodes|synths?|voice)"
        rf"|(?:[ /,]| and )+{_EFFECTS})|\beffects of chorus\b"
        r"|\b(?:male|female|mixed|gospel|operatic|children's|men's|women's) chorus(?:es)?\b"
        rf"|\b{_EFFECTS}(?:,| and|,? or) (?:a )?(?:\w+ )?chorus\b",
        re.I,
    ),
    # Of a guitar or a fiddle; a thing that connects; a verb.
    "bridge": re.compile(
        r"\bbridge (?:pickups?|between)\b|\b(?:at|near|close to|towards?) the bridge of\b"
        r"|\bbridges (?:the|an?|its|their|these|those|both|two|into|from|between|one|over|them|it|that)\b"
        r"|\b(?:to|that|which|who|they|and|chords|fills|notes) bridge (?:the|an?|both|these|those|two|into|between)\b",
        re.I,
    ),
    "refrain": re.compile(r"\brefrains?(?: \w+ly)? from\b", re.I),
}
"""By the name of a form part, where its word means something else."""
# "chorus" is not to be found inside "pre-chorus".
_FUNCTION_NAMES = {name: re.compile(rf"(?<![\w-]){name}(?:s|es)?\b", re.I) for name in FUNCTIONS}


def _form_parts(name: str, sentence: str) -> list[re.Match[str]]:
    """Where a sentence names a form part, and means one."""
    others = [match.span() for match in _NO_PARTS[name].finditer(sentence)] if name in _NO_PARTS else []
    found = _FUNCTION_NAMES[name].finditer(sentence)
    return [m for m in found if not any(start <= m.start() and m.end() <= end for start, end in others)]


_NUMBERED = re.compile(r"\bsection (?:no\. ?|number )?(\d{1,3})\b(?![.:]\d)", re.I)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sentence stands."""

    index: int
    """Of the section in the caption, or ``GLOBAL``."""
    start_s: float
    end_s: float
    anchored: bool
    structure: Structure

    @property
    def analysed(self) -> int | None:
        """Index of the analysis' section that the sentence is about, if it is about one."""
        return self.index if self.anchored and 0 <= self.index < len(self.structure.sections) else None


Finding = tuple[str, str]
"""Value and bound."""


def _phrase(kind: str) -> Callable[[str, Place], Finding | None]:
    def find(sentence: str, place: Place) -> Finding | None:
        match = PHRASES[kind].search(sentence)
        return (shown(match.group()), f"no {kind.replace('_', ' ')}") if match else None

    return find


def _foreign(sentence: str, place: Place) -> Finding | None:
    found = foreign(sentence)
    return (shown(found), "English text") if found else None


def _time_range(sentence: str, place: Place) -> Finding | None:
    """A length that the section, or the track, does not have."""
    for match in _SPAN.finditer(sentence):
        seconds = float(match[1]) * (60 if match[2].lower() == "minute" else 1)
        if seconds > place.end_s - place.start_s + TIME_TOLERANCE_S:
            return shown(match.group()), f"at most the {place.end_s - place.start_s:.1f} s there are"
    return None


def _bpm(sentence: str, place: Place) -> Finding | None:
    for match in BPM.finditer(sentence):
        if not is_reading(float(match[1]), place.structure):
            readings = (place.structure.tempo_bpm, *place.structure.tempo_alternatives)
            return shown(match.group()), f"within 8 % of one of {[round(bpm, 1) for bpm in readings]}"
    return None


def _key(sentence: str, place: Place) -> Finding | None:
    """A key that is named must be sure: unlike other claims, it is nothing that a listener would just hear."""
    named = keys(sentence)
    known = sure_keys(place.analysed, place.structure)
    if named and not known:
        return shown(named[0]), f"no key at confidence {place.structure.key_confidence:.2f} < {SURE}"
    for key in named:
        if pitch_class(key) not in map(pitch_class, known):
            return shown(key), f"{' or '.join(known)}, as analysed"
    return None


def _contradiction(sentence: str, place: Place) -> Finding | None:
    for claim in claims(sentence):
        if claim.kind in ("bpm", "key"):  # rules of their own
            continue
        if check(claim, place.analysed, place.structure) is Verdict.CONTRADICTED:
            return shown(claim.words), f"what was measured, not {claim.kind}"
    return None


def _negative(sentence: str, place: Place) -> Finding | None:
    """That something is missing can be said of what was measured only."""
    for match in _NEGATIVE.finditer(sentence):
        if match.group().lower().startswith("without") and _DOUBLED.search(sentence[: match.start()]):
            continue
        thing = (match["lacked"] or match["gone"]).lower()
        family = "bass" if thing == "bass" else "percussion" if thing.startswith(("drum", "perc")) else None
        if family is None or _share(family, place) >= ABSENT[family]:
            return shown(match.group()), "no negative that the analysis does not support"
    return None


def _share(family: str, place: Place) -> float:
    """Mean over the time that is spoken of; 1 where nothing is analysed there."""
    shared = [
        (max(0.0, min(s.end_s, place.end_s) - max(s.start_s, place.start_s)), float(getattr(s, family)))
        for s in place.structure.sections
    ]
    weight = sum(seconds for seconds, _ in shared)
    return sum(seconds * share for seconds, share in shared) / weight if weight > 0 else 1.0


def _function_name(sentence: str, place: Place) -> Finding | None:
    """A form part may be named only if the analysis has it as a label."""
    if not place.anchored:
        return None
    labels = {section.label for section in place.structure.sections}
    for name in FUNCTIONS:
        if name not in labels and (found := _form_parts(name, sentence)):
            return shown(found[0].group()), f"one of the analysed labels {sorted(labels)}"
    return None


def renamed(sentence: str, place: Place) -> str:
    """The sentence with ``section`` for every form part that the analysis does not have."""
    labels = {section.label for section in place.structure.sections}
    for name in FUNCTIONS:
        for match in reversed(_form_parts(name, sentence)) if place.anchored and name not in labels else ():
            sentence = sentence[: match.start()] + _section_for(match) + sentence[match.end() :]
    sentence = re.sub(r"\b(s)ections?(?:(?: or | ?/ ?| )section(s)?)+\b", r"\1ection\2", sentence, flags=re.I)
    return re.sub(r"\b(section)s?(?:(?:,| and|, and) sections?)+\b", r"\1s", sentence, flags=re.I)


def _section_number(sentence: str, place: Place) -> Finding | None:
    match = _NUMBERED.search(sentence)
    return (shown(match.group()), "no number of a section: nobody who reads has the list") if match else None


def unnumbered(sentence: str, place: Place) -> str | None:
    """The sentence with each section that it numbers called by its place; None in the paragraph on the whole."""
    if place.analysed is None:
        return None
    here = place.analysed + 1

    def placed(match: re.Match[str]) -> str:
        number = int(match[1])
        name = "this section" if number == here else f"{'an earlier' if number < here else 'a later'} section"
        return name.capitalize() if match.group()[0].isupper() and match.start() == 0 else name

    return _NUMBERED.sub(placed, sentence)


def _section_for(match: re.Match[str]) -> str:
    is_plural = match.group().lower().endswith("s") and not match.group().lower().endswith("chorus")
    word = "sections" if is_plural else "section"
    return word.capitalize() if match.group()[0].isupper() else word


SENTENCE_RULES: dict[str, Callable[[str, Place], Finding | None]] = {
    "not_text": _foreign,
    **{kind: _phrase(kind) for kind in PHRASES},
    "time_range": _time_range,
    "bpm": _bpm,
    "key": _key,
    "negative": _negative,
    "contradiction": _contradiction,
    "function_name": _function_name,
    "section_number": _section_number,
}
"""In the order in which mending applies them."""


def vocal_conflicts(parts: dict[int, str], attributes: Attributes) -> list[tuple[int | None, str]]:
    """Where a caption has it both ways: sung and instrumental.

    Returns:
        Index of the part and its sentence that says "instrumental" against the rest; index None and
        an empty sentence for ``attributes.vocals`` that says "none".
    """
    said = {
        index: [(s, {c.kind for c in claims(s)} & {"vocals", "instrumental"}) for s in sentences(text)]
        for index, text in parts.items()
    }
    sung = {index for index, found in said.items() if any("vocals" in kinds for _, kinds in found)}
    conflicts: list[tuple[int | None, str]] = [(None, "")] if sung and attributes.vocals == "none" else []
    for index, found in said.items():
        against = sung if index == GLOBAL else sung & {index}
        if against or (index == GLOBAL and attributes.vocals in ("female", "male", "mixed", "choir")):
            conflicts += [(index, s) for s, kinds in found if "instrumental" in kinds]
    return conflicts
