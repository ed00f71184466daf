"""What a rule looks at, and what it reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from data_specs.records import AudioFacts, Caption, Structure
from tasks.caption.draft import GLOBAL

Found = Iterator[tuple[str, str]]
"""Value and bound, once per place that breaks a rule."""

_MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: the value that was found and the bound that it breaks."""

    rule: str
    value: str
    bound: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.value}, expected {self.bound}"


@dataclass(frozen=True, slots=True)
class Case:
    """A caption and what it is held against."""

    caption: Caption
    audio: AudioFacts
    structure: Structure
    min_words: int

    def parts(self) -> Iterator[tuple[int, str, str]]:
        """Index, name for messages and text of what the captioner wrote; ``GLOBAL`` for the paragraph on the whole."""
        yield GLOBAL, "global_text", self.caption.global_text
        for index, section in enumerate(self.caption.sections):
            yield index, f"sections[{index}]", section.description

    def renderings(self) -> Iterator[tuple[str, str]]:
        yield "long_text", self.caption.long_text
        yield "clock_free_text", self.caption.clock_free_text
        yield "order_free_text", self.caption.order_free_text


def shown(text: str) -> str:
    """A quotation for a message: short, on one line, without the mark between two violations."""
    text = " ".join(text.split()).replace(";", ",")
    return repr(text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "...")
