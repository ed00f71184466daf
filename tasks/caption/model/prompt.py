"""What a model is asked: the wording of a prompt version, filled with what is surely known of a song.

The measurements are those of the song's analysis, sure ones only, relative and rounded. Nothing that
somebody else wrote enters a prompt: no file name, no title, no artist, no label of the source. The notes
of the model itself do, in the merge of two passes, stripped to one line and marked as material.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from data_specs.records import LABELS, VOCALS, Attributes, AudioFacts, Structure
from data_specs.scope import sentences
from data_specs.settings import SpecError
from tasks.caption.bands import TEMPO
from tasks.caption.facts import gather_facts
from tasks.caption.model.schema import (
    Budget,
    Span,
    answer_tokens,
    bounds,
    own_section_counts,
    own_section_words,
    own_sections_schema,
    spans_schema,
)
from tasks.caption.model.shuffle import shuffled
from tasks.caption.model.told import section_facts, song_facts
from tasks.caption.model.windows import Window
from tasks.caption.wording import clock, listed, words

PROMPTS = Path(__file__).with_name("prompts")
NOTE_WORDS = 24
NOTE_GLOBAL_WORDS = 24
NOTE_CHARACTERS = 600
"""Of the model's own notes that go into the merge, per section."""
MAX_INSTRUCTED = 0.8
"""Share of a sentence's 4-grams that stand in the prompt files, from which it is one of theirs."""
_ANCHORED = ("boundaries", "both", "shuffled")
_WITH_FACTS = ("facts", "both", "shuffled")


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and what its answer must look like."""

    text: str
    schema: dict[str, Any]
    answer_tokens: int
    """Room to leave for the answer."""


@dataclass(frozen=True, slots=True)
class Note:
    """What was noted of a stretch of the song; times in the song."""

    span: Span
    text: str


@functools.cache
def load_prompts(version: str) -> Mapping[str, Template]:
    """The templates of a version, by file name without suffix.

    Raises:
        SpecError: there is no such version.
    """
    folder = PROMPTS / version
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in PROMPTS.iterdir() if path.is_dir()))
        raise SpecError(f"caption.prompt {version!r}: no such version of the prompt files; there are: {known}")
    return {path.stem: Template(path.read_text(encoding="utf-8").strip()) for path in sorted(folder.glob("*.md"))}


def without_instructions(version: str, text: str) -> str:
    """An answer's text less the sentences of the prompt files: a model that is lost repeats its orders."""
    for sentence in [sentence for line in text.split("\n") for sentence in sentences(line)]:
        if _is_instruction(version, sentence):
            text = text.replace(sentence, "")
    return text.strip()


def _is_instruction(version: str, sentence: str) -> bool:
    grams = _grams(sentence)
    return bool(grams) and len(grams & _instructions(version)) >= MAX_INSTRUCTED * len(grams)


@functools.cache
def _instructions(version: str) -> frozenset[tuple[str, ...]]:
    """All 4-grams of the prompt files; what stands in for a field or a number is one word."""
    return frozenset().union(*(_grams(template.template) for template in load_prompts(version).values()))


def _grams(text: str) -> frozenset[tuple[str, ...]]:
    tokens = words(re.sub(r"\$\w+|\d[\d.]*", "0", text))
    return frozenset(zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False))


