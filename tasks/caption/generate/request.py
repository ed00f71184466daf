"""What a model is asked and what it answers, whatever way leads to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from data_specs.hashing import digest
from data_specs.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSpan:
    """What the model is to hear: a stretch of an accepted 16 kHz mono FLAC file."""

    path: Path
    pcm_sha256: str
    """Of the whole file's samples, ``AudioFacts.pcm_sha256``."""
    start_s: float
    end_s: float
    whole: bool
    """Whether the stretch is the whole file, so that the file itself can be sent."""

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question; the audio comes before the text, so that further questions share its prefix."""

    track_id: str
    model: str
    """Name under which the model is served."""
    weights: str
    """Which model that is: hub id with revision, or folder. For the key; a server's name can mean anything."""
    system: str
    text: str
    audio: AudioSpan | None
    schema: dict[str, Any] | None
    """JSON Schema of the answer; None for free text."""
    max_tokens: int
    temperature: float
    top_p: float
    seed: int

    @property
    def key(self) -> str:
        """A name for the question: equal questions about equal sound have equal keys, wherever the model runs."""
        audio = self.audio and [self.audio.pcm_sha256, self.audio.start_s, self.audio.end_s]
        sampling = [self.max_tokens, self.temperature, self.top_p, self.seed]
        return digest(self.weights, self.system, self.text, audio, self.schema, sampling)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model said."""

    text: str
    finish: Literal["stop", "length"]
    """``length``: it was cut off at ``max_tokens``."""
    audio_tokens: int
    """Tokens in the prompt that stand for audio; 0 for a question without audio."""
    prompt_tokens: int
    output_tokens: int


class GenerationError(Exception):
    """This question has no answer; others may have.

    ``reason`` is ``PROMPT_TOO_LONG``, ``UNDECODABLE``, ``TIMEOUT``, ``SERVER_ERROR`` ...
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[GenerationError], tuple[Reason, str]]:
        return type(self), (self.reason, self.detail)


class Generator(Protocol):
    """A way to a model. ``generate`` blocks; many threads call it at once."""

    def generate(self, request: Request) -> Answer:
        """The model's answer.

        Raises:
            GenerationError: this question failed, after the attempts that can help.
            BuildError: a person must act: no server answers, the model is another one ...
            CancelledError: the build is being stopped.
        """
