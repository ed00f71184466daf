"""What ``caption_statistics`` counts of the words: batches of accepted rows in, fields of the result out."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from data_specs.leads import words
from data_specs.scope import sentences
from tasks.reporting.captions.distribution import distribution
from tasks.reporting.captions.diversity import DiversityTally
from tasks.reporting.captions.tallies import ranked, share

LONG_TRACK_S = 120.0
LONG_CAPTION_WORDS = 250
OPENING_WORDS = 5
TOP_TEXTS = 15

INSTRUMENTS: dict[str, tuple[str, ...]] = {
    "guitar": ("guitar", "guitars"),
    "bass": ("bass", "basses", "bassline", "basslines"),
    "drums": ("drum", "drums", "drummer", "snare", "snares", "hi-hat", "hi-hats", "cymbal", "cymbals"),
    "percussion": ("percussion", "percussive", "tambourine", "shaker", "shakers", "conga", "congas", "bongos"),
    "piano": ("piano", "pianos"),
    "keyboard": ("keyboard", "keyboards", "organ", "organs", "harpsichord", "rhodes"),
    "synthesizer": ("synth", "synths", "synthesizer", "synthesizers", "synthesiser", "synthesisers"),
    "strings": ("string", "strings", "violin", "violins", "viola", "violas", "cello", "cellos"),
    "brass": ("brass", "trumpet", "trumpets", "trombone", "trombones", "horn", "horns", "tuba"),
    "woodwind": ("woodwind", "woodwinds", "flute", "flutes", "clarinet", "clarinets", "oboe", "oboes", "bassoon"),
    "saxophone": ("saxophone", "saxophones", "sax"),
    "accordion": ("accordion", "harmonica", "concertina"),
    "plucked strings": ("harp", "harps", "banjo", "mandolin", "ukulele", "sitar", "lute", "koto"),
    "mallets": ("marimba", "vibraphone", "xylophone", "glockenspiel", "bells", "chimes"),
    "voice": ("voice", "voices", "vocal", "vocals", "vocalist", "singer", "singers", "sings", "singing", "choir"),
}
"""Families by the words that name them. A count of words, not of claims: ``no vocals`` names the voice."""
_FAMILIES = {form: family for family, forms in INSTRUMENTS.items() for form in forms}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """A text that several songs have."""

    text: str
    songs: int
    share: float
    """Of all songs."""


class RepeatTally:
    """Counts in how many songs a text occurs. Of a text that occurs once only its hash is kept."""

    def __init__(self) -> None:
        self._songs: dict[int, int] = {}
        self._texts: dict[int, str] = {}

    def add(self, texts: Iterable[str]) -> None:
        """The texts of one song, however often it has each."""
        for text in set(texts):
            key = hash(text)
            songs = self._songs[key] = self._songs.get(key, 0) + 1
            if songs == 2:
                self._texts[key] = text

    def top(self, num_songs: int) -> tuple[Repeated, ...]:
        """The texts of most songs, of those that two songs have at least."""
        ordered = sorted((-self._songs[key], text) for key, text in self._texts.items())[:TOP_TEXTS]
        return tuple(Repeated(text=text, songs=-songs, share=share(-songs, num_songs)) for songs, text in ordered)

    def single_share(self) -> float:
        """Of the songs' texts, those that stand in one song only."""
        return share(len(self._songs) - len(self._texts), sum(self._songs.values()))

    def num_shared(self) -> int:
        """Songs with a text that another one has too, for one text per song."""
        return sum(self._songs[key] for key in self._texts)


class TextTally:
    """The words of accepted captions."""

    def __init__(self, seed: str) -> None:
        self._diversity = DiversityTally(seed)
        self._words = array("d")
        self._long_words = array("d")
        self._section_words = array("d")
        self._repetition = array("d")
        self._texts = RepeatTally()
        self._openings = RepeatTally()
        self._section_openings = RepeatTally()
        self._sentences = RepeatTally()
        self._instruments: Counter[str] = Counter()

    def add(self, batch: pa.RecordBatch) -> None:
        sections = batch["sections"].flatten()
        descriptions = sections.field("description").to_pylist()
        ends_s = sections.field("end_s").to_pylist()
        self._section_words.extend(len(description.split()) for description in descriptions)
        names = ("track_id", "clock_free_text", "global_text", "num_words", "repetition")
        counts = pc.list_value_length(batch["sections"]).to_pylist()
        first = 0
        for track_id, text, global_text, num_words, repetition, count in zip(
            *(batch[name].to_pylist() for name in names), counts, strict=True
        ):
            of_track = slice(first, first + count)
            first += count
            self._words.append(num_words)
            if max(ends_s[of_track], default=0.0) > LONG_TRACK_S:
                self._long_words.append(num_words)
            self._repetition.append(repetition)
            tokens = words(text)
            self._diversity.add(track_id, text, tokens, repetition)
            self._instruments.update({_FAMILIES[token] for token in _FAMILIES.keys() & set(tokens)})
            self._add_repeated(text, global_text, descriptions[of_track])

    def _add_repeated(self, text: str, global_text: str, descriptions: Sequence[str]) -> None:
        self._texts.add([text])
        self._openings.add([_opening(text)])
        self._section_openings.add(map(_opening, descriptions))
        self._sentences.add(s.casefold() for part in (global_text, *descriptions) for s in sentences(part))

    def result(self) -> dict[str, Any]:
        num_texts = len(self._words)
        return {
            "words": distribution(self._words, 25.0, 32),
            "long_tracks": len(self._long_words),
            "long_words": distribution(self._long_words, 25.0, 32),
            "short_share": share(sum(n < LONG_CAPTION_WORDS for n in self._long_words), len(self._long_words)),
            "section_words": distribution(self._section_words, 4.0, 25),
            "repetition": distribution(self._repetition, 0.01, 20),
            "repetition_over_05": share(sum(value > 0.05 for value in self._repetition), num_texts),
            "repetition_over_15": share(sum(value > 0.15 for value in self._repetition), num_texts),
            "whole": self._diversity.whole(),
            "stretches": self._diversity.stretches(),
            "novelty": self._sentences.single_share(),
            "copies": self._texts.num_shared(),
            "openings": self._openings.top(num_texts),
            "section_openings": self._section_openings.top(num_texts),
            "sentences": self._sentences.top(num_texts),
            "instruments": {name: share(count, num_texts) for name, count in ranked(self._instruments).items()},
        }


def _opening(text: str) -> str:
    return " ".join(words(" ".join(text.split(maxsplit=OPENING_WORDS)[:OPENING_WORDS])))
