"""Words that have no place in a caption, whatever the music: what models and raters write instead of listening.

The patterns were read against the 21,600 sentences of MusicCaps (Agostinelli et al., "MusicLM", 2023): people who
describe music in good faith set off none but ``recording_quality`` and ``usage_speculation`` in more than 1 % of them.
"""

from __future__ import annotations

import re
import unicodedata

_I = re.IGNORECASE

MAX_FOREIGN_SHARE = 0.1
"""Of a sentence's letters that are not Latin: a name like 尺八 may pass, a sentence may not."""

_ANSWER = (
    r"(?:descriptions?|captions?|analys[ie]s|breakdown|summary|overview|answer|response|results?|output|json|object)"
)
_SCENE = (
    r"(?:films?|movies?|scenes?|videos?|shows?|games?|commercials?|part(?:y|ies)|dinner|evening|night|day|ceremony)"
)

PHRASES: dict[str, re.Pattern[str]] = {
    "refusal": re.compile(
        r"\bas an? (?:\w+ )?(?:ai|language model|text-based)\b|\bi(?:'m| am) (?:sorry|unable|not able|an ai)\b"
        r"|\bi (?:can(?:'t|not| not)|do(?:n't| not)|am not|was not|wasn't|could(?:n't| not)) "
        r"(?:listen|hear|have|access|process|analy[sz]e|provide|determine|see|play|identify)\b"
        r"|\bunable to (?:listen|hear|process|analy[sz]e|provide|access)\b|\bi apologi[sz]e\b"
        r"|\b(?:cannot|can't) (?:listen|provide|comply|fulfil|assist|access)\w*\b"
        r"|\bno audio (?:was |is |file |has been )*(?:provided|attached|given|available)\b"
        r"|\bplease (?:provide|upload|share|note)\b",
        _I,
    ),
    "preamble": re.compile(
        r"^\W*(?:sure|certainly|of course|ok(?:ay)?|absolutely|great|alright)[,!.:]"
        rf"|\b(?:here(?: is|'s| are)|below (?:is|are)) (?:(?:your|my)\b|(?:an?|the) (?:[\w-]+ ){{0,3}}?{_ANSWER}\b)"
        rf"|\b{_ANSWER} below\b"
        r"|\bin (?:this|my) (?:response|answer)\b|\blet me know\b|\bhope this helps\b|\bfeel free\b|\bas requested\b"
        r"|\b(?:i|we)(?:'ll| will|'d| would| can)? (?:think|believe|describe|listened|listen|analy[sz]e"
        r"|have (?:written|described|analy[sz]ed|listened))\b|\bi(?:'ll| will|'d| would| can)? (?:hear|notice)\b"
        r"|\blet(?:'s| us| me)\b",
        _I,
    ),
    "prompt_echo": re.compile(
        r"\b(?:analysis|description|caption|answer|text|response) (?:below |above )?"
        r"(?:summari[sz]es|provides|describes|covers|includes|contains)\b|\bprovides a (?:detailed )?analysis\b"
        r"|\btime ?(?:boundaries|stamps?)\b|\bfunctional (?:music )?segments?\b|\bsection table\b"
        r"|\baccording to (?:the|these|your) (?:facts|table|analysis|measurements?|list|notes|data|prompt)\b"
        r"|\b(?:provided|given|listed|above|following|measured) (?:facts|times|boundaries|measurements|structure"
        r"|instructions?)\b|\b(?:provided|listed) (?:sections|notes)\b"
        r"|\bthe (?:prompt|notes|measurements) (?:say|state|show|indicate|mention|give)s?\b"
        r"|\b\d+ words\b|\bstart:? \d[\d.]*,? end:? \d|\bmusic [A-Z]′*;"
        r"|\bnotes: none\b|\bword (?:limit|count)\b|\bjson\b|\bthe audio (?:clip|file)\b",
        _I,
    ),
    "debris": re.compile(
        r"[{}\[\]`*<>|\\~^]|\"\w+\" ?:|(?:^|\s)#{1,6}(?: |$)|^\s*[-•+>] |\b[a-z]+_[a-z_]+\b|https?:|www\.|&\w+;"
        r"|\b(?:null|NaN)\b|_{2,}|={2,}|-{3,}|\.{4,}|^\W*$",
    ),
    "recording_quality": re.compile(
        r"\b(?:low|poor|bad|high|good|amateur|inferior|excellent|mediocre)[ -](?:audio |sound |recording )?"
        r"(?:quality|fidelity)\b|\b(?:audio|recording|sound|production) (?:quality|fidelity)\b"
        r"|\bquality (?:of the )?(?:audio|recording)\b|\bamateur(?:ish)? recording|\bbackground noise\b"
        r"|(?<!panned )(?<!kept )(?<!summed )(?<!played )(?<!sits )(?<!stays )\bin mono\b"
        r"|\bmono (?:recording|sound|audio)\b|\bpoorly recorded\b"
        r"|\b(?:noisy|poor|bad|old|dated|muffled|live) recording\b"
        r"|\brecording (?:is|sounds|has|seems) (?:\w+ )?(?:noisy|poor|low|bad|dated|old|muffled)\b"
        r"|\b(?:audio|microphone) (?:hiss|hum|artefacts|artifacts|crackle)\b",
        _I,
    ),
    "usage_speculation": re.compile(
        r"\b(?:could|may|might|would) (?:also |easily |well |probably )?be (?:playing|suitable|perfect|ideal|fitting"
        r"|good|great|(?:used|featured) (?:in|at|on|for|as|to|during|while|over|when)\b"
        r"|played (?:for|as|at|during|while)\b|heard (?:in|at|on|as) an?\b|heard (?:in|on) your\b)"
        r"|\b(?:song|piece|music|track|tune|audio|sound|it|this) (?:could|may|might|would) (?:\w+ )?be"
        r" (?:played|heard)\b"
        r"|\bcan be (?:played|used|playing|utilised|utilized|featured) (?:in|at|for|as|on|during)\b"
        r"|\b(?:suitable|perfect|ideal|appropriate) (?:for|as|to be)\b|\bwell[- ]suited (?:for|to|as)\b"
        r"|\byou (?:would|might|could|may|'d) (?:hear|expect|find|listen|imagine|play)\b"
        r"|\byou can (?:expect|find|listen|imagine|play)\b"
        r"|\b(?:background music|soundtrack|score) (?:for|to|of|in) (?:an?|the|any|your)\b"
        rf"|\bbackdrop (?:for|to|of|in) (?:any|your|an? (?:[\w-]+ )?{_SCENE})\b",
        _I,
    ),
    "lyrics": re.compile(
        r"\blyrics\b|\b(?:sing|rap)(?:s|ing)? about\b|\bsung words\b|\bthe words (?:say|are about|tell|speak)\b"
        r"|(?<![^\s(])\"(?!(?:4|four)[ -](?:on|to)|call[ -](?:and|response)|wall of)"
        r"[^\"]*\w[^\"\w]*\s[^\"\w]*\w[^\"]*\""
        r"|(?:^|[\s(])'[A-Za-z][^']{6,}[ ,][^']*'(?=[\s.,;:!?)]|$)",
        _I,
    ),
    "named_work": re.compile(
        r"\b(?:titled|entitled)\b|\b(?:song|track|piece|album|hit|single|tune) (?:is )?called\b"
        r"|\b(?:[Pp]erformed|[Ss]ung|[Ww]ritten|[Cc]omposed|[Rr]ecorded|[Rr]eleased|[Pp]roduced) by (?:the )?[A-Z][a-z]"
        r"|\b(?:song|track|album|hit|single|music) by (?:the )?[A-Z][a-z]+"
        r"|\bthe (?:artist|singer|band|composer|rapper|group),? [A-Z][a-z]+"
        r"|\b(?:reminiscent|in the style|in the vein|work|music) of (?:the )?[A-Z][a-z]+ (?:[A-Z]\.? )?[A-Z][a-z]+",
    ),
    "clock": re.compile(
        r"\b\d{1,3}:[0-5]\d(?::[0-5]\d)?(?:\.\d+)?\b"
        r"|\b\d+(?:\.\d+)?[ -]?(?:s|secs?|seconds?|minutes?|min)(?: mark)? (?:in(?! length)|into|mark)\b"
        r"|\b(?:at|around|from|after|until|by) (?:the )?(?:\w+[ -])?(?:second|minute)s? mark\b"
        r"|\b(?:at|around|from|between|until) (?:about |around )?\d+(?:\.\d+)? ?(?:s|secs?|seconds|minutes)\b"
        r"(?! long| in length)"
        r"|\b\d+(?:\.\d+)? ?(?:-|–|to) ?\d+(?:\.\d+)? ?(?:s|secs?|seconds)\b"
        r"|\b\d{1,3} ?%? ?(?:-|–|to) ?\d{1,3} ?% (?:of|through|mark)",
        _I,
    ),
}
"""Found in one sentence each; ``clock`` in what a captioner writes, since only renderings add times."""

