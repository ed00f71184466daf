from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from data_specs.arrow import from_dict
from data_specs.outcomes import ok
from data_specs.records import Attributes, Caption
from tasks.engine.workspace import Workspace
from tasks.reporting.captions.audit import Audited, audit_csv, audit_sample, shares
from tasks.reporting.captions.checks import checks
from tasks.reporting.captions.page import page
from tasks.reporting.captions.report import markdown, write_caption_report
from tasks.reporting.captions.statistics import CaptionStatistics, caption_statistics
from tests.tasks.reporting.captions.made import made_up, outcomes, write, write_manifest
from tests.tasks.reporting.pages.reader import Reader

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&amp;'


def audited(caption: Caption, url: str = "https://x.org/a") -> Audited:
    return Audited(split="train", shard="train-00000.tar", url=url, duration_s=200.0, caption=caption)


def hostile(number: int) -> Caption:
    caption = made_up(number, opening=f"{HOSTILE} opens this song.", flaws=(HOSTILE,), repairs=(HOSTILE,))
    sections = tuple(replace(s, description=f"{HOSTILE} {s.description}", letter=HOSTILE) for s in caption.sections)
    attributes = Attributes(genres=(HOSTILE,), moods=(HOSTILE,))
    return replace(
        caption, sections=sections, attributes=attributes, warnings=(HOSTILE,), model=HOSTILE, captioner=HOSTILE
    )


def test_no_text_of_a_caption_becomes_markup(tmp_path: Path) -> None:
    captions = [hostile(number) for number in range(25)]
    found = caption_statistics(write(tmp_path, [(caption.track_id, ok(caption)) for caption in captions]))
    html = page(
        HOSTILE, found, [audited(captions[0], "javascript:alert(1)"), audited(captions[1], f"http://x/{HOSTILE}")]
    )
    read = Reader(html)
    assert not read.tags & {"script", "img", "iframe", "link", "object", "embed"}
    assert not {name for name in read.attributes if name.startswith("on")}
    assert read.addresses == [f"http://x/{HOSTILE}"]
    assert read.text.count(HOSTILE) > 10
    assert "default-src 'none'" in html
    assert HOSTILE not in markdown(found)


def test_the_page_says_what_the_statistics_say(tmp_path: Path) -> None:
    made = outcomes(60)
    found = caption_statistics(write(tmp_path, made))
    sample = [audited(outcome.record) for _, outcome in made if outcome.reason is None]
    read = Reader(page("songs", found, sample))
    alarms = [check for check in checks(found) if check.alarm]
    assert alarms
    assert f"{len(alarms)} alarms, {len(checks(found))} checks" in read.text
    for check in checks(found):
        assert check.name in read.text
    assert "this is a song that opens like many." in read.text
    shown = [one for one in sample if one.caption.track_id in read.text]
    assert len(shown) == 10
    for one in shown:
        for paragraph in one.caption.long_text.split("\n\n"):
            assert paragraph in read.text


def test_a_page_of_nothing(tmp_path: Path) -> None:
    found = caption_statistics(write(tmp_path, []))
    assert "0 accepted of 0" in Reader(page("songs", found, [])).text
    assert "No alarm." in markdown(found)


def test_a_text_with_paragraphs_of_its_own_is_shown_whole() -> None:
    caption = replace(
        made_up(1), long_text="One.\n\nTwo.\n\nThree.\n\nFour.\n\nFive.\n\nSix.\n\nSeven.\n\nEight.\n\nNine."
    )
    found = caption_statistics([])
    text = Reader(page("songs", found, [audited(caption)])).text
    assert all(word in text for word in ("One.", "Two.", "Nine."))


def test_the_report_publishes_three_files(tmp_path: Path) -> None:
    made = outcomes(40)
    paths = write(tmp_path, made)
    rows = [(track_id, "train", 200.0) for track_id, outcome in made if outcome.reason is None]
    manifest = write_manifest(tmp_path / "manifest.parquet", rows)
    found = caption_statistics(paths)
    write_caption_report("songs", found, audit_sample(paths, manifest), Workspace(tmp_path))
    data = json.loads((tmp_path / "captions.json").read_bytes())
    kept = {name: value for name, value in data.items() if name != "checks"}
    assert from_dict(CaptionStatistics, kept) == found
    assert sum(check["alarm"] for check in data["checks"]) == sum(check.alarm for check in checks(found))
    assert (tmp_path / "captions.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    table = list(csv.DictReader(io.StringIO((tmp_path / "caption_audit.csv").read_text(encoding="utf-8-sig"))))
    assert {row["track_id"] for row in table} == {row[0] for row in rows}


def test_the_audit_table_is_whole_and_inert() -> None:
    caption = replace(
        made_up(3, bounds_s=[0, 17.1, 65]), track_id="-dash_Id", long_text='=HYPERLINK("x"), said\n\nTwo.'
    )
    caption = replace(caption, flaws=("key", "bpm"))
    text = audit_csv([audited(caption, "@sum")]).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["track_id"] == "-dash_Id", "the name in the dataset stays"
    assert row["caption"] == "'" + caption.long_text
    assert row["url"] == "'@sum"
    first, second = caption.sections
    assert row["sections"] == (
        f"0:00 to 0:17 {first.label} {first.letter}\n0:17 to 1:05 {second.label} {second.letter}"
    )
    assert (row["flaws"], row["duration"]) == ("key bpm", "3:20")
    assert {row[name] for name in ("correct", "unsupported", "contradicted", "comment")} == {""}


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [
        ([90, 10], 10, [9, 1]),
        ([990, 9, 1], 10, [8, 1, 1]),  # one of each first
        ([5, 5], 100, [5, 5]),  # fewer than asked for
        ([3, 3, 3], 2, [1, 1, 0]),
        ([], 10, []),
    ],
)
def test_shares_of_the_strata(sizes: list[int], count: int, expected: list[int]) -> None:
    assert shares(sizes, count) == expected


def test_the_audit_spreads_over_splits_and_durations(tmp_path: Path) -> None:
    captions = [made_up(number) for number in range(60)]
    paths = write(tmp_path, [(caption.track_id, ok(caption)) for caption in captions])
    published = [
        (caption.track_id, "test" if number % 6 == 0 else "train", 600.0 if number % 10 == 0 else 180.0)
        for number, caption in enumerate(captions[:50])
    ]
    manifest = write_manifest(tmp_path / "manifest.parquet", published)
    drawn = audit_sample(paths, manifest, count=12)
    assert len({one.caption.track_id for one in drawn}) == 12
    assert {(one.split, one.duration_s) for one in drawn} == {
        ("test", 180.0), ("test", 600.0), ("train", 180.0), ("train", 600.0)
    }  # fmt: skip
    assert {one.caption.track_id for one in drawn} <= {row[0] for row in published}
    assert sum(one.split == "test" for one in drawn) in (2, 3)
    assert drawn == audit_sample(list(reversed(paths)), manifest, count=12)
    assert drawn != audit_sample(paths, manifest, count=12, seed=1)


def test_a_manifest_of_other_parts_is_refused(tmp_path: Path) -> None:
    paths = write(tmp_path, [("a", ok(replace(made_up(1), track_id="a")))])
    manifest = write_manifest(tmp_path / "manifest.parquet", [("b", "train", 10.0)])
    with pytest.raises(ValueError, match="no caption of b"):
        audit_sample(paths, manifest)