class PromptWriter:
    """All questions about one song, under one prompt version and one arm of the ablation."""

    def __init__(
        self, version: str, arm: str, audio: AudioFacts, structure: Structure, *, seed: int, min_words: int
    ) -> None:
        self._templates = load_prompts(version)
        self._min_words = min_words
        told = shuffled(structure, seed) if arm == "shuffled" else structure
        self._facts = gather_facts(audio, told) if arm in _WITH_FACTS else None
        self._duration_s = structure.duration_s
        self.anchored = arm in _ANCHORED
        """Whether the model is told the sections, and writes for those."""
        self.spans = tuple(Span(s.start_s, s.end_s, s.label) for s in structure.sections)
        """Of the analysis, whether told or not."""

    @property
    def system(self) -> str:
        return self._templates["system"].substitute()

    def piece(self, spans: Sequence[Span] | None, indices: Sequence[int], wants_global: bool) -> Question:
        """With the whole song as audio.

        Args:
            spans: the sections to write for; None lets the model divide the song itself.
            indices: those of ``spans`` that are asked for.
        """
        given = [self._fill("hear_piece", song=self._song())]
        if spans is None:
            return self._own_sections(given, 0.0, self._duration_s, wants_global)
        given.append(self._fill("sections_of_piece", rows="\n".join(self._rows(spans, range(len(spans))))))
        return self._listed_sections(given, spans, indices, wants_global)

    def window(self, window: Window) -> Question:
        """With a window as audio: notes of what is heard in it."""
        start, end = clock(window.start_s), clock(window.end_s)
        given = [self._fill("hear_window", song=self._song(), start=start, end=end)]
        budget = Budget(NOTE_WORDS, NOTE_GLOBAL_WORDS)
        if not self.anchored:
            fewest, most = own_section_counts(window.duration_s)
            fields = {"fewest": fewest, "most": most, "start": "0", "end": f"{window.duration_s:g}"}
            parts = [self._fill("note_own_sections", words=NOTE_WORDS, labels=listed(LABELS), **fields)]
            schema = own_sections_schema(0.0, window.duration_s, bounds(NOTE_WORDS), NOTE_GLOBAL_WORDS)
            tokens = answer_tokens(most, budget, True)
        else:
            rows = "\n".join(self._window_rows(window))
            given.append(self._fill("sections_of_window", rows=rows))
            indices = [piece.index for piece in window.pieces]
            parts = [self._fill("note_sections", sections=_named(indices), words=NOTE_WORDS)]
            schema = spans_schema([piece.span for piece in window.pieces], budget, True)
            tokens = answer_tokens(len(window.pieces), budget, True)
        parts.append(self._global("note_global", NOTE_GLOBAL_WORDS))
        return self._question(given, parts, schema, tokens)

    def merge(
        self,
        spans: Sequence[Span] | None,
        indices: Sequence[int],
        notes: Mapping[int, str],
        stretches: Sequence[Note],
        heard: Attributes,
        wants_global: bool,
    ) -> Question:
        """Without audio: descriptions of the sections ``indices`` from the notes on them.

        Args:
            spans: all sections of the song; None lets the model divide the stretches itself.
            notes: by index of the section.
            stretches: notes on longer stretches; without ``spans`` all there is.
            heard: instruments, voices and so on that the notes name.
        """
        texts = [f"{clock(n.span.start_s)}-{clock(n.span.end_s)}: {_material(n.text)}" for n in stretches]
        if spans is None:
            start_s, end_s = stretches[0].span.start_s, stretches[-1].span.end_s
            texts = [f"{n.span.start_s:g} s to {n.span.end_s:g} s: {_material(n.text)}" for n in stretches]
            given = [self._fill("read_notes", song=self._song(), notes="\n".join([*texts, _heard(heard)]))]
            return self._own_sections(given, start_s, end_s, wants_global)
        rows = [
            f"{row}\nNotes: {_material(notes.get(index, '')) or 'none'}"
            for index, row in zip(indices, self._rows(spans, indices), strict=True)
        ]
        lines = ["The sections, each with the notes on it:", *rows, "", "Notes on longer stretches:", *texts]
        given = [self._fill("read_notes", song=self._song(), notes="\n".join([*lines, _heard(heard)]))]
        return self._listed_sections(given, spans, indices, wants_global)

    def overall(self, descriptions: Sequence[str], heard: Attributes) -> Question:
        """Without audio: the paragraph on the whole, from the descriptions of the sections."""
        lines = [f"{index}. {_material(text)}" for index, text in enumerate(descriptions, 1) if text]
        described = "\n".join([*lines, _heard(heard)])
        given = [self._fill("read_descriptions", song=self._song(), descriptions=described)]
        budget = self._budget(len(descriptions))
        parts = [self._global("write_global", budget.global_)]
        return self._question(given, parts, spans_schema((), budget, True), answer_tokens(0, budget, True))

    def told(self, indices: Iterable[int]) -> str:
        """All that is told of the song and of some of its sections, for telling what was not."""
        return "\n".join([self._song(), *(self._rows(self.spans, indices) if self.anchored else [])])

    def _listed_sections(
        self, given: list[str], spans: Sequence[Span], indices: Sequence[int], wants_global: bool
    ) -> Question:
        budget = self._budget(len(spans))
        parts = []
        if indices:
            parts.append(self._fill("write_sections", sections=_named(indices), words=budget.section))
        if wants_global:
            parts.append(self._global("write_global", budget.global_))
        schema = spans_schema([spans[i] for i in indices], budget, wants_global)
        return self._question(given, parts, schema, answer_tokens(len(indices), budget, wants_global))

    def _own_sections(self, given: list[str], start_s: float, end_s: float, wants_global: bool) -> Question:
        fewest, most = own_section_counts(end_s - start_s)
        budget = Budget.of(end_s - start_s, fewest, self._min_words)
        span = {"fewest": fewest, "most": most, "start": f"{start_s:g}", "end": f"{end_s:g}"}
        words = budget.section * fewest
        parts = [self._fill("write_own_sections", labels=listed(LABELS), words=words, **span)]
        if wants_global:
            parts.append(self._global("write_global", budget.global_))
        each = own_section_words(end_s - start_s, self._min_words)
        schema = own_sections_schema(start_s, end_s, each, budget.global_ if wants_global else None)
        tokens = answer_tokens(fewest, budget, wants_global) + answer_tokens(most - fewest, Budget(0, 0), False)
        return self._question(given, parts, schema, tokens)

    def _question(self, given: list[str], parts: list[str], schema: dict[str, Any], tokens: int) -> Question:
        answer = self._fill("answer", shape=_shape(schema))
        return Question("\n\n".join([*given, answer, "\n".join(parts)]), schema, tokens)

    def _budget(self, num_sections: int) -> Budget:
        return Budget.of(self._duration_s, num_sections, self._min_words)

    def _global(self, name: str, words: int) -> str:
        return self._fill(name, words=words, vocals=listed(VOCALS), tempos=listed(TEMPO.words))

    def _fill(self, name: str, **fields: object) -> str:
        return self._templates[name].substitute(fields)

    def _song(self) -> str:
        lasts = f"It lasts {clock(self._duration_s)}."
        return " ".join([lasts, *song_facts(self._facts)]) if self._facts is not None else lasts

    def _rows(self, spans: Sequence[Span], indices: Iterable[int]) -> Iterator[str]:
        """A line per section; facts where the sections are those of the analysis."""
        told = self._facts is not None and tuple(spans) == self.spans
        for index in indices:
            facts = section_facts(self._facts, index) if told and self._facts is not None else []
            yield "; ".join([_place(index, spans[index]), *facts])

    def _window_rows(self, window: Window) -> Iterator[str]:
        for piece in window.pieces:
            start, end = (clock(max(0.0, t - window.start_s)) for t in (piece.span.start_s, piece.span.end_s))
            facts = section_facts(self._facts, piece.index) if self._facts is not None else []
            yield "; ".join([_place(piece.index, piece.span), f"in this audio {start}-{end}", *facts])


