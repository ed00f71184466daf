from __future__ import annotations

import json
import statistics as stdlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from data_specs.arrow import from_dict, to_dict
from data_specs.leads import words
from data_specs.outcomes import Status, ok
from data_specs.records import Caption
from data_specs.scope import sentences
from tasks.caption.validate import ANSWER_FLAWS, RULES
from tasks.engine.parts import read_rows
from tasks.reporting.captions.checks import Check, checks, headlines
from tasks.reporting.captions.distribution import distribution
from tasks.reporting.captions.statistics import CaptionStatistics, caption_statistics
from tasks.reporting.captions.tallies import NUM_POSITIONS
from tests.tasks.reporting.captions.made import made_up, outcomes, write


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write(tmp_path_factory.mktemp("parts"), outcomes(60))


@pytest.fixture(scope="module")
def found(parts: list[Path]) -> CaptionStatistics:
    return caption_statistics(parts)


@pytest.fixture(scope="module")
def captions(parts: list[Path]) -> list[Caption]:
    """The accepted ones, by the plain way of the records."""
    rows = [row for path in parts for row in read_rows(path, Caption)]
    return [row.outcome.record for row in rows if row.outcome.status is Status.OK]


def test_outcomes_are_those_of_the_rows(parts: list[Path], found: CaptionStatistics) -> None:
    rows = [row for path in parts for row in read_rows(path, Caption)]
    written = [row.outcome.record for row in rows if row.outcome.record is not None]
    assert (found.tracks, found.written) == (60, len(written))
    assert found.accepted == sum(row.outcome.status is Status.OK for row in rows)
    assert found.reasons == {"caption_invalid": 6, "caption_refused": 5}
    rates = {rate.rule: rate for rate in found.rules}
    broken = sum("words_min" in caption.flaws for caption in written)
    assert rates["words_min"].broken == rates["key"].broken == broken > 0
    assert rates["key"].pass_rate == pytest.approx(1 - broken / len(written), abs=1e-6)
    assert rates["empty_text"].pass_rate == 1.0
    assert list(rates) == [*ANSWER_FLAWS, *RULES]
    assert rates["json"].broken == sum("json" in caption.flaws for caption in written) > 0
    assert found.rejected_by == {"key": 6}
    mended = sum(bool(caption.repairs) for caption in written)
    assert found.repaired == mended
    assert found.repairs == {"drop_sentence:lyrics": mended, "refill": mended, "rules": mended}
    assert found.refills == 2 * mended


def test_a_flaw_that_is_no_rule_is_not_lost(tmp_path: Path) -> None:
    caption = made_up(1, flaws=("of_old",))
    found = caption_statistics(write(tmp_path, [(caption.track_id, ok(caption))]))
    assert [rate.broken for rate in found.rules if rate.rule == "others"] == [1]


def test_provenance_and_attributes(found: CaptionStatistics, captions: list[Caption]) -> None:
    assert {p.version: p.captions for p in found.provenance} == Counter(caption.version for caption in captions)
    assert {(p.captioner, p.model, p.prompt) for p in found.provenance} == {("model-1", "some/model", "v1/both/one")}
    assert found.attributes["genres"] == Counter(caption.attributes.genres[0] for caption in captions)
    assert found.attributes["moods"] == {"calm": len(captions)}, "once per caption"
    assert found.attributes["vocals"] == {"female": len(captions)}
    assert found.attributes["tempo_word"] == {}


def test_lengths(found: CaptionStatistics, captions: list[Caption]) -> None:
    assert found.words.median == stdlib.median(caption.num_words for caption in captions)
    assert sum(found.words.bins) == found.words.count == len(captions)
    long = [caption.num_words for caption in captions if caption.sections[-1].end_s > 120]
    assert found.long_tracks == len(long) > 0
    assert found.short_share == pytest.approx(sum(n < 250 for n in long) / len(long), abs=1e-6)
    per_section = [len(section.description.split()) for caption in captions for section in caption.sections]
    assert found.section_words.mean == pytest.approx(stdlib.fmean(per_section), abs=1e-3)
    assert found.repetition.mean == pytest.approx(stdlib.fmean(c.repetition for c in captions), abs=1e-4)
    assert found.repetition_over_05 == pytest.approx(
        sum(c.repetition > 0.05 for c in captions) / len(captions), abs=1e-6
    )


def test_sections(found: CaptionStatistics, captions: list[Caption]) -> None:
    assert found.sections_per_track.mean == pytest.approx(stdlib.fmean(len(c.sections) for c in captions), abs=1e-4)
    lengths = [[s.end_s - s.start_s for s in c.sections] for c in captions]
    variation = [stdlib.pstdev(of) / stdlib.fmean(of) for of in lengths if len(of) >= 3]
    assert found.section_variation.count == len(variation)
    assert found.section_variation.median == pytest.approx(stdlib.median(variation), abs=1e-3)
    assert found.uniform_share == pytest.approx(sum(v < 0.15 for v in variation) / len(variation), abs=1e-6)
    letters = [[section.letter for section in caption.sections] for caption in captions]
    assert found.letters == Counter(letter for of in letters for letter in of)
    assert found.returning_share == pytest.approx(
        sum(len(set(of)) < len(of) for of in letters) / len(letters), abs=1e-6
    )
    assert found.writers == Counter(section.writer for caption in captions for section in caption.sections)


