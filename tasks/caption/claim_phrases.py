"""The words in which ``claims`` finds a claim: English as people, models and our own phrase tables write it."""

from __future__ import annotations

import re

_I = re.IGNORECASE

SPLIT = re.compile(
    r"([;:,.!?()–—]|\b(?:and|but|while|whereas|although|though|yet|before|until|till|after|when|once|as|where|which"
    r"|so that|then)\b)",
    _I,
)
"""Marks and conjunctions between clauses; the group keeps them."""
SUSPENDS = re.compile(r"before|until|till|after|once", _I)
"""What follows these is another moment than the section's own."""
DOUBTS = re.compile(
    r"\b(?:no|not|never|nor|neither|without|\w+n't|cannot|hardly|barely|scarcely|less like|rather than|instead of"
    r"|as if|as though|might|may|could|would|perhaps|maybe|possibly|probably|seems?|seemingly|appears? to|almost"
    r"|threatens?|about to|hints?|suggest\w*|as likely|unclear|uncertain|either|if)\b",
    _I,
)
"""Negations and hedges: they take back what they stand beside."""
WITHIN = re.compile(
    r"\b(?:gradual\w*|slowly|steadily|progressive\w*|increasingly|over time|over the course|throughout|little by little"
    r"|toward\w*|by the end|at the end|near the end|at times|sometimes|occasional\w*|briefly|momentar\w*"
    r"|for (?:a|one|two|half a|a few) (?:moments?|bars?|beats?|seconds?|measures?|breath)"
    r"|halfway|midway|mid-section|later|eventually|at first|initially|in places|more and more|ever)\b",
    _I,
)
"""Moves inside a section, which were not measured."""

RETURNS = re.compile(r"\b(?:and|before|then|but)(?: \w+)? (?:return(?:s|ing)?|com(?:es?|ing) back|re-?enter\w*)\b", _I)
"""What drops out and returns is gone for less than the section."""

COMPARED = {
    "first": re.compile(
        r"\b(?:its|the) first (?:time|hearing|appearance|statement)\b|\bthan (?:when|where) it (?:was )?first\b", _I
    ),
    "opening": re.compile(r"\bthan (?:in |at )?the (?:opening|intro(?:duction)?|beginning|start|first section)\b", _I),
    "mean": re.compile(
        r"\b(?:average|mean|overall (?:one|rate|figure)|than the (?:track|piece|song|music|rest)\b|as a whole)\b", _I
    ),
    "before": re.compile(r"\bthan (?:before|the (?:previous|preceding|last) (?:section|part|one))\b", _I),
}

_HOW = (
    r"(?:(?:much|slightly|a (?:bit|little|touch)|noticeably|considerably|significantly|even|far|somewhat|clearly"
    r"|markedly|suddenly|now|then|also|again|here|overall|immediately|at once|distinctly|about|some"
    r"|\d+(?:\.\d+)? dB) )*"
)
_IS = r"(?:is|are|grows?|growing|gets?|getting|becomes?|becoming|turns?|turning|plays?|comes? out|sounds?|feels?|goes)"
_THE = r"(?:(?:the|this|its|overall|whole|entire) )*"
_ALL = r"(?:music|sound|track|song|piece|section|it|mix|everything|arrangement)"
_WORDS = {
    "level_up": r"louder",
    "level_down": r"softer|quieter",
    "density_up": r"denser|busier|thicker",
    "density_down": r"sparser|thinner",
    "brightness_up": r"brighter",
    "brightness_down": r"darker",
}
ELLIPSIS = re.compile(
    rf"{_HOW}(?:" + "|".join(rf"(?P<{kind}>{words})" for kind, words in _WORDS.items()) + r")(?: than .*)?", _I
)
"""A clause of nothing but a comparative: ``busier`` in ``it is louder, busier and darker``."""


def _compares(subjects: str, kind: str) -> str:
    return rf"\b{_THE}(?:{subjects}) {_HOW}{_IS} {_HOW}(?:{_WORDS[kind]})\b"


