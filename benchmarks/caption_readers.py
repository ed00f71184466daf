"""Writers that stand in for a Music-LLM where the answer is known: they calibrate ``benchmarks.prompt_arms``.

None of them listens. ``Obedient`` turns every fact of the prompt into a sentence, ``Honest`` does so with the true
facts whatever the prompt says, ``Blind`` makes facts up.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from data_specs.records import AudioFacts, Structure
from tasks.caption.generate.request import Answer, Request
from tasks.caption.model.prompt import PromptWriter
from tasks.caption.model.told import CHANGES

_SAID = {
    "level_up": "The music is louder than before.",
    "level_down": "The music is softer than before.",
    "density_up": "The texture thickens.",
    "density_down": "The texture thins out.",
    "brightness_up": "The tone brightens.",
    "brightness_down": "The tone darkens.",
    "percussion_in": "The percussion enters.",
    "percussion_out": "The percussion drops out.",
    "percussion_up": "The percussion marks more of the beats.",
    "percussion_down": "The percussion marks fewer of the beats.",
    "bass_in": "The bass enters.",
    "bass_out": "The bass drops out.",
    "bass_up": "The bass grows heavier.",
    "bass_down": "The bass grows lighter.",
}
_RETURNS, _NEW = "The earlier music returns.", "New material arrives."
_METERS = {"3": "three", "4": "four"}
_KEYS = [f"{tonic} {mode}" for tonic in "C C# D D# E F F# G G# A A# B".split() for mode in ("major", "minor")]
_ROW = re.compile(r"^\d+\. \d+:\d\d-\d+:\d\d \(start ([\d.]+), end [\d.]+, label [a-z-]+\)(.*)$", re.MULTILINE)


class Obedient:
    """A ``Generator`` that believes the prompt."""

    def generate(self, request: Request) -> Answer:
        return _answer(request, list(_song_lines(request.text)), dict(_section_lines(request.text)))


class Honest:
    """A ``Generator`` that says what was measured, whatever the prompt says."""

    def __init__(self, songs: Mapping[str, tuple[AudioFacts, Structure]]) -> None:
        self._songs = songs

    def generate(self, request: Request) -> Answer:
        writer = PromptWriter("v1", "both", *self._songs[request.track_id], seed=0, min_words=0)
        text = writer.piece(writer.spans, range(len(writer.spans)), True).text
        return _answer(request, list(_song_lines(text)), dict(_section_lines(text)))


class Blind:
    """A ``Generator`` that makes facts up, as many as an obedient one would find, without reading them."""

    def generate(self, request: Request) -> Answer:
        rng = random.Random(f"{request.track_id}:{request.seed}")
        song = [f"The tempo is {rng.randint(60, 180)} BPM.", f"The key is {rng.choice(_KEYS)}."]
        song.append(f"There are {rng.choice(list(_METERS.values()))} beats to the bar.")
        names = ("level", "density", "brightness", "percussion", "bass")
        sections = {}
        for start in dict(_section_lines(request.text)):
            kinds = [f"{name}_{rng.choice(('up', 'down'))}" for name in rng.sample(names, 3)]
            kinds.append(rng.choice(("percussion_in", "percussion_out", "bass_in", "bass_out")))
            sections[start] = [*(_SAID[kind] for kind in kinds), rng.choice((_RETURNS, _NEW))]
        return _answer(request, song, sections)


def _song_lines(text: str) -> Iterator[str]:
    if match := re.search(r"Tempo: (\d+) BPM", text):
        yield f"The tempo is {match[1]} BPM."
    if match := re.search(r"Key: ([A-G][#b]? (?:major|minor))\.", text):
        yield f"The key is {match[1]}."
    if match := re.search(r"Meter: ([34]) beats", text):
        yield f"There are {_METERS[match[1]]} beats to the bar."


def _section_lines(text: str) -> Iterator[tuple[float, list[str]]]:
    """Start of each listed section, and a sentence per fact told of it."""
    for number, match in enumerate(_ROW.finditer(text)):
        told = match[2].removeprefix("; ").split("; ")
        lines = [
            _SAID[kind] for kind, phrase in CHANGES.items() if kind in _SAID and any(_says(phrase, t) for t in told)
        ]
        if any(fact.startswith("the same music") for fact in told):
            lines.append(_RETURNS)
        elif number and any(fact.startswith("music ") for fact in told):
            lines.append(_NEW)
        yield float(match[1]), lines


def _says(phrase: str, fact: str) -> bool:
    """Whether a fact is an instance of a phrase with an amount in it."""
    return re.fullmatch(re.sub(r"\\\{.*?\\\}", r"[\\d.]+", re.escape(phrase)), fact) is not None


def _answer(request: Request, song: list[str], sections: Mapping[float, list[str]]) -> Answer:
    assert request.schema is not None
    fields = request.schema["properties"]
    answer: dict[str, Any] = {}
    if "sections" in fields:
        answer["sections"] = [
            {**place, "description": " ".join(sections.get(place["start"], [])) or "The music goes on."}
            for place in _places(fields["sections"])
        ]
    if "global" in fields:
        answer |= {"global": " ".join(["This is a piece of music.", *song]), "attributes": {}}
    text = json.dumps(answer)
    seconds = request.audio.duration_s if request.audio else 0.0
    # As a model of 100 tokens a second would count, so that nothing passes for dropped.
    return Answer(text=text, finish="stop", audio_tokens=round(100 * seconds), prompt_tokens=0, output_tokens=len(text))


def _places(rule: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "prefixItems" in rule:
        for item in rule["prefixItems"]:
            yield {name: item["properties"][name]["const"] for name in ("start", "end", "label")}
        return
    end_s, count = rule["items"]["properties"]["end"]["maximum"], rule["maxItems"] // 2 + 1
    for number in range(count):
        yield {"start": end_s * number / count, "end": end_s * (number + 1) / count, "label": "section"}
