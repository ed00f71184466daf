"""One song's questions to the model: sent, checked for audio that was not heard, and read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from data_specs.hashing import digest
from data_specs.reasons import Reason
from data_specs.records import AudioFacts
from data_specs.spec import ModelCaptions
from tasks.caption.generate.request import Answer, AudioSpan, GenerationError, Generator, Request
from tasks.caption.model.parse import Parsed, Wanted, parse_answer
from tasks.caption.model.prompt import Question, without_instructions
from tasks.caption.model.windows import Window, spare_tokens

AUDIO_TOKENS_SLACK = 2
"""Fewer than the rate says that still count as all: encoders round down."""


@dataclass(slots=True)
class Conversation:
    """Asks about one song and keeps account of it.

    Equal settings, version and attempt ask with equal seeds, so a repeated build repeats its questions.
    """

    settings: ModelCaptions
    generator: Generator
    audio: AudioFacts
    version: int
    workspace: Path
    system: str
    answers: list[str] = field(default_factory=list)
    """Keys, in the order of asking."""
    num_refused: int = 0
    """Answers that refuse and say nothing else."""
    heard_s: dict[tuple[float, float], float] = field(default_factory=dict)
    """By stretch of the song: how much of it reached the model."""

    def ask(self, question: Question, heard: Window | None, wanted: Wanted, name: str, attempt: int) -> Parsed:
        """The answer to a question, read as far as it can be.

        Args:
            heard: the stretch of the song that is sent along; None for a question without audio.
            name: of the question within the song, for its seed.
            attempt: 0 the first time; another one may be answered otherwise.

        Raises:
            GenerationError: no answer, ``PROMPT_TOO_LONG`` before it is sent, or ``AUDIO_NOT_HEARD``.
        """
        self._check_context(question, heard)
        request = self._request(question, heard, name, attempt)
        answer = self.generator.generate(request)
        self.answers.append(request.key)
        if heard is not None:
            self._check_heard(answer, heard)
        parsed = self._own_words(parse_answer(answer.text, wanted))
        self.num_refused += "refusal" in parsed.flaws
        if answer.finish == "length":
            parsed = replace(parsed, flaws=(*parsed.flaws, "length"))
        return parsed

    def _own_words(self, parsed: Parsed) -> Parsed:
        """Without sentences of the prompt."""
        version = self.settings.prompt
        kept = replace(
            parsed,
            descriptions={i: without_instructions(version, text) for i, text in parsed.descriptions.items()},
            global_text=without_instructions(version, parsed.global_text),
        )
        if kept == parsed:
            return parsed
        return replace(kept, flaws=(*kept.flaws, "prompt_echo"), repairs=(*kept.repairs, "drop_sentence:prompt_echo"))

    @property
    def total_heard_s(self) -> float | None:
        """Of the song, margins between windows once; None where nothing was sent along."""
        if not self.heard_s:
            return None
        covered_s, end_s = 0.0, 0.0
        for (start_s, _), seconds in sorted(self.heard_s.items()):
            begin_s = max(start_s, end_s)
            end_s = max(end_s, start_s + seconds)
            covered_s += max(0.0, end_s - begin_s)
        return round(min(covered_s, self.audio.duration_s), 2)

    def _request(self, question: Question, heard: Window | None, name: str, attempt: int) -> Request:
        model = self.settings.music_llm
        return Request(
            track_id=self.audio.track_id,
            model=model.name,
            weights=weights_of(self.settings),
            system=self.system,
            text=question.text,
            audio=None if heard is None else self._span(heard),
            schema=question.schema,
            max_tokens=question.answer_tokens,
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            seed=int(digest(self.settings.seed, self.version, name, attempt)[:7], 16),
        )

    def _span(self, heard: Window) -> AudioSpan:
        return AudioSpan(
            path=self.workspace / self.audio.file,
            pcm_sha256=self.audio.pcm_sha256,
            start_s=heard.start_s,
            end_s=heard.end_s,
            whole=heard.start_s <= 0 and heard.end_s >= self.audio.duration_s,
        )

    def _check_context(self, question: Question, heard: Window | None) -> None:
        model, seconds = self.settings.music_llm, heard.duration_s if heard else 0.0
        spare = spare_tokens(model, self.system + question.text, seconds, question.answer_tokens)
        if spare < 0:
            raise GenerationError(
                Reason.PROMPT_TOO_LONG,
                f"a question with {seconds:.0f} s of audio and its answer need up to {model.context_tokens - spare}"
                f" tokens, {model.name} has context_tokens {model.context_tokens}; serve it with more and say so in"
                " the model of the spec" + (", or set caption.passes to auto" if self.settings.passes == "one" else ""),
            )

    def _check_heard(self, answer: Answer, heard: Window) -> None:
        model = self.settings.music_llm
        expected = model.audio_tokens(heard.duration_s)
        share = answer.audio_tokens / max(expected, 1)
        lacks = answer.audio_tokens < expected - AUDIO_TOKENS_SLACK
        self.heard_s[heard.start_s, heard.end_s] = heard.duration_s * (share if lacks else 1.0)
        if lacks:
            raise GenerationError(
                Reason.AUDIO_NOT_HEARD,
                f"{model.name} heard {answer.audio_tokens} audio tokens of {expected}, so"
                f" {heard.duration_s * share:.1f} of {heard.duration_s:.1f} s; lower hears_s or"
                " correct audio_tokens_per_s of the model in the spec, or raise the server's limit on audio; a server"
                " that counts none lacks --enable-prompt-tokens-details",
            )


def weights_of(settings: ModelCaptions) -> str:
    """Which model that is: hub id with revision, or folder."""
    model = settings.music_llm
    return f"{model.weights}@{model.revision}" if model.revision else model.weights
