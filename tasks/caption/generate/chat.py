"""The OpenAI-compatible chat protocol as vLLM speaks it: bodies out, answers in."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

from data_specs.reasons import Reason
from tasks.caption.generate.media import flac_of
from tasks.caption.generate.request import Answer, AudioSpan, GenerationError, Request
from tasks.engine.errors import BuildError


class BadAnswer(Exception):
    """The server answered with success and something that is no answer."""


def chat_body(request: Request, media: Literal["data", "file"]) -> bytes:
    """The JSON body of ``POST /chat/completions``; the audio stands before the text.

    Raises:
        GenerationError: the audio cannot be read.
    """
    content: list[dict[str, Any]] = [{"type": "text", "text": request.text}]
    if request.audio is not None:
        content.insert(0, _audio_part(request.audio, media))
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": "system", "content": request.system}, {"role": "user", "content": content}],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
    }
    if request.schema is not None:
        schema = {"name": "answer", "strict": True, "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return json.dumps(body).encode("ascii")


def _audio_part(span: AudioSpan, media: Literal["data", "file"]) -> dict[str, Any]:
    if media == "file" and span.whole:
        if not span.path.is_file():
            raise GenerationError(Reason.FILE_MISSING, f"{span.path} is gone")
        return {"type": "audio_url", "audio_url": {"url": span.path.resolve().as_uri()}}
    data = base64.b64encode(flac_of(span)).decode("ascii")
    # "flac" goes beyond OpenAI's own list; vLLM makes a data: address of it and decodes by content.
    return {"type": "input_audio", "input_audio": {"data": data, "format": "flac"}}


def read_answer(body: bytes, request: Request, where: str) -> Answer:
    """The answer in the body of a success.

    Raises:
        BadAnswer: not JSON, not a completion, or one that ended in an error.
        GenerationError: ``CAPTION_REFUSED`` by a filter of the server.
        BuildError: the server does not say how much audio was heard.
    """
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        text, finish, usage = choice["message"]["content"], choice["finish_reason"], completion["usage"]
        num_prompt, num_output = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise BadAnswer(f"no completion ({type(error).__name__}): {body[:200].decode(errors='replace')}") from error
    if finish == "content_filter":
        raise GenerationError(Reason.CAPTION_REFUSED, f"{where}: finish_reason content_filter")
    if finish not in ("stop", "length") or not isinstance(text, str | None):
        raise BadAnswer(f"the answer ended with finish_reason {finish!r}")
    return Answer(
        text=(text or "").encode(errors="replace").decode(),  # half a surrogate pair is JSON and no text
        finish=finish,
        audio_tokens=0 if request.audio is None else _audio_tokens(usage, where),
        prompt_tokens=num_prompt,
        output_tokens=num_output,
    )


def _audio_tokens(usage: dict[str, Any], where: str) -> int:
    try:
        return int(usage["prompt_tokens_details"]["multimodal_tokens"]["audio"])
    except (KeyError, TypeError, ValueError):
        raise BuildError(
            f"{where} does not say how many audio tokens it heard, so audio that was cut off would go unseen: start it "
            "with --enable-prompt-tokens-details (vLLM; its answers then have "
            "usage.prompt_tokens_details.multimodal_tokens.audio)"
        ) from None


def error_message(body: bytes) -> str:
    """What a server says of an error: vLLM's ``error.message``, else the text itself."""
    text = body.decode(errors="replace")
    try:
        error = json.loads(text)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError, RecursionError):
        return text


def served_models(body: bytes) -> list[str]:
    """Names in the answer to ``GET /models``.

    Raises:
        BadAnswer: it is no such answer.
    """
    try:
        return [str(model["id"]) for model in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadAnswer(body[:200].decode(errors="replace")) from error
