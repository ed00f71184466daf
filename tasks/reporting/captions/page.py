"""The caption dashboard of a build: one page that opens anywhere, a table to audit, and the figures as data.

Captions are what a model or a stranger's file said, so every text is escaped and the page forbids
itself scripts and anything from the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from data_specs.leads import clock
from tasks.reporting.captions.audit import RUBRIC, Audited
from tasks.reporting.captions.charts import histogram, legend, stacked
from tasks.reporting.captions.checks import HUMAN_OPENING_SHARE, HUMAN_SENTENCE_SHARE, Check, checks, headlines
from tasks.reporting.captions.diversity import HUMAN, Diversity
from tasks.reporting.captions.statistics import CaptionStatistics
from tasks.reporting.captions.tallies import NUM_POSITIONS, UNIFORM
from tasks.reporting.captions.texts import LONG_CAPTION_WORDS, Repeated
from tasks.reporting.pages import charts
from tasks.reporting.pages.document import document
from tasks.reporting.pages.markup import breakable, link, number, percent, shares, table

NUM_SHOWN = 10
AUDIT = "caption_audit.csv"


def page(name: str, statistics: CaptionStatistics, audit: Sequence[Audited]) -> str:
    """The whole page as HTML."""
    parts = [
        _alarms(checks(statistics)),
        _tiles(statistics),
        _answers(statistics),
        _origins(statistics),
        _distributions(statistics),
        _structure(statistics),
        _diversity(statistics),
        _repeated(statistics),
        _content(statistics),
        _rubric(len(audit)),
        _examples(audit),
    ]
    lead = f"{number(statistics.accepted)} accepted of {number(statistics.tracks)} that reached the captioner."
    return document(f"Captions of {name}", lead, "".join(parts))


def _alarms(found: Sequence[Check]) -> str:
    alarms = [check for check in found if check.alarm]
    cards = "".join(
        f"<li><b>{escape(check.name)}</b>: {check.shown}, expected {check.expected}.<br>"
        f"{escape(check.advice[:1].upper() + check.advice[1:])}.</li>"
        for check in alarms
    )
    state = f'<ul class="alarms">{cards}</ul>' if alarms else '<p class="calm">No alarm.</p>'
    rows = [[escape(check.name), check.shown, check.expected, "ALARM" if check.alarm else "good"] for check in found]
    every = table(["check", "value", "expected", ""], rows, numbers={1, 2})
    heading = f"{len(alarms)} alarm{'s' if len(alarms) != 1 else ''}, {len(found)} checks"
    return f"<h2>{heading}</h2>{state}<details><summary>Every check</summary>{every}</details>"


def _tiles(statistics: CaptionStatistics) -> str:
    tiles = "".join(
        f"<div><b>{value}</b><span>{escape(what)}</span>{f'<small>people: {people}</small>' if people else ''}</div>"
        for what, value, people in headlines(statistics)
    )
    note = "People: MusicCaps' captions, and the sections of the Harmonix Set."
    return f'<div class="tiles">{tiles}</div><p class="source">{note}</p>'


def _answers(statistics: CaptionStatistics) -> str:
    broken = sorted((rule for rule in statistics.rules if rule.broken), key=lambda rule: (rule.pass_rate, rule.rule))
    rows = [
        [f"<code>{breakable(rule.rule)}</code>", escape(rule.what), number(rule.broken), percent(rule.pass_rate)]
        for rule in broken
    ]
    kept = ", ".join(escape(rule.rule) for rule in statistics.rules if not rule.broken)
    said = (
        f"<p>{percent(statistics.repaired / max(1, statistics.written))} of the captions were repaired; sections were "
        f"asked for again {number(statistics.refills)} times.</p>"
    )
    return "".join(
        [
            f"<h2>First answers</h2><p>Rules that the captioner's first answer broke, of {number(statistics.written)} "
            "captions. What can be mended is mended; a caption that breaks a rule after that is rejected.</p>",
            table(["rule", "asks for", "broken", "pass rate"], rows, numbers={2, 3}) if rows else "",
            f'<p class="lead">Broken by none: {kept}.</p>' if kept else "",
            said,
        ]
    )


def _origins(statistics: CaptionStatistics) -> str:
    rows = [
        [number(p.captions), *map(escape, (p.captioner, p.model or "", p.prompt or "", p.settings[:8])), str(p.version)]
        for p in statistics.provenance
    ]
    columns = ["captions", "captioner", "model", "prompt", "settings", "version"]
    return "".join(
        [
            "<h2>How they came about</h2>",
            table(columns, rows, numbers={0, 5}) if rows else "",
            '<div class="columns">',
            shares("Rejected and failed", statistics.reasons, statistics.tracks, "tracks"),
            shares("Rejected by rule", statistics.rejected_by, statistics.tracks, "tracks"),
            shares("Sections by writer", statistics.writers, sum(statistics.writers.values()), "sections"),
            shares("Repairs", statistics.repairs, statistics.written, "captions"),
            shares("Warnings", statistics.warnings, statistics.written, "captions"),
            "</div>",
        ]
    )


def _distributions(statistics: CaptionStatistics) -> str:
    drawn = (
        ("words per caption", statistics.words, None),
        ("words per caption, tracks over two minutes", statistics.long_words, float(LONG_CAPTION_WORDS)),
        ("words per section", statistics.section_words, None),
        ("sections per track", statistics.sections_per_track, None),
        ("seconds per section", statistics.section_seconds, None),
        ("variation of section lengths", statistics.section_variation, UNIFORM),
        ("letters per track", statistics.letters_per_track, None),
        ("repeated 4-grams per caption", statistics.repetition, 0.05),
    )
    figures = "".join(
        f"<figure>{histogram(values, title, bound)}<figcaption><b>{title}</b> median {values.median:.3g}, "
        f"5 to 95 % {values.p5:.3g} to {values.p95:.3g}</figcaption></figure>"
        for title, values, bound in drawn
        if values.count
    )
    note = "<p>The line is the median, the broken line the bound. The last bar holds all that lies beyond it.</p>"
    long = f"{percent(statistics.short_share)} of {number(statistics.long_tracks)} captions of tracks over two minutes"
    more = (
        f"<p>{f'{long} have under 250 words.' if statistics.long_tracks else 'No track is over two minutes long.'} "
        f"{percent(statistics.uniform_share)} of the tracks have sections as good as equal in length (variation below "
        f"{UNIFORM}; Harmonix has 0.38, FUTGA's demos 0.05 to 0.21). {percent(statistics.repetition_over_05)} of the "
        f"captions repeat over 5 % of their 4-grams, {percent(statistics.repetition_over_15)} over 15 %.</p>"
    )
    return f'<h2>Distributions</h2>{note}<div class="charts">{figures}</div>{more}'


def _structure(statistics: CaptionStatistics) -> str:
    if not statistics.labels_by_position:
        return ""
    ticks = "".join(f"<span>{100 * tenth // NUM_POSITIONS} %</span>" for tenth in range(NUM_POSITIONS))
    picture = stacked(statistics.labels_by_position, "labels over position")
    return "".join(
        [
            "<h2>Labels over position</h2><p>Share of the music under each label, by tenth of the track.</p>",
            f'<figure>{picture}<div class="ticks">{ticks}</div></figure>',
            legend(statistics.labels_by_position),
            f"<p>In {percent(statistics.returning_share)} of the tracks some music returns; "
            f"{statistics.letters_per_track.mean:.1f} different letters per track on average.</p>",
            '<div class="columns">',
            shares("Sections by letter", statistics.letters, sum(statistics.letters.values()), "sections"),
            "</div>",
        ]
    )


def _diversity(statistics: CaptionStatistics) -> str:
    measures = (
        ("texts", "num_texts", "{:,}"),
        ("words", "num_words", "{:,}"),
        ("vocabulary", "vocabulary", "{:,}"),
        ("distinct-1", "distinct_1", "{:.4f}"),
        ("distinct-2", "distinct_2", "{:.4f}"),
        ("self-BLEU", "self_bleu", "{:.3f}"),
        ("repeated 4-grams, mean", "repetition", "{:.4f}"),
    )

    def row(title: str, name: str, form: str) -> list[str]:
        collections: Iterable[Diversity] = (statistics.stretches, HUMAN, statistics.whole)
        return [title, *(form.format(getattr(one, name)) for one in collections)]

    figures = table(["", "ours, in stretches", "people", "ours, whole"], [row(*m) for m in measures], {1, 2, 3})
    return (
        "<h2>Diversity</h2><p>People: the captions of MusicCaps' evaluation clips. More and longer texts have fewer "
        "distinct words per word and more 4-grams in common, so compare the first two columns only: of each sampled "
        f"caption one stretch as long as people's.</p>{figures}<p>{percent(statistics.novelty)} of the songs' "
        f"sentences stand in one song only; {number(statistics.copies)} captions are word for word another track's.</p>"
    )


def _repeated(statistics: CaptionStatistics) -> str:
    def column(title: str, note: str, found: Sequence[Repeated]) -> str:
        rows = [[f"<q>{escape(one.text)}</q>", number(one.songs), percent(one.share)] for one in found]
        body = table(["text", "songs", "share"], rows, numbers={1, 2}) if rows else "<p>None twice.</p>"
        return f"<section><h3>{title}</h3><p>{note}</p>{body}</section>"

    people_open, people_say = percent(HUMAN_OPENING_SHARE), percent(HUMAN_SENTENCE_SHARE)
    return "".join(
        [
            '<h2>What songs have in common</h2><div class="columns">',
            column("Openings of captions", f"First five words. People's top: {people_open}.", statistics.openings),
            column("Openings of sections", "First five words, once per song.", statistics.section_openings),
            column("Whole sentences", f"Once per song. People's top: {people_say}.", statistics.sentences),
            "</div>",
        ]
    )


def _content(statistics: CaptionStatistics) -> str:
    named = [[escape(name), percent(share), charts.bar(share)] for name, share in statistics.instruments.items()]
    families = table(["family", "captions", ""], named, numbers={1}) if named else "<p>None.</p>"
    attributes = "".join(
        shares(name.replace("_", " ").capitalize(), counts, statistics.accepted, "captions")
        for name, counts in statistics.attributes.items()
        if counts
    )
    note = "Captions with a word of the family; <q>no vocals</q> counts too."
    return (
        '<h2>What they speak of</h2><div class="columns">'
        f"<section><h3>Instruments in the text</h3><p>{note}</p>{families}</section>{attributes}</div>"
    )


def _rubric(num_audited: int) -> str:
    rows = [[f"<b>{escape(name)}</b>", escape(text)] for name, text in RUBRIC]
    return (
        f"<h2>Audit</h2><p><code>{AUDIT}</code> has {num_audited} captions, drawn by seed in proportion to splits and "
        "durations. Listen to each and fill the empty columns: the number of claims that are correct, unsupported and "
        "contradicted, and a comment. Good enough to train on: under 5 % contradicted.</p>"
        f"{table(['column', 'meaning'], rows)}"
    )


def _examples(audit: Sequence[Audited]) -> str:
    if not audit:
        return ""
    step = max(1, len(audit) // NUM_SHOWN)
    shown = audit[::step][:NUM_SHOWN]
    return f"<h2>{len(shown)} captions</h2>{''.join(map(_example, shown))}"


def _example(audited: Audited) -> str:
    caption = audited.caption
    first, *rest = caption.long_text.split("\n\n")
    marks = [
        f'<i class="mark {charts.letter_colour(section.letter)}">{escape(section.letter)}</i>'
        for section in caption.sections
    ]
    if len(marks) != len(rest):  # an imported text has its own paragraphs
        marks = [""] * len(rest)
    paragraphs = "".join(f"<p>{mark}{escape(text)}</p>" for mark, text in zip(marks, rest, strict=True))
    history = [
        f"{name}: {', '.join(what)}" for name, what in (("broke", caption.flaws), ("mended", caption.repairs)) if what
    ]
    return (
        f'<article><h3>{escape(caption.track_id)}</h3><p class="source">{escape(audited.split)}, '
        f"{clock(audited.duration_s)}, {number(caption.num_words)} words, {len(caption.sections)} sections, "
        f"{escape(caption.captioner)}{escape(''.join(f'; {line}' for line in history))}<br>{link(audited.url)}</p>"
        f"{charts.timeline(caption.sections)}<p>{escape(first)}</p>{paragraphs}</article>"
    )