_LEVEL = r"(?:level|volume|loudness|dynamics?|dynamic level)"
_UP = r"(?:rises?|climbs?|increases?|grows?|steps? up|goes up|jumps?|lifts?)"
_DOWN = r"(?:falls?|sinks?|decreases?|drops?|recedes?|steps? down|goes down|dips?)(?! (?:out|away))"
_DRUMS = (
    r"(?:(?:the|a|an|full|steady|light|heavy|live|programmed|electronic|acoustic|simple|driving|its) )*"
    r"(?:drums?|drum ?kit|drum set|drum beat|drum machine|drumbeat|percussion|backbeat)"
)
_BASS = (
    r"(?:(?:the|a|an|deep|heavy|synth|electric|double|upright) )*"
    r"(?:bass ?line|bass guitar|bass(?! (?:drums?|clarinet|drop\b|voice|singer|notes?|vocals?))|low end)"
)
_ENTERS = (
    r"(?:enters?|comes? (?:back )?in|joins?(?: in)?|kicks? (?:back )?in|sets? in|(?:is|are) (?:introduced|added)"
    r"|arrives?|returns?|makes? (?:its|their) entrance)\b"
)
_LEAVES = (
    r"(?:drops? (?:out|away)|falls? (?:away|silent)|stops?|ceases?|disappears?|vanish(?:es)?|leaves?|goes(?= ?$)"
    r"|fades? (?:out|away)|(?:is|are) (?:removed|gone)|cuts? out|exits?)\b"
)
_BRINGS = r"(?:introduc(?:es|ing)|adds|adding|brings? in|bringing in|(?:addition|entry|entrance|introduction) of)"

_MARKED = r"(?:prominent|marked|pronounced)"

CHANGES = {
    kind: re.compile("|".join(patterns), _I)
    for kind, patterns in {
        "level_up": (
            _compares(f"{_ALL}|{_LEVEL}", "level_up"),
            rf"\b{_THE}{_LEVEL} {_HOW}{_UP}",
            rf"\b{_THE}(?:music|sound) {_HOW}swells\b",
            r"\bgain of \d+ dB\b",
        ),
        "level_down": (
            _compares(f"{_ALL}|{_LEVEL}", "level_down"),
            rf"\b{_THE}{_LEVEL} {_HOW}{_DOWN}",
            rf"\b{_THE}(?:music|sound) {_HOW}recedes\b",
            r"\bloss of \d+ dB\b",
        ),
        "density_up": (
            _compares("texture|arrangement|instrumentation|music|section|it", "density_up"),
            rf"\b{_THE}texture {_HOW}thickens\b",
            r"\bnote rate climbs\b|\bonsets crowd closer\b|\bnotes follow each other faster\b|\bmore notes fill\b",
        ),
        "density_down": (
            _compares("texture|arrangement|instrumentation|music|section|it", "density_down"),
            rf"\b{_THE}(?:texture|arrangement) {_HOW}thins(?: out)?\b",
            r"\bnote rate (?:drops|falls|sinks)\b|\bnotes follow each other (?:more slowly|slower)\b"
            r"|\bfewer notes fill\b|\bonsets (?:spread|thin) out\b",
        ),
        "brightness_up": (
            _compares("tone|timbre|colou?r|sound|spectrum|sonority", "brightness_up"),
            rf"\b{_THE}(?:tone|timbre|colou?r) {_HOW}brightens\b",
            r"\bhigh frequencies come forward\b|\bspectrum tilts upward\b",
        ),
        "brightness_down": (
            _compares("tone|timbre|colou?r|sound|spectrum|sonority", "brightness_down"),
            rf"\b{_THE}(?:tone|timbre|colou?r) {_HOW}darkens\b",
            r"\bhigh frequencies recede\b|\bspectrum tilts downward\b",
        ),
        "percussion_in": (rf"\b{_DRUMS} {_HOW}{_ENTERS}", rf"\b{_BRINGS} {_DRUMS}\b", r"\bnow with percussion\b"),
        "percussion_out": (rf"\b{_DRUMS} {_HOW}{_LEAVES}",),
        "percussion_up": (
            rf"\b{_DRUMS} {_HOW}(?:marks more|falls? on more|fills? out|becomes? more {_MARKED})\b",
            r"\bmore marked by percussion\b",
        ),
        "percussion_down": (
            rf"\b{_DRUMS} {_HOW}(?:marks fewer|falls? on fewer|lightens?|becomes? less {_MARKED})\b",
            r"\bless marked by percussion\b",
        ),
        "bass_in": (rf"\b{_BASS} {_HOW}{_ENTERS}", rf"\b{_BRINGS} {_BASS}\b", r"\blow end fills in\b"),
        "bass_out": (rf"\b{_BASS} {_HOW}{_LEAVES}", r"\blow end empties\b"),
        "bass_up": (
            rf"\b{_BASS} (?:grows? heavier|gains? weight|takes? a larger share)\b",
            r"\b(?:fuller|heavier) in the bass\b",
        ),
        "bass_down": (
            rf"\b{_BASS} (?:grows? lighter|loses? weight|takes? a smaller share)\b",
            r"\b(?:thinner|lighter) in the bass\b",
        ),
    }.items()
}

