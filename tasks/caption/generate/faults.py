"""What an error of vLLM means: whose fault it is, and what helps.

The texts are those of vLLM 0.32 (``renderers/params.py``, ``v1/engine/input_processor.py``,
``multimodal/media/*.py``, ``entrypoints/serve``). Server and worker say the same ones.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from data_specs.music_llms import MusicLLM
from data_specs.reasons import Reason
from tasks.caption.generate.request import GenerationError
from tasks.engine.errors import BuildError

SHOWN_CHARACTERS = 300
MAX_FRUITLESS = 20
"""Questions that fail one after another: then it is not the songs."""


@dataclass(frozen=True, slots=True)
class _Meaning:
    pattern: re.Pattern[str]
    reason: Reason | None
    """Why the song is dropped; None where a person must act, as any long or any song would fail."""
    fix: str = ""


def _meaning(pattern: str, reason: Reason | None, fix: str = "") -> _Meaning:
    return _Meaning(re.compile(pattern, re.IGNORECASE), reason, fix)


_MEANINGS = (
    _meaning(
        "encoder cache size",
        None,
        "start it with --max-num-batched-tokens (max_num_batched_tokens) of at least {audio_tokens:.0f}, the audio "
        "tokens of {hears_s:g} s; vLLM's own advice about --limit-mm-per-prompt does not help",
    ),
    _meaning(
        r"maximum context length|longer than the maximum model length|max_tokens.{0,40}(too large|max_model_len)",
        Reason.PROMPT_TOO_LONG,
    ),
    _meaning(
        "allowed-local-media-path",
        None,
        "start it with --allowed-local-media-path <folder of the dataset>, or leave 'media: file' out",
    ),
    _meaning(
        r"VLLM_MAX_AUDIO_(DECODE_DURATION_S|DECODE_BYTES)|exceeds maximum allowed duration",
        None,
        "set VLLM_MAX_AUDIO_DECODE_DURATION_S={hears_s:.0f} and VLLM_MAX_AUDIO_DECODE_BYTES in its environment",
    ),
    _meaning("maximum file size exceeded", None, "set VLLM_MAX_AUDIO_CLIP_FILESIZE_MB=100 in its environment, or more"),
    _meaning(r"not a multimodal model|at most 0 audio", None, "this model does not listen; serve {name}"),
    _meaning(
        r"(invalid|corrupted|unsupported|unrecogni[sz]ed)\W.{0,30}(audio|format)|audio is too short|"
        r"no audio (found|stream)|invalid data found|error opening|format not recogni[sz]ed|libsndfile",
        Reason.UNDECODABLE,
    ),
)


def raise_for(message: str, model: MusicLLM, where: str) -> None:
    """Raise what a message of vLLM means; return where it says nothing that is known.

    Raises:
        GenerationError: it concerns this question.
        BuildError: ``where`` is set up in a way that others will meet too; the text says what to change.
    """
    for meaning in _MEANINGS:
        if not meaning.pattern.search(message):
            continue
        if meaning.reason is not None:
            raise GenerationError(meaning.reason, f"{where}: {shown(message)}")
        fix = meaning.fix.format(
            audio_tokens=model.audio_tokens_per_s * model.hears_s, hears_s=model.hears_s, name=model.name
        )
        raise BuildError(f"{where} says: {shown(message)}. For {model.name}, {fix}")


class Streak:
    """Counts failures in a row, so that a way that is broken for every song does not drop them all.

    Args:
        log: where a person finds out more, for the message.
    """

    def __init__(self, log: str) -> None:
        self._log = log
        self._guard = threading.Lock()
        self._num_failures = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Around one question.

        Raises:
            BuildError: in place of the ``MAX_FRUITLESS``-th failure without an answer in between.
        """
        try:
            yield
        except GenerationError as error:
            if error.reason in (Reason.SERVER_ERROR, Reason.TIMEOUT, Reason.WORKER_CRASHED):
                with self._guard:
                    self._num_failures += 1
                    num_failures = self._num_failures
                if num_failures >= MAX_FRUITLESS:
                    raise BuildError(
                        f"{num_failures} questions in a row were not answered, the last one: {error.detail}; look at "
                        f"{self._log}"
                    ) from error
            raise
        with self._guard:
            self._num_failures = 0


def shown(text: str) -> str:
    """One short line of what somebody else wrote."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 3] + "..."