_ENGLISH = frozenset(
    "the a an and of in with to is it its by on as at from while for that this are but or no not into over under"
    " then than has there through which each more".split()
)
_OTHERS = frozenset(
    "el la los las una unos con que por para del der die das und mit ist ein eine den dem im von zu auf nicht le les"
    " des est une avec pour dans du il che della di uno sono con una em com um uma não och det som med het een van zijn"
    " jest się na oraz".split()
)


def foreign(sentence: str) -> str | None:
    """What shows that a sentence is not English text: a control character, another script, another tongue; or None."""
    if not sentence.isascii():
        if bad := next((c for c in sentence if not is_text(c)), None):
            return f"U+{ord(bad):04X}"
        letters = [c for c in sentence if c.isalpha()]
        others = [c for c in letters if not is_latin(c)]
        if len(others) > MAX_FOREIGN_SHARE * len(letters):
            return "".join(others[:20])
    elif bad := next((c for c in sentence if not is_text(c)), None):
        return f"U+{ord(bad):04X}"
    tokens = [token.strip(".,;:!?()'\"") for token in sentence.lower().split()]
    foreign_words = [token for token in tokens if token in _OTHERS]
    if len(foreign_words) >= 3 and len(foreign_words) > sum(token in _ENGLISH for token in tokens):
        return " ".join(foreign_words[:6])
    return None


def is_text(character: str) -> bool:
    """Whether a character may stand in a text: no control, no private or missing one, no replacement character."""
    if character in "\n\t ":
        return True
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn") and character != "\ufffd"


def is_latin(character: str) -> bool:
    return character.isascii() or unicodedata.name(character, "").startswith(("LATIN", "MODIFIER", "FEMININE", "MASC"))
