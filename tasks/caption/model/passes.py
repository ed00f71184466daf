"""The two ways to a description: hear the whole song and write, or take notes of windows and merge them.

Both write any part of a song on request, so a part that failed is asked for in the same way as the first time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

from data_specs.reasons import Reason
from data_specs.records import Attributes
from tasks.caption.generate.request import GenerationError
from tasks.caption.model.asking import Conversation
from tasks.caption.model.evidence import Evidence
from tasks.caption.model.parse import Parsed, Wanted
from tasks.caption.model.prompt import Note, PromptWriter, Question
from tasks.caption.model.schema import Span
from tasks.caption.model.windows import MAX_SECTIONS, Window, cut_windows, even_windows, runs, spare_tokens

MAX_NOTED = 8
"""Instruments, moods and so on that go from the notes to the merge, the most often noted."""


class Pass(Protocol):
    """A way to write parts of one song."""

    name: str
    """``one`` or ``two``."""

    def write(self, spans: Sequence[Span] | None, indices: Sequence[int], wants_global: bool, attempt: int) -> Parsed:
        """Descriptions of some sections, and the paragraph on the whole where it is wanted.

        Args:
            spans: all sections; None lets the model divide the song, and ``indices`` are not looked at.

        Raises:
            GenerationError: as ``Conversation.ask``.
        """


def choose_pass(writer: PromptWriter, talk: Conversation) -> Pass:
    """One pass where the model hears the whole song and the context holds it, else two; or as the settings say.

    Raises:
        GenerationError: the settings want one pass and the model cannot hear so much.
    """
    settings, model, duration_s = talk.settings, talk.settings.music_llm, talk.audio.duration_s
    spans = writer.spans if writer.anchored else None
    whole = Window(0.0, duration_s, ())
    question = writer.piece(spans, range(len(spans or ())), True)
    hears_all = duration_s <= model.hears_s
    fits = len(spans or ()) <= MAX_SECTIONS and _has_room(talk, question, duration_s)
    if settings.passes == "one" and not hears_all:
        raise GenerationError(
            Reason.AUDIO_NOT_HEARD,
            f"the song lasts {duration_s:.0f} s, {model.name} hears {model.hears_s:.0f} s; set caption.passes to auto",
        )
    if settings.passes == "one" or (settings.passes == "auto" and hears_all and fits):
        return OnePass(writer, talk, whole)

    def window_fits(window: Window) -> bool:
        return _has_room(talk, writer.window(window), window.duration_s)

    cut = (
        cut_windows(spans, duration_s, model.hears_s, window_fits)
        if spans is not None
        else even_windows(duration_s, model.hears_s, window_fits)
    )
    return TwoPass(writer, talk, cut)


class OnePass:
    """The model hears the whole song with every question; its prefix is the same, so it is computed once."""

    name = "one"

    def __init__(self, writer: PromptWriter, talk: Conversation, whole: Window) -> None:
        self._writer, self._talk, self._whole = writer, talk, whole

    def write(self, spans: Sequence[Span] | None, indices: Sequence[int], wants_global: bool, attempt: int) -> Parsed:
        question = self._writer.piece(spans, indices, wants_global)
        wanted = _wanted(self._talk, spans, indices, wants_global)
        return self._talk.ask(question, self._whole, wanted, "piece", attempt)


@dataclass(frozen=True, slots=True)
class _Notes:
    """What was noted of the windows of a song."""

    sections: tuple[Note, ...]
    stretches: tuple[Note, ...]
    heard: Attributes
    flaws: tuple[str, ...]
    repairs: tuple[str, ...]

    def of(self, span: Span) -> str:
        """Notes on a section; of the parts of one that was cut, all."""
        return "; ".join(n.text for n in self.sections if span.start_s <= _middle_s(n.span) < span.end_s)

    def around(self, start_s: float, end_s: float) -> tuple[Note, ...]:
        return tuple(n for n in self.stretches if n.span.start_s < end_s and n.span.end_s > start_s)


class TwoPass:
    """Notes of windows first, then a merge that hears nothing and may add nothing."""

    name = "two"

    def __init__(self, writer: PromptWriter, talk: Conversation, windows: Sequence[Window]) -> None:
        self._writer, self._talk, self._windows = writer, talk, windows
        self._notes: _Notes | None = None

    def write(self, spans: Sequence[Span] | None, indices: Sequence[int], wants_global: bool, attempt: int) -> Parsed:
        first = self._notes is None
        notes = self._notes = self._notes or self._listen()
        if spans is None:
            found = self._divide(notes, wants_global, attempt)
        else:
            # A section without notes stays without words: what is said of it would be made up.
            noted = [index for index in indices if notes.of(spans[index])]
            found = self._describe(spans, noted, notes, wants_global and bool(notes.sections), attempt)
        found = self._only_noted(found, notes)
        if not first:
            return found
        return replace(found, flaws=(*notes.flaws, *found.flaws), repairs=(*notes.repairs, *found.repairs))

    def _listen(self) -> _Notes:
        """Notes of every window; one that gave none is heard again."""
        sections: list[Note] = []
        stretches: list[Note] = []
        answers: list[Parsed] = []
        first: list[Parsed] = []
        for number, window in enumerate(self._windows):
            for attempt in range(self._talk.settings.max_refills + 1):
                answer = self._hear(window, number, attempt)
                if attempt == 0:
                    first.append(answer)
                if any(answer.descriptions.values()):
                    break
            answers.append(answer)
            sections += _noted(window, answer, self._writer.anchored)
            if answer.global_text:
                stretches.append(Note(Span(window.start_s, window.end_s, "section"), answer.global_text))
        return _Notes(
            tuple(sections),
            tuple(stretches),
            _united([answer.attributes for answer in answers]),
            tuple(chain.from_iterable(answer.flaws for answer in first)),
            tuple(chain.from_iterable(answer.repairs for answer in first)),
        )

    def _hear(self, window: Window, number: int, attempt: int) -> Parsed:
        anchored = self._writer.anchored
        wanted = Wanted(
            indices=tuple(piece.index for piece in window.pieces) if anchored else (),
            wants_global=True,
            anchored=anchored,
            duration_s=self._talk.audio.duration_s if anchored else window.duration_s,
            spans=tuple((piece.span.start_s, piece.span.end_s) for piece in window.pieces) if anchored else (),
        )
        return self._talk.ask(self._writer.window(window), window, wanted, f"notes:{number}", attempt)

    def _describe(
        self, spans: Sequence[Span], indices: Sequence[int], notes: _Notes, wants_global: bool, attempt: int
    ) -> Parsed:
        texts = {index: notes.of(spans[index]) for index in indices}

        def question(run: range, and_global: bool) -> Question:
            chosen = [indices[i] for i in run]
            around = notes.around(spans[chosen[0]].start_s, spans[chosen[-1]].end_s)
            return self._writer.merge(spans, chosen, texts, around, notes.heard, and_global)

        cut = runs(len(indices), lambda run: _has_room(self._talk, question(run, wants_global), 0.0))
        at_once = wants_global and len(cut) == 1
        parts = []
        for run in cut:
            wanted = _wanted(self._talk, spans, [indices[i] for i in run], at_once)
            parts.append(self._talk.ask(question(run, at_once), None, wanted, f"merge:{run.start}", attempt))
        found = _joined(parts)
        if wants_global and not at_once:
            described = [found.descriptions.get(index) or notes.of(span) for index, span in enumerate(spans)]
            found = self._with_global(found, described, notes, attempt)
        return found

    def _divide(self, notes: _Notes, wants_global: bool, attempt: int) -> Parsed:
        """Sections of the model's own, from notes that have times of their own."""

        def question(run: range, and_global: bool) -> Question:
            return self._writer.merge(None, (), {}, notes.sections[run.start : run.stop], notes.heard, and_global)

        cut = runs(len(notes.sections), lambda run: _has_room(self._talk, question(run, wants_global), 0.0))
        at_once = wants_global and len(cut) == 1
        wanted = _wanted(self._talk, None, (), at_once)
        found = _joined(
            [self._talk.ask(question(run, at_once), None, wanted, f"merge:{run.start}", attempt) for run in cut]
        )
        if wants_global and not at_once and found.descriptions:
            described = [found.descriptions[index] for index in sorted(found.descriptions)]
            found = self._with_global(found, described, notes, attempt)
        return found

    def _with_global(self, found: Parsed, described: Sequence[str], notes: _Notes, attempt: int) -> Parsed:
        step = 1
        while True:
            question = self._writer.overall(described[::step], notes.heard)
            if _has_room(self._talk, question, 0.0) or step >= len(described):
                break
            step *= 2  # of too many sections every second one still shows how the piece develops
        whole = self._talk.ask(question, None, _wanted(self._talk, (), (), True), "overall", attempt)
        return replace(
            found,
            global_text=whole.global_text,
            attributes=whole.attributes,
            flaws=(*found.flaws, *whole.flaws),
            repairs=(*found.repairs, *whole.repairs),
        )

    def _only_noted(self, found: Parsed, notes: _Notes) -> Parsed:
        """Without what nobody noted: a merge that adds makes it up."""
        told = self._writer.told(range(len(self._writer.spans)))
        texts = [told, *(note.text for note in (*notes.sections, *notes.stretches))]
        evidence = Evidence.of(texts, notes.heard)
        kept = replace(
            found,
            descriptions={index: evidence.kept(text) for index, text in found.descriptions.items()},
            global_text=evidence.kept(found.global_text),
            attributes=evidence.kept_attributes(found.attributes),
        )
        if kept == found:
            return found
        return replace(
            kept,
            flaws=(*found.flaws, "unnoted"),
            repairs=(*found.repairs, "drop_sentence:unnoted"),
        )


