"""From what a model typed to running text: characters, Markdown, loops, ends of sentences. No rule on content."""

from __future__ import annotations

import re
import unicodedata

from data_specs.scope import sentences
from tasks.caption.validation.phrases import is_text

MAX_CHARACTERS = 4000
"""Of one part. A description takes 300; this bounds the work on what never ends."""
MAX_PERIOD = 40
"""Words of the longest loop that is looked for; longer ones are sentences said twice."""

_SAME = str.maketrans(
    {"‘": "'", "’": "'", "‚": "'", "′": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "…": "...", "\t": " "}
)
_BULLET = re.compile(r"\s*(?:(?:[-*•+>–—·▪]|#{1,6}|\(?\d{1,2}[.)])\s+)+")
_LINK = re.compile(r"!?\[([^\[\]]{0,200})\]\([^()\s]{0,300}\)")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,60}>")
_EMPHASIS = re.compile(r"\*+|`+|~~+|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)|[\[\]{}|\\^]|^#{1,6}\s+|\\n|<[|]?|[|]?>")
_ENDS = re.compile(r"[.!?][\"')]?$")
_ABOUT = re.compile(r"[~≈] ?(?=\d)")
_SPACE = re.compile(r"[^\S\n]+")
_DANGLING = re.compile(
    r"(?:[,:;(/&-]|\b(?:the|a|an|and|or|but|of|with|to|in|on|at|by|for|from|as|into|that|which|while|its|their|is|are))$",
    re.I,
)


def normalised(text: str) -> str:
    """Unicode NFC, straight quotes, single spaces; nothing that is no text. Line breaks stay."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode("utf-8"))
    text = text.translate(_SAME).replace("\r\n", "\n").replace("\r", "\n")
    text = _ABOUT.sub("about ", text)
    kept = "".join(c for c in text if is_text(c))
    # Long dashes stay: they are punctuation. Other spaces, such as no-break ones, become one.
    lines = (_SPACE.sub(" ", line).strip() for line in kept.split("\n"))
    return "\n".join(line for line in lines if line)


def plain(text: str) -> str:
    """Without Markdown, on one line: each item of a list becomes a sentence, a heading over a list goes."""
    lines = [line for line in text.split("\n") if line.strip()]
    items = [bool(_BULLET.match(line)) for line in lines]
    if len(lines) > 1 and not items[0] and items[1] and not _ENDS.search(lines[0].rstrip(" *_:")):
        lines, items = lines[1:], items[1:]
    parts: list[str] = []
    for number, line in enumerate(lines):
        line = _BULLET.sub("", line, count=1) if items[number] else line
        line = _EMPHASIS.sub("", _TAG.sub("", _LINK.sub(r"\1", line))).strip()
        if not line:
            continue
        last = number + 1 == len(lines)
        ends = not last and (items[number] or items[number + 1] or lines[number + 1].lstrip()[:1].isupper())
        parts.append(sentence_case(line) if items[number] or ends else line)
    joined = " ".join(parts)
    if joined.startswith('"') and joined.endswith('"') and joined.count('"') == 2:
        joined = joined[1:-1]
    return " ".join(joined.split())


def sentence_case(line: str) -> str:
    """A capital and a full stop."""
    line = line.strip().rstrip(",;:-–— ")
    return line[:1].upper() + line[1:] + ("" if not line or _ENDS.search(line) else ".")


def unlooped(text: str) -> str:
    """Each run of repetitions once: ``the drums the drums the drums the`` becomes ``the drums``.

    One word counts from its fourth time on, several from their third: people do say ``very, very``.
    """
    tokens = text.split()
    keys = [token.strip(".,;:!?\"'").lower() for token in tokens]
    for period in range(1, min(MAX_PERIOD, len(tokens) // 2) + 1):
        tokens, keys = _without_runs(tokens, keys, period)
    return " ".join(tokens)


def _without_runs(tokens: list[str], keys: list[str], period: int) -> tuple[list[str], list[str]]:
    least = 3 if period == 1 else 2 * period
    drop = [False] * len(tokens)
    start = period
    while start < len(tokens):
        end = start
        while end < len(tokens) and keys[end] == keys[end - period]:
            end += 1
        if end - start >= least:
            drop[start:end] = [True] * (end - start)
        start = max(end, start) + 1
    kept = [i for i, dropped in enumerate(drop) if not dropped]
    return [tokens[i] for i in kept], [keys[i] for i in kept]


def shortened(text: str) -> str:
    """The sentences that fit into ``MAX_CHARACTERS``; words where not even one does."""
    if len(text) <= MAX_CHARACTERS:
        return text
    head = text[: MAX_CHARACTERS + 1]
    whole = [end for end in (head.rfind(mark) for mark in (". ", "! ", "? ")) if end > 0]
    return head[: max(whole) + 1] if whole else head.rpartition(" ")[0]


def finished(text: str) -> str:
    """Ending in a full stop; a last sentence that breaks off goes, unless it is the only one."""
    parts = sentences(text)
    while len(parts) > 1 and not _ENDS.search(parts[-1]) and _DANGLING.search(parts[-1].rstrip("\"' ")):
        parts.pop()
    text = " ".join(parts)
    while len(parts) == 1 and _DANGLING.search(text):
        text = _DANGLING.sub("", text).rstrip()
    return sentence_case(text) if text else ""
