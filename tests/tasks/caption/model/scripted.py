"""A model that answers as a test tells it to, and answers worth accepting."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections.abc import Callable
from typing import Any

from data_specs.music_llms import presets
from tasks.caption.generate.request import Answer, Request

MODEL = presets()["moss-music-8b-instruct"]

_QUALITIES = (
    "gentle plucked warm muted ringing hollow glassy woody reedy silken grainy crisp mellow airy rounded lean supple"
    " tender restless patient stately playful wistful solemn radiant smoky amber velvet brittle liquid"
).split()
_THINGS = (
    "guitar piano melody motif pattern phrase line figure texture chord countermelody accompaniment cello flute"
    " arpeggio ostinato ornament harmony theme gesture clarinet viola harp lute horn oboe marimba organ voice"
).split()
_ACTIONS = (
    "shapes carries answers traces weaves supports colours frames circles mirrors decorates shadows follows lifts"
    " cradles paints outlines threads surrounds anchors brushes crosses balances guides softens echoes"
).split()
_MANNERS = (
    "calmly freely lightly firmly softly evenly plainly boldly shyly warmly neatly slyly gravely keenly loosely"
    " tenderly nimbly quietly smoothly broadly"
).split()


def prose(num_words: int, rng: random.Random) -> str:
    """Neutral sentences with at least so many words, hardly a phrase of them twice."""
    sentences: list[str] = []
    while sum(len(sentence.split()) for sentence in sentences) < num_words:
        a, b, c, d = rng.sample(_QUALITIES, 4)
        thing, other, third, fourth = rng.sample(_THINGS, 4)
        verb, second = rng.sample(_ACTIONS, 2)
        manner = rng.choice(_MANNERS)
        sentences.append(
            rng.choice(
                [
                    f"A {a} {thing} {verb} the {b} {other} {manner}.",
                    f"{manner.capitalize()} the {a} {thing} {verb} one {b} {other} while some {c} {third} rests.",
                    f"Its {a} {thing} {verb} every {b} {other}, and the {c} {third} {second} that {d} {fourth}.",
                    f"Here {a} {thing} and {b} {other} meet, as one {c} {third} {verb} {manner} beneath.",
                ]
            )
        )
    return " ".join(sentences)


def fewest_words(rule: dict[str, Any]) -> int:
    """The floor of a text of the schema."""
    match = re.search(r"\{(\d+),\d+\}\[\.!\?\]\$$", rule["pattern"])
    assert match is not None
    return int(match[1]) + 1


def good_answer(request: Request, share: float = 1.2) -> dict[str, Any]:
    """What a model that keeps to the schema says; ``share`` of the floor of every text."""
    assert request.schema is not None
    rng = random.Random(request.key)
    fields = request.schema["properties"]
    answer: dict[str, Any] = {}
    if "sections" in fields:
        answer["sections"] = [
            {
                "start": rule["start"]["const"] if "const" in rule["start"] else start,
                "end": rule["end"]["const"] if "const" in rule["end"] else end,
                "label": rule["label"].get("const", "section"),
                "description": prose(math.ceil(share * fewest_words(rule["description"])), rng),
            }
            for rule, start, end in _entries(fields["sections"])
        ]
    if "global" in fields:
        answer["global"] = prose(math.ceil(share * fewest_words(fields["global"])), rng)
        answer["attributes"] = {
            "genres": ["folk"],
            "moods": ["calm"],
            "instruments": ["guitar", "piano", "cello"],
            "vocals": "none",
            "tempo": "",
            "production": [],
        }
    return answer


def _entries(rule: dict[str, Any]) -> list[tuple[dict[str, Any], float, float]]:
    if "prefixItems" in rule:
        return [(item["properties"], 0.0, 0.0) for item in rule["prefixItems"]]
    time = rule["items"]["properties"]["start"]
    low, high = time["minimum"], time["maximum"]
    count = rule["minItems"]
    edges = [low + (high - low) * i / count for i in range(count + 1)]
    return [(rule["items"]["properties"], round(a), round(b)) for a, b in itertools.pairwise(edges)]


Script = Callable[[Request, int], str | Answer]


class Scripted:
    """A ``Generator``: hears all audio, and says what the script says to the request, by its number from 0."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.requests: list[Request] = []

    def generate(self, request: Request) -> Answer:
        number = len(self.requests)
        self.requests.append(request)
        said = self._script(request, number)
        return said if isinstance(said, Answer) else heard(request, said)


def heard(request: Request, text: str, share: float = 1.0, finish: Any = "stop") -> Answer:
    """An answer after a share of the audio."""
    seconds = request.audio.duration_s if request.audio else 0.0
    return Answer(
        text=text,
        finish=finish,
        audio_tokens=int(share * MODEL.audio_tokens(seconds)),
        prompt_tokens=100,
        output_tokens=len(text) // 4,
    )


def good(request: Request, number: int = 0) -> str:
    return json.dumps(good_answer(request))
