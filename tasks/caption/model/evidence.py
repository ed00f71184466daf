"""What a text-only merge may name: the instruments, voices and genres that somebody heard, and no others.

Inviting a language model to fill a description from tags triples the instruments that it makes up: .38 of
those named against .13 (measured on the stored outputs of LP-MusicCaps, Doh et al. 2023, arXiv 2307.16372).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from data_specs.records import Attributes
from data_specs.scope import sentences

_WORDS = {
    # instruments; a family is named by any of its members
    "guitar": r"guitars?|guitarists?|strum\w*|power chords?",
    "bass": r"bass(?:es|line|lines)?|contrabass\w*|sub-?bass|low end",
    "drums": r"drum\w*|percuss\w+|kicks?(?! in)|snares?|hi-?hats?|cymbals?|toms?|backbeat|four-on-the-floor",
    "hand percussion": r"congas?|bongos?|tambourines?|shakers?|maracas|djembes?|tablas?|castanets|cowbells?",
    "piano": r"pianos?|pianists?|keyboards?|rhodes|clavinet",
    "organ": r"organs?|hammond|harmonium|accordions?",
    "synthesizer": r"synth\w*|pads?|arpeggiat\w+|sequencers?|electronic\w*",
    "strings": r"strings?|violins?|violas?|cellos?|fiddles?|orchestra\w*",
    "plucked": r"harps?|banjos?|mandolins?|ukuleles?|lutes?|sitars?|kotos?|ouds?|zithers?|dulcimers?",
    "brass": r"brass|trumpets?|trombones?|tubas?|horns?|cornets?|flugelhorns?|fanfares?",
    "saxophone": r"sax(?:es|ophones?|ophonists?)?",
    "woodwind": r"woodwinds?|flutes?|clarinets?|oboes?|bassoons?|piccolos?|recorders|whistles?|pipes?|bagpipes?",
    "harmonica": r"harmonicas?",
    "mallets": r"bells?|glockenspiels?|xylophones?|marimbas?|vibraphones?|celestas?|chimes?|kalimbas?|music box",
    "turntables": r"turntables?|scratch(?:es|ing)",
    # voices
    "voice": r"voices?|vocals?|vocalists?|sing|sings|singing|singers?|sung|hum(?:s|med|ming)?|a cappella",
    "choir": r"choirs?|chorales?|choral",
    "rap": r"raps?|rapping|rappers?|mcs?",
    "speech": r"spoken|speaks?|speaking|narrat\w+|speech",
    # genres
    "rock": r"rock|punk|grunge",
    "metal": r"metal|metalcore|djent",
    "jazz": r"jazz\w*|bebop",
    "blues": r"blues\w*",
    "classical": r"classical|baroque|symphon\w+|romantic era",
    "folk": r"folk\w*|celtic|bluegrass",
    "country": r"country|honky-?tonk",
    "hip hop": r"hip[ -]?hop|trap|boom bap",
    "house": r"house|techno|trance|edm|dubstep|drum and bass|electro|rave",
    "ambient": r"ambient|new age",
    "pop": r"pop|disco|synth-?pop",
    "soul": r"soul|r&b|funk\w*|gospel|motown",
    "reggae": r"reggae|dub|ska|dancehall",
    "latin": r"latin|salsa|samba|bossa nova|tango|flamenco|cumbia|reggaeton",
    "march": r"march(?:es|ing)?|waltz(?:es)?|polka",
}
_PATTERNS = {name: re.compile(rf"(?<![\w-])(?:{words})(?![\w])", re.IGNORECASE) for name, words in _WORDS.items()}
_PERCUSSION = ("drums", "hand percussion")
_VOICES = ("voice", "choir", "rap", "speech")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was named by those who heard the music, or told from its measurements."""

    names: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[str], heard: Attributes) -> Evidence:
        lists = (
            heard.instruments,
            heard.genres,
            () if heard.vocals in ("none", "unknown") else ("voice", heard.vocals),
        )
        found = named(" ; ".join([*texts, *(" ; ".join(values) for values in lists)]))
        # A word for the family is evidence of a member: who notes percussion may have heard a tambourine.
        for family in (_PERCUSSION, _VOICES):
            if family[0] in found:
                found |= set(family)
        return cls(frozenset(found))

    def supports(self, sentence: str) -> bool:
        return named(sentence) <= self.names

    def kept(self, text: str) -> str:
        """The sentences that name nothing else."""
        return " ".join(sentence for sentence in sentences(text) if self.supports(sentence))

    def kept_attributes(self, attributes: Attributes) -> Attributes:
        """Without the instruments, genres and voices that nothing speaks for; names outside the vocabulary stay."""
        return replace(
            attributes,
            instruments=tuple(filter(self.supports, attributes.instruments)),
            genres=tuple(filter(self.supports, attributes.genres)),
            vocals=attributes.vocals if self._has_vocals(attributes.vocals) else "unknown",
        )

    def _has_vocals(self, vocals: str) -> bool:
        return vocals in ("none", "unknown") or bool(self.names & set(_VOICES))


def named(text: str) -> set[str]:
    """Names of the vocabulary that a text mentions by any of their words."""
    return {name for name, pattern in _PATTERNS.items() if pattern.search(text)}
