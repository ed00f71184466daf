"""What the statistics of captions should be, and what to do where they are not.

Bounds come from the aims of the dataset, from people (MusicCaps, measured by our own code) and from
what is known of captions that went wrong (FUTGA's demos). The rest are judgement: set where a person
should look, and never a reason to drop a track.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tasks.reporting.captions.diversity import HUMAN
from tasks.reporting.captions.statistics import CaptionStatistics
from tasks.reporting.captions.tallies import UNIFORM

MIN_TRACKS = 20
"""Below it nothing is said about a collection: two songs of ten that open alike are no template."""
HUMAN_OPENING_SHARE = 0.182
"""Of MusicCaps' captions that share the most frequent first five words ("The low quality recording features")."""
HUMAN_SENTENCE_SHARE = 0.039
"""Of its captions that share the most frequent sentence ("The song is an instrumental.")."""

MAX_SELF_BLEU = 0.6
"""In stretches as long as people's captions, which have .38; our rules, from a few hundred phrases, come to .62."""

Unit = Literal["share", "words", "number", "captions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One figure beside its bound."""

    name: str
    value: float
    bound: float
    side: Literal["at least", "at most"]
    unit: Unit
    advice: str
    """What to do where the bound is broken."""

    @property
    def alarm(self) -> bool:
        return self.value < self.bound if self.side == "at least" else self.value > self.bound

    @property
    def shown(self) -> str:
        return _shown(self.value, self.unit)

    @property
    def expected(self) -> str:
        return f"{self.side} {_shown(self.bound, self.unit)}"


def checks(statistics: CaptionStatistics) -> list[Check]:
    """Every check that the captions are many enough for, alarms first."""
    found = list(_outcomes(statistics))
    if statistics.accepted >= MIN_TRACKS:
        found += [*_lengths(statistics), *_sections(statistics), *_variety(statistics), *_templates(statistics)]
    return sorted(found, key=lambda check: not check.alarm)


def _outcomes(statistics: CaptionStatistics) -> Iterator[Check]:
    if statistics.tracks == 0:
        return
    yield Check(
        name="tracks with an accepted caption",
        value=_ratio(statistics.accepted, statistics.tracks),
        bound=0.95,
        side="at least",
        unit="share",
        advice="read the reasons below; mend the model or its server, then caption those tracks anew",
    )
    worst = min(statistics.rules, key=lambda rule: rule.pass_rate)
    if worst.broken:
        yield Check(
            name=f"first answers that pass the rule they break most ({worst.rule})",
            value=worst.pass_rate,
            bound=0.8,
            side="at least",
            unit="share",
            advice=f"what is mended so often should be asked for: change the prompt with regard to {worst.rule}",
        )
    sections = sum(statistics.writers.values())
    if statistics.writers.get("model"):
        yield Check(
            name="sections that rules had to write for the model",
            value=_ratio(statistics.writers.get("rules", 0), sections),
            bound=0.05,
            side="at most",
            unit="share",
            advice="the model fails on them even when asked again; look at the repairs, raise max_refills",
        )


def _lengths(statistics: CaptionStatistics) -> Iterator[Check]:
    if statistics.long_tracks:
        yield Check(
            name="median words per caption, tracks over two minutes",
            value=statistics.long_words.median,
            bound=250,
            side="at least",
            unit="words",
            advice="raise the words asked for per section, or min_words",
        )
    yield Check(
        name="median share of repeated 4-grams in a caption",
        value=statistics.repetition.median,
        bound=0.05,
        side="at most",
        unit="share",
        advice="the model goes in circles: another temperature or model, fewer words",
    )
    yield Check(
        name="captions with over 15 % repeated 4-grams",
        value=statistics.repetition_over_15,
        bound=0.0,
        side="at most",
        unit="share",
        advice="validation should have refused these; they were accepted under an older version of it: caption anew",
    )


def _sections(statistics: CaptionStatistics) -> Iterator[Check]:
    if statistics.section_variation.count:
        yield Check(
            name="median variation of section lengths within a track",
            value=statistics.section_variation.median,
            bound=UNIFORM,
            side="at least",
            unit="number",
            advice="uniform slicing: the boundaries follow the clock, not the music; use anchored sections",
        )
    if statistics.letters:
        yield Check(
            name="tracks where some music returns",
            value=statistics.returning_share,
            bound=0.3,
            side="at least",
            unit="share",
            advice="most songs repeat a part: look at the letters of a few songs you know",
        )
        yield Check(
            name="sections under the most frequent letter",
            value=_ratio(max(statistics.letters.values()), sum(statistics.letters.values())),
            bound=0.8,
            side="at most",
            unit="share",
            advice="the analysis hears one and the same music throughout; look at its clustering",
        )


def _variety(statistics: CaptionStatistics) -> Iterator[Check]:
    ours = statistics.stretches
    if ours.num_words >= HUMAN.num_words / 2:  # fewer words give a higher share, which says nothing
        yield Check(
            name="distinct-2 in stretches as people's captions",
            value=ours.distinct_2,
            bound=round(HUMAN.distinct_2 / 2, 3),
            side="at least",
            unit="number",
            advice="few turns of phrase: another temperature, more wordings, or several prompts",
        )
    yield Check(
        name="self-BLEU in stretches as people's captions",
        value=ours.self_bleu,
        bound=MAX_SELF_BLEU,
        side="at most",
        unit="number",
        advice="captions resemble each other: see the openings and sentences below",
    )
    yield Check(
        name="captions that are word for word another track's",
        value=statistics.copies,
        bound=0,
        side="at most",
        unit="captions",
        advice="a server that answers from a cache, or an import with one text for many tracks",
    )
    if statistics.instruments and statistics.writers.keys() - {"rules"}:  # rules speak of bass and percussion only
        name, share = next(iter(statistics.instruments.items()))
        yield Check(
            name=f"captions that name the most frequent instrument ({name})",
            value=share,
            bound=0.9,
            side="at most",
            unit="share",
            advice="a model that names it in every song may not hear it; check it in the audit sample",
        )


def _templates(statistics: CaptionStatistics) -> Iterator[Check]:
    advice = "a template: the model or the rules begin or say the same everywhere; change the prompt or the phrases"
    for name, found, bound in (
        ("captions that open with the same five words", statistics.openings, HUMAN_OPENING_SHARE),
        ("songs with a section that opens with the same five words", statistics.section_openings, 0.25),
        ("songs that share one whole sentence", statistics.sentences, 2 * HUMAN_SENTENCE_SHARE),
    ):
        share = found[0].share if found else 0.0
        yield Check(name=name, value=share, bound=round(bound, 3), side="at most", unit="share", advice=advice)


def headlines(statistics: CaptionStatistics) -> list[tuple[str, str, str]]:
    """Figure, value, and what people reach where that is known."""
    weakest = min((rule.pass_rate for rule in statistics.rules), default=0.0)
    short = _shown(statistics.short_share, "share") if statistics.long_tracks else "–"
    return [
        ("accepted", _shown(_ratio(statistics.accepted, statistics.tracks), "share"), ""),
        ("words per caption, median", _shown(statistics.words.median, "words"), ""),
        ("under 250 words, tracks over two minutes", short, ""),
        ("sections per track, median", _shown(statistics.sections_per_track.median, "words"), "10"),
        ("variation of section lengths, median", _shown(statistics.section_variation.median, "number"), "0.38"),
        ("repeated 4-grams, mean", f"{statistics.whole.repetition:.2%}", f"{HUMAN.repetition:.2%}"),
        ("self-BLEU in stretches", f"{statistics.stretches.self_bleu:.2f}", f"{HUMAN.self_bleu:.2f}"),
        ("pass rate of the weakest rule", _shown(weakest, "share"), ""),
    ]


def _shown(value: float, unit: Unit) -> str:
    return {"share": f"{value:.1%}", "number": f"{value:.2f}"}.get(unit, f"{value:,.0f}")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
