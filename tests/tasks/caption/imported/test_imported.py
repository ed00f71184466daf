"""FUTGA's records: every style of them read, put on the track's clock, mended and judged."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data_specs.outcomes import Outcome, Status
from data_specs.reasons import Reason
from data_specs.records import Caption
from data_specs.spec import ImportCaptions
from tasks.caption.captioner import Captioner
from tasks.caption.imported.captioner import ImportCaptioner, drafted
from tasks.caption.imported.futga import Segment, read, tiled
from tasks.caption.imported.source import Unreadable, records_identity, track_identity
from tasks.engine.errors import BuildError
from tests.tasks.caption.songs import plain_song

AUDIO, STRUCTURE = plain_song()
REAL = Path(__file__).parents[4].parent / "shared" / "data" / "futga"
TEXTS = (
    "A clean guitar picks slow arpeggios over a warm organ pad. A male voice hums softly.",
    "Drums and a round bass join with a steady groove. The singer reaches higher notes.",
    "Strings swell under bright piano chords. Hand percussion adds small accents.",
)
GLOBAL = "The music is a mellow ballad with a nostalgic mood. Guitar, organ and strings carry it."
JSON: dict[str, Any] = {
    "0-30": {"func": "Intro", "head": "**0-30% - Intro:**", "text": f"- {TEXTS[0]}"},
    "30-70": {"func": "Verse", "head": "**30-70% - Verse:**", "text": f"- {TEXTS[1]}"},
    "70-100": {"func": "Outro", "head": "**70-100% - Outro:**", "text": f"Outro\n- {TEXTS[2]}"},
    "global": {"func": None, "head": "global", "text": GLOBAL},
}
STYLES: dict[str, str | Mapping[str, Any]] = {
    "json": JSON,
    "label in the header": (
        f"{GLOBAL}\n\n**0-30% - Intro:**\n- {TEXTS[0]}\n\n**30-70% - Verse:**\n- {TEXTS[1]}\n\n"
        f"**70-100% - Outro:**\n- {TEXTS[2]}"
    ),
    "label behind the header": (
        f"{GLOBAL}\n\n**0-30:** Intro\n- {TEXTS[0]}\n\n**30-70:** Verse\n* {TEXTS[1]}\n\n"
        f"**70-100:** Outro\n1. {TEXTS[2]}"
    ),
    "on one line": f"{GLOBAL}\n0-30%: Intro - {TEXTS[0]}\n30-70%: Verse - {TEXTS[1]}\n70-100%: Outro - {TEXTS[2]}",
}


def _caption(path: Path, min_words: int = 60) -> Outcome[Caption]:
    captioner: Captioner = ImportCaptioner(ImportCaptions(captioner="import", path=str(path), min_words=min_words))
    return captioner.caption(AUDIO, STRUCTURE, 0, Path("."))


def _folder(tmp_path: Path, record: Any, track_id: str = "plain") -> Path:
    (tmp_path / f"{track_id}.json").write_text(json.dumps(record))
    return tmp_path


@pytest.mark.parametrize("style", STYLES)
def test_every_style_gives_the_same_record(style: str) -> None:
    record = read(STYLES[style])
    assert record.global_text == GLOBAL
    assert [(s.start, s.end, s.name) for s in record.segments] == [
        (0, 30, "Intro"),
        (30, 70, "Verse"),
        (70, 100, "Outro"),
    ]
    assert [s.text for s in record.segments] == list(TEXTS)


@pytest.mark.parametrize("style", STYLES)
def test_every_style_gives_a_valid_caption(tmp_path: Path, style: str) -> None:
    outcome = _caption(_folder(tmp_path, STYLES[style]))
    assert outcome.status is Status.OK, outcome.detail
    caption = outcome.record
    assert caption is not None
    assert (caption.captioner, caption.anchored, caption.num_words > 60) == ("import-1", False, True)
    assert [(s.start_s, s.end_s, s.label, s.writer) for s in caption.sections] == [
        (0.0, 54.0, "intro", "import"),
        (54.0, 126.0, "verse", "import"),
        (126.0, 180.0, "outro", "import"),
    ]


def test_bullets_become_sentences_and_what_follows_them_is_of_the_whole() -> None:
    record = read(
        {"0-100": {"func": "Verse", "text": "Verse\n- soft drums\n- Soft drums\n- a bass\n\nOverall, it is slow."}}
    )
    assert record.segments[0].text == "Soft drums. A bass."
    assert record.global_text == "Overall, it is slow."


def test_a_letter_is_that_of_the_section_heard_most_of() -> None:
    spans = ((0, 10), (10, 45), (45, 100))
    record = read({f"{a}-{b}": {"func": "Verse", "text": "- drums"} for a, b in spans})
    draft, repairs = drafted(record, STRUCTURE)
    for said in draft.sections:
        # Naively: tenths of seconds counted for each section.
        tenths = [t / 10 for t in range(round(said.start_s * 10), round(said.end_s * 10))]
        counts = [sum(s.start_s <= t < s.end_s for t in tenths) for s in STRUCTURE.sections]
        assert said.letter == STRUCTURE.sections[counts.index(max(counts))].letter
    assert not draft.anchored
    assert repairs == []


def _segments(*spans: tuple[float, float]) -> tuple[Segment, ...]:
    return tuple(Segment(start, end, "Verse", "Drums.") for start, end in spans)


def test_spans_within_two_percent_are_made_to_fill_the_song() -> None:
    assert tiled(_segments((1, 20), (22, 50), (49, 98))) == [(0.0, 21.0), (21.0, 49.5), (49.5, 100.0)]
    record = read({"1-20": {"text": "- a"}, "22-50": {"text": "- b"}, "50-100": {"text": "- c"}})
    assert drafted(record, STRUCTURE)[1] == ["tile:2"]


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        (((3, 50), (50, 100)), "3-50 % where the song begins at 0 %"),
        (((0, 50), (53, 100)), "53-100 % where the one before ends at 50 %"),
        (((0, 50), (47, 100)), "47-100 %"),
        (((0, 50), (50, 97)), "ends at 97 %"),
        (((0, 50), (50, 50), (50, 100)), "50-50 % has no length"),
    ],
)
def test_other_spans_are_a_reason(tmp_path: Path, spans: tuple[tuple[float, float], ...], message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        tiled(_segments(*spans))
    outcome = _caption(_folder(tmp_path, [f"**{a}-{b}% - Verse:**\n- drums" for a, b in spans]))
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.CAPTION_INVALID)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("I'm sorry, I cannot hear this.", "no segment"),
        ("", "no caption"),
        ([], "no caption"),
        ({}, "no caption"),
        (7, "no caption"),
        ({"verse": {"text": "- a"}}, "'verse' is neither"),
        ({"0-100": {"func": "Verse"}}, "'0-100' has no text"),
    ],
)
def test_what_is_no_record_is_a_reason_not_an_exception(tmp_path: Path, record: Any, message: str) -> None:
    outcome = _caption(_folder(tmp_path, record))
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.CAPTION_INVALID)
    assert message in (outcome.detail or "")


def test_broken_json_of_one_track_is_its_own_reason(tmp_path: Path) -> None:
    (tmp_path / "plain.json").write_text('{"0-100": ')
    assert _caption(tmp_path).reason is Reason.CAPTION_INVALID


def test_a_track_without_a_record_is_missing(tmp_path: Path) -> None:
    outcome = _caption(_folder(tmp_path, JSON, track_id="other"))
    assert (outcome.status, outcome.reason) == (Status.FAILED, Reason.CAPTION_MISSING)
    assert "plain" in (outcome.detail or "")


def test_words_on_the_recording_are_dropped_and_told(tmp_path: Path) -> None:
    record = json.loads(json.dumps(JSON))
    record["30-70"]["text"] += "\n- This is a low-quality recording."
    outcome = _caption(_folder(tmp_path, record))
    assert outcome.status is Status.OK, outcome.detail
    assert outcome.record is not None
    assert "quality" not in outcome.record.long_text
    assert "recording_quality" in outcome.record.flaws
    assert any("recording_quality" in repair for repair in outcome.record.repairs)


def _table(tmp_path: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    path = tmp_path / f"captions.{kind}"
    with path.open("w", newline="") as file:
        if kind == "csv":
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        elif kind == "jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            json.dump(rows, file)
    return path


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("columns", [("id", "caption"), ("YTID", "Text"), ("youtube_id", "captions")])
def test_tables_of_any_kind_and_names(tmp_path: Path, kind: str, columns: tuple[str, str]) -> None:
    rows = [{columns[0]: i, columns[1]: STYLES["on one line"], "tags": "x"} for i in ("first", "plain", "plain")]
    path = _table(tmp_path, kind, rows)
    assert _caption(path).status is Status.OK
    settings = ImportCaptions(captioner="import", path=str(path))
    assert track_identity("plain", settings) == track_identity("first", settings) is not None
    assert track_identity("absent", settings) is None


def test_a_cell_may_hold_json_and_a_list_its_longest_answer(tmp_path: Path) -> None:
    assert _caption(_table(tmp_path, "csv", [{"id": "plain", "caption": json.dumps(JSON)}])).status is Status.OK
    rows = [{"id": "plain", "captions": ["short", STYLES["on one line"]]}]
    assert _caption(_table(tmp_path, "json", rows)).status is Status.OK


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,words\nplain,hello\n", "no column caption or captions or text; it has id, words"),
        (
            "a.csv",
            "name,caption\nplain,hello\n",
            "no column track_id or id or .*; it has name, caption",
        ),
        ("a.jsonl", '{"id": "plain"\n', "cannot read"),
        ("a.json", '["plain"]', "holds str 'plain', not rows"),
        ("a.txt", "plain", "none of .csv, .json, .jsonl"),
    ],
)
def test_an_unusable_table_stops_the_build_and_says_why(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BuildError, match=message):
        _caption(tmp_path / name)


def test_a_path_that_is_missing_stops_the_build(tmp_path: Path) -> None:
    settings = ImportCaptions(captioner="import", path=str(tmp_path / "absent"))
    for ask in (lambda: _caption(tmp_path / "absent"), lambda: records_identity(settings)):
        with pytest.raises(BuildError, match=r"absent does not exist; correct caption\.path"):
            ask()


@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_identities_follow_the_content(tmp_path: Path, kind: str) -> None:
    def write(plain: str) -> Path:
        if kind == "csv":
            return _table(tmp_path, "csv", [{"id": "plain", "caption": plain}, {"id": "other", "caption": "same"}])
        _folder(tmp_path, "same", "other")
        return _folder(tmp_path, plain)

    settings = ImportCaptions(captioner="import", path=str(write("one")))
    before = [records_identity(settings), track_identity("plain", settings), track_identity("other", settings)]
    assert before == [records_identity(settings), *(track_identity(t, settings) for t in ("plain", "other"))]
    write("another")
    after = [records_identity(settings), track_identity("plain", settings), track_identity("other", settings)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]


@pytest.mark.skipif(not REAL.is_dir(), reason="FUTGA's five showcase records are not here: ../shared/data/futga")
def test_the_real_records() -> None:
    found = {}
    for number in range(1, 6):
        track_id = f"songData{number}"
        captioner = ImportCaptioner(ImportCaptions(captioner="import", path=str(REAL), min_words=100))
        outcome = captioner.caption(
            replace(AUDIO, track_id=track_id), replace(STRUCTURE, track_id=track_id), 0, Path(".")
        )
        assert outcome.record is not None
        assert outcome.record.sections[0].start_s == 0
        assert outcome.record.sections[-1].end_s == STRUCTURE.duration_s
        found[number] = outcome
    # The first one speaks of the recording, of uses and of itself until too little is left of it.
    assert found[1].reason is Reason.CAPTION_INVALID
    assert all(found[number].status is Status.OK for number in range(2, 6)), found
    assert [s.label for s in found[3].record.sections] == ["intro", "chorus", "bridge", "verse", "outro"]
    assert all(o.record.num_words < 250 for o in found.values() if o.record)