def test_labels_over_position_are_those_of_many_points(found: CaptionStatistics, captions: list[Caption]) -> None:
    """The naive way: ask at a thousand points of each track which label holds there."""
    points = 1000
    counts: dict[str, list[float]] = {}
    for caption in captions:
        for point in range(points):
            at_s = (point + 0.5) / points * caption.sections[-1].end_s
            label = next(section.label for section in caption.sections if at_s < section.end_s)
            counts.setdefault(label, [0.0] * NUM_POSITIONS)[point * NUM_POSITIONS // points] += 1
    per_tenth = points / NUM_POSITIONS * len(captions)
    assert found.labels_by_position.keys() == counts.keys()
    for label, shares in found.labels_by_position.items():
        assert shares == pytest.approx([count / per_tenth for count in counts[label]], abs=0.005)
    assert [sum(column) for column in zip(*found.labels_by_position.values(), strict=True)] == pytest.approx(
        [1.0] * NUM_POSITIONS, abs=0.001
    )


def test_repeated_texts_are_counted_once_per_song(found: CaptionStatistics, captions: list[Caption]) -> None:
    said = Counter()
    for caption in captions:
        texts = [caption.global_text, *(section.description for section in caption.sections)]
        said.update({line.casefold() for text in texts for line in sentences(text)})
    assert found.sentences[0].text == "this is a song that opens like many."
    assert {one.text: one.songs for one in found.sentences} == {text: n for text, n in said.items() if n > 1}
    assert found.novelty == pytest.approx(sum(n == 1 for n in said.values()) / said.total(), abs=1e-6)
    openings = Counter(" ".join(words(caption.clock_free_text)[:5]) for caption in captions)
    assert (found.openings[0].text, found.openings[0].songs) == openings.most_common(1)[0]
    assert found.openings[0].share == pytest.approx(found.openings[0].songs / len(captions), abs=1e-6)
    assert found.copies == 0


def test_instruments_are_found_by_any_of_their_words(found: CaptionStatistics, captions: list[Caption]) -> None:
    for family, forms in (("voice", {"voices"}), ("guitar", {"guitar"})):
        share = sum(bool(forms & set(words(caption.clock_free_text))) for caption in captions) / len(captions)
        assert found.instruments[family] == pytest.approx(share, abs=1e-6)
    assert "brass" not in found.instruments


def test_the_order_of_the_parts_changes_nothing(parts: list[Path], found: CaptionStatistics) -> None:
    assert caption_statistics(reversed(parts)) == found


def test_the_statistics_survive_json(found: CaptionStatistics) -> None:
    assert from_dict(CaptionStatistics, json.loads(json.dumps(to_dict(found)))) == found


def test_a_build_without_any_caption_has_statistics_too(tmp_path: Path) -> None:
    refused = [made for made in outcomes(60) if made[1].status is Status.FAILED]
    found = caption_statistics(write(tmp_path, refused))
    assert (found.tracks, found.written, found.accepted, found.words.count) == (5, 0, 0, 0)
    assert [check.name for check in checks(found) if check.alarm] == ["tracks with an accepted caption"]
    assert headlines(found)
    assert checks(caption_statistics(write(tmp_path, []))) == []


def alarms(folder: Path, captions: list[Caption]) -> dict[str, Check]:
    paths = write(folder, [(caption.track_id, ok(caption)) for caption in captions])
    return {check.name: check for check in checks(caption_statistics(paths)) if check.alarm}


def test_the_alarm_of_uniform_slicing(tmp_path: Path) -> None:
    name = "median variation of section lengths within a track"
    sliced = [made_up(number, bounds_s=[0, 20, 41, 60, 80, 101]) for number in range(20)]
    varied = [made_up(number, bounds_s=[0, 8, 40, 50, 80, 101]) for number in range(20)]
    assert name in alarms(tmp_path, sliced)
    assert name not in alarms(tmp_path, varied)


def test_the_alarms_of_templates_and_copies(tmp_path: Path) -> None:
    same = [made_up(number, opening="Here comes one more of these.") for number in range(20)]
    found = alarms(tmp_path, same)
    assert found["captions that open with the same five words"].value == 1.0
    assert found["songs that share one whole sentence"].value == 1.0
    assert "captions that open with the same five words" not in alarms(tmp_path, [made_up(n) for n in range(20)])
    copies = [replace(made_up(1), track_id=f"copy-{number}") for number in range(2)]
    found = alarms(tmp_path, [*copies, *(made_up(number) for number in range(2, 20))])
    assert found["captions that are word for word another track's"].value == 2


def test_sections_without_letters_say_nothing_of_what_returns(tmp_path: Path) -> None:
    captions = [made_up(number, bounds_s=[0, 8, 40, 50, 80]) for number in range(20)]
    bare = [replace(c, sections=tuple(replace(s, letter="") for s in c.sections)) for c in captions]
    found = caption_statistics(write(tmp_path, [(caption.track_id, ok(caption)) for caption in bare]))
    assert (found.letters, found.returning_share, found.letters_per_track.count) == ({}, 0.0, 0)
    assert not [check.name for check in checks(found) if "letter" in check.name or "returns" in check.name]


def test_few_captions_raise_no_alarm_of_a_collection(tmp_path: Path) -> None:
    same = [made_up(number, bounds_s=[0, 20, 40, 60], opening="All open like this one.") for number in range(19)]
    assert list(alarms(tmp_path, same)) == ["sections that rules had to write for the model"]


def test_a_distribution_holds_what_lies_beyond_its_bins() -> None:
    found = distribution([0.0, 1.0, 2.5, 99.0], bin_width=1.0, num_bins=3)
    assert found.bins == (1, 1, 2)
    assert (found.minimum, found.median, found.maximum, found.mean) == (0.0, 1.75, 99.0, 25.625)
    assert distribution([], 1.0, 3).bins == (0, 0, 0)