def _has_room(talk: Conversation, question: Question, audio_s: float) -> bool:
    text = talk.system + question.text
    return spare_tokens(talk.settings.music_llm, text, audio_s, question.answer_tokens) >= 0


def _wanted(talk: Conversation, spans: Sequence[Span] | None, indices: Sequence[int], wants_global: bool) -> Wanted:
    asked = [spans[index] for index in indices] if spans is not None else []
    return Wanted(
        indices=tuple(indices) if spans is not None else (),
        wants_global=wants_global,
        anchored=spans is not None,
        duration_s=talk.audio.duration_s,
        spans=tuple((span.start_s, span.end_s) for span in asked),
    )


def _noted(window: Window, answer: Parsed, anchored: bool) -> list[Note]:
    """Notes in the time of the song."""
    if anchored:
        return [Note(p.span, text) for p in window.pieces if (text := answer.descriptions.get(p.index))]
    return [
        Note(Span(window.start_s + start_s, window.start_s + end_s, label), text)
        for index, (start_s, end_s, label) in enumerate(answer.spans)
        if (text := answer.descriptions.get(index))
    ]


def _joined(parts: Sequence[Parsed]) -> Parsed:
    """Answers on consecutive runs as one; sections that the model chose are numbered on."""
    descriptions: dict[int, str] = {}
    spans: list[tuple[float, float, str]] = []
    for part in parts:
        offset = len(spans) if part.spans else 0
        descriptions |= {index + offset: text for index, text in part.descriptions.items()}
        spans += part.spans
    last = parts[-1] if parts else None
    return Parsed(
        descriptions=descriptions,
        global_text=last.global_text if last else "",
        attributes=last.attributes if last else Attributes(),
        spans=tuple(spans),
        repairs=tuple(chain.from_iterable(part.repairs for part in parts)),
        flaws=tuple(chain.from_iterable(part.flaws for part in parts)),
    )


def _united(heard: Sequence[Attributes]) -> Attributes:
    """What was noted over all windows, the most often first."""

    def most(name: str) -> tuple[str, ...]:
        counted = Counter(value.casefold() for attributes in heard for value in getattr(attributes, name))
        return tuple(value for value, _ in counted.most_common(MAX_NOTED))

    voices = {attributes.vocals for attributes in heard} - {"unknown"}
    sung = voices - {"none"}
    vocals = "mixed" if len(sung) > 1 else next(iter(sung or voices), "unknown")
    return Attributes(genres=most("genres"), moods=most("moods"), instruments=most("instruments"), vocals=vocals)


def _middle_s(span: Span) -> float:
    return (span.start_s + span.end_s) / 2