_PULSE = r"\b(?:tempo|pace|pulse)"
TEMPO_CHANGES = {
    "pulse_up": re.compile(
        rf"{_PULSE} {_HOW}(?:increases?|picks? up|quickens?|speeds? up|accelerates?|becomes? faster|gets faster)\b", _I
    ),
    "pulse_down": re.compile(rf"{_PULSE} {_HOW}(?:decreases?|slows?(?: down)?|becomes? slower|gets slower)\b", _I),
}

BPM = re.compile(r"\b(\d{2,3}(?:\.\d{1,3})?) ?(?:BPM|beats per minute)\b", _I)
_TEMPO_NOUN = r"(?:tempo|pace|pulse)"
_BETWEEN = r"(?! to\b|-\w| and )"
TEMPO_WORDS = {
    word: re.compile(rf"(?<![\w-])(?<!very )(?<!to ){adjective} {_TEMPO_NOUN}\b|\btempo is {adjective}\b{_BETWEEN}", _I)
    for word, adjective in {
        "slow": "slow",
        "moderate": "(?:moderate|medium|mid)",
        "fast": "(?:fast|quick|rapid)",
        "very slow": "very slow",
        "very fast": "very fast",
    }.items()
}

KEY = re.compile(
    r"\b([A-G])( ?[#♯b♭]|[ -](?:sharp|flat))?[ -](major|minor)\b"
    # "A major change" names no key
    r"(?!(?<=\bA major|\bA minor) (?!chord|key|scale|triad|tonality|mode|and|or|with|at|in|for|throughout|while|is|to"
    r"|tonal|harmony|loop|pentatonic|blues|progression|on|before|but|then|as|against|from|over)\w)"
)
_CHORD_NAMES = rf"{KEY.pattern}(?:(?:,|,? and|,? or|,? then| to|-) {KEY.pattern})*"
_CHORDS = re.compile(
    rf"\b[Cc]hords?(?: of| are|:| like| such as)? {_CHORD_NAMES}"
    rf"|{_CHORD_NAMES}[ -](?:(?:seventh|7th|ninth|6th|bar|power) )?(?:chords?|triads?|arpeggios?)\b"
)
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def keys(sentence: str) -> list[str]:
    """Keys that a sentence names: ``A minor``, but not the chords of ``A minor and F major chords``."""
    chords = [match.span() for match in _CHORDS.finditer(sentence)]
    return [
        match.group()
        for match in KEY.finditer(sentence)
        if not any(start <= match.start() and match.end() <= end for start, end in chords)
    ]