def _place(index: int, span: Span) -> str:
    numbers = f"start {round(span.start_s, 2)}, end {round(span.end_s, 2)}, label {span.label}"
    return f"{index + 1}. {clock(span.start_s)}-{clock(span.end_s)} ({numbers})"


def _named(indices: Sequence[int]) -> str:
    """``1 to 12``; ``3, 5 and 9``."""
    numbers = sorted(index + 1 for index in indices)
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return listed(list(map(str, numbers)))


def _material(text: str) -> str:
    """One bounded line of what a model wrote, without signs that mark up or quote."""
    plain = re.sub(r"[^\w\s.,;:!?'’()/%&+°♯♭#–—-]", " ", text)
    return " ".join(plain.split())[:NOTE_CHARACTERS].rstrip()


def _heard(heard: Attributes) -> str:
    named = {"Instruments": heard.instruments, "Genres": heard.genres, "Moods": heard.moods}
    parts = [f"{name} noted: {', '.join(map(_material, values))}." for name, values in named.items() if values]
    voices = "" if heard.vocals == "unknown" else f"Vocals noted: {heard.vocals}."
    return " ".join(filter(None, [*parts, voices])) or "No instrument was noted by name."


def _shape(schema: dict[str, Any]) -> str:
    """An example of the answer, from its schema: the fields in their order, the texts left out."""
    fields = schema["properties"]
    parts = []
    if "sections" in fields:
        parts.append('"sections": [{"start": 0.0, "end": 12.5, "label": "section", "description": "..."}]')
    if "global" in fields:
        lists = {name: [] if rule.get("type") == "array" else "" for name, rule in _attributes(fields).items()}
        parts.append(f'"global": "...", "attributes": {json.dumps(lists)}')
    return "{" + ", ".join(parts) + "}"


def _attributes(fields: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = fields["attributes"]["properties"]
    return found
