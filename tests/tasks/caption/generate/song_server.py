"""A loopback server that hears songs and answers by their schema: whole builds without a model.

It can be run as a process too, since the build that asks it is killed and so may be what starts it.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable
from typing import Any

import soundfile

from tests.tasks.caption.generate.scripted import MODEL, OK, Say, ScriptedServer, completion, question, text_of
from tests.tasks.caption.model.scripted import good_answer

Fault = Callable[[int, dict[str, Any]], Say | None]
"""What is said instead to the request of this number, from 0."""


class SongServer(ScriptedServer):
    """Says what the schema wants, after all of the audio, except where ``fault`` has something else to say."""

    def __init__(self, fault: Fault = lambda number, body: None, *, port: int = 0, up: bool = True) -> None:
        super().__init__(port=port, up=up)
        self.fault = fault

    def say(self, body: dict[str, Any]) -> Say:
        number = next(i for i, other in enumerate(self.bodies) if other is body)
        said = self.fault(number, body)
        return said if said is not None else Say(body=written(body))

    def seeds(self) -> list[tuple[str, int]]:
        """What makes a question, of all that were asked."""
        return [(text_of(body), body["seed"]) for body in self.bodies]


def written(body: dict[str, Any], text: str | None = None, share_heard: float = 1.0) -> dict[str, Any]:
    """A completion: words for every part that the schema names, or the given text."""
    if text is None:
        schema = body["response_format"]["json_schema"]["schema"]
        asked = question(text_of(body), schema=schema, seed=body["seed"])
        text = json.dumps(good_answer(asked))
    heard = math.ceil(share_heard * MODEL.audio_tokens_per_s * heard_s(body))
    return completion(text, details={"multimodal_tokens": {"audio": heard}})


def heard_s(body: dict[str, Any]) -> float:
    """Seconds of sound in the request."""
    parts = [part["input_audio"] for part in body["messages"][1]["content"] if part["type"] == "input_audio"]
    files = [soundfile.info(io.BytesIO(base64.b64decode(part["data"]))) for part in parts]
    return float(sum(file.duration for file in files))


__all__ = ["OK", "SongServer", "written"]