def pitch_class(key: str) -> tuple[int, str] | None:
    """Pitch class and mode of a key's name, so that C# minor equals Db minor; None for another text."""
    match = KEY.fullmatch(key)
    if match is None:
        return None
    accidental = (match[2] or "").strip(" -")
    shift = 1 if accidental in ("#", "♯", "sharp") else -1 if accidental else 0
    return (_SEMITONES[match[1]] + shift) % 12, match[3]


METERS = {
    beats: re.compile(rf"\b{signature}\b|\b{word} beats (?:each|to the bar)|\bcounted in {word}\b{more}", _I)
    for beats, signature, word, more in (
        ("3", "3/[48]", "three", r"|\bas three beats\b|\bwaltz time\b|\btriple met(?:er|re)\b"),
        ("4", "4/4", "four", r"|\bas four beats\b|\bcommon time\b|\bquadruple met(?:er|re)\b"),
        ("6", "6/8", "six", r"|\bas six beats\b"),
        ("5", "5/[48]", "five", r"|\bas five beats\b"),
        ("7", "7/[48]", "seven", r"|\bas seven beats\b"),
    )
}


def fractions_of(beats: int) -> tuple[int, ...]:
    """What an analyser may count where a person counts ``beats``: six quavers are also two beats, or three."""
    return {4: (4, 2, 8), 6: (6, 3, 2), 3: (3, 6)}.get(beats, (beats,))


_MUSIC = (
    r"(?:(?:opening|earlier|familiar|original|first) (?:material|music|section|part|ground|idea)|chorus|verse|refrain"
    r"|section (?P<letter>[A-Z])\b)"
)
FORMS = {
    "returns": re.compile(
        rf"\b{_MUSIC},?(?: [\w\s-]{{0,30}},)? (?:returns|comes back|is back|recurs|reappears)\b"
        r"|\breturns? (?:to|with) (?:the )?(?:section [A-Z]|chorus|verse|refrain"
        r"|(?:opening|earlier|original|first) (?:section|part|material))\b|\bfamiliar ground returns\b",
        _I,
    ),
    "new": re.compile(
        r"\bnew (?:material|music|section|idea) (?:enters|arrives|begins|is introduced|follows)\b|\bsomething new\b", _I
    ),
    "as_opening": re.compile(
        r"\bthe same (?:(?:music|material) )?(?:as|of) the (?:opening|intro|first section)\b"
        r"|\b(?:repeats|mirrors|reprises) the (?:opening|intro|first) (?:section|music|material)\b",
        _I,
    ),
    "letter": re.compile(
        r"\b[Ss]ection (?P<letter>[A-Z]) (?:returns|opens|closes|arrives|begins|repeats|sets|leads)\b"
    ),
}

VOICES = {
    "instrumental": re.compile(
        r"\b(?:purely|entirely|completely|fully|wholly|strictly|all|totally)[- ]instrumental\b"
        r"|\b(?:is|are|remains?|being) (?:an )?instrumental\b(?! (?:in part|at first))"
        r"|\binstrumental (?:track|piece|song|composition)\b",
        _I,
    ),
    "vocals": re.compile(
        r"\b(?:(?:male|female|lead|backing|layered|raspy|soft|emotional) )*(?:vocals?|vocalists?|singers?|rappers?)"
        r" (?:\w+ly )?(?:is|are|sings?|enters?|joins?|soars?|delivers?|carr(?:y|ies)|continues?|returns?|leads?)\b"
        r"|\b(?:he|she|they|voices?|choir|man|woman|vocalists?|singers?|vocals?) (?:\w+ly )?(?:is |are )?"
        r"(?:sings?|raps?|singing|rapping)\b"
        r"|\b(?:features?|featuring|with|has) "
        r"(?:(?:an?|the|male|female|soft|lead|layered|emotional|soulful|passionate) )*"
        r"(?:vocals?|vocalists?|singers?|singing)\b",
        _I,
    ),
}
