from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_specs.spec import AudioSetSource, DatasetSpec
from tasks.engine.errors import BuildError
from tasks.select import select
from tasks.select.audioset import AudioSetVideos, number_distinct
from tasks.select.segments import read_segments


def spec(source: object, **more: object) -> DatasetSpec:
    return DatasetSpec.model_validate({"name": "x", "source": source, **more})


ONTOLOGY = """[
 {"id": "/m/04rlf", "name": "Music", "child_ids": ["/m/rock", "/m/jazz"]},
 {"id": "/m/rock", "name": "Rock music", "child_ids": []}, {"id": "/m/jazz", "name": "Jazz", "child_ids": []},
 {"id": "/m/dog", "name": "Dog", "child_ids": []}]"""
SEGMENTS = """# Segments csv created Sun Mar  5 10:54:25 2017
# num_ytids=4, num_segs=5
# YTID, start_seconds, end_seconds, positive_labels
--aaaaaaaaa, 0.000, 10.000, "/m/dog,/m/rock"
bbbb_bbbbbb, 30.000, 40.000, "/m/dog"
cccccccccc-, 30.000, 40.000, "/m/jazz"
--aaaaaaaaa, 90.000, 100.000, "/m/jazz"
"""


def ontology(folder: Path) -> Path:
    path = folder / "ontology.json"
    path.write_text(ONTOLOGY)
    return path


def audioset(folder: Path, **more: object) -> AudioSetSource:
    (folder / "train.csv").write_text(SEGMENTS)
    (folder / "eval_segments.csv").write_text(SEGMENTS.replace("cccccccccc-", "dddddddddd_"))
    return AudioSetSource.model_validate(
        {
            "segments": [str(folder / "train.csv"), str(folder / "eval_segments.csv")],
            "ontology": str(ontology(folder)),
            **more,
        }
    )


def test_audioset_takes_the_music_subtree_once_per_video(tmp_path: Path) -> None:
    tracks = {t.track_id: t for t in select(spec(audioset(tmp_path), split={"test_percent": 0})).tracks}
    assert tracks.keys() == {"--aaaaaaaaa", "cccccccccc-", "dddddddddd_"}
    assert tracks["--aaaaaaaaa"].labels == ("Dog", "Rock music", "Jazz")
    assert tracks["--aaaaaaaaa"].url == "https://www.youtube.com/watch?v=--aaaaaaaaa"
    assert tracks["--aaaaaaaaa"].split == "test"  # it stands in the evaluation list as well
    assert tracks["cccccccccc-"].split == "train"


def test_audioset_require_and_forbid(tmp_path: Path) -> None:
    assert len(select(spec(audioset(tmp_path, forbid=["/m/dog"]))).tracks) == 2
    assert len(select(spec(audioset(tmp_path, require=["/m/rock"]))).tracks) == 1
    with pytest.raises(BuildError, match="label '/m/nothing' is not in"):
        select(spec(audioset(tmp_path, require=["/m/nothing"])))


def test_audioset_counts(tmp_path: Path) -> None:
    source = audioset(tmp_path, forbid=["/m/dog"], require=["/m/jazz"])
    counts = select(spec(source, split={"test_percent": 0})).counts
    assert list(counts.items()) == [
        ("rows read", 8),
        ("distinct tracks", 4),
        ("with a wanted label", 3),
        ("without a required label", 0),
        ("with a forbidden label", 1),
        ("selected", 2),
        ("train", 1),
        ("valid", 0),
        ("test", 1),
    ]


def test_audioset_bad_files(tmp_path: Path) -> None:
    source = audioset(tmp_path)
    (tmp_path / "ontology.json").write_text("{}")
    with pytest.raises(BuildError, match=r"set source.ontology|is not in"):
        select(spec(source))
    with pytest.raises(BuildError, match=r"passes source.root, require and forbid \(rows read 8, distinct tracks 4, "):
        select(spec(audioset(tmp_path, require=["/m/rock"], forbid=["/m/rock"])))
    (tmp_path / "train.csv").unlink()
    with pytest.raises(BuildError, match=r"cannot read segment list .*train.csv: .*; set source.segments"):
        select(spec(source.model_copy(update={"ontology": str(ontology(tmp_path))})))


@pytest.mark.parametrize(
    ("child", "message"),
    [
        ('{"id": "/m/rock", "name": "Rock music"}', r"ontology.json: node '/m/rock' has no child_ids; set source.ont"),
        ('{"id": "/m/rock", "child_ids": []}', r"ontology.json: node '/m/rock' has no name; set source.ontology"),
        (
            '{"id": "/m/rock", "name": "Rock", "child_ids": ["/m/x"]}',
            r"ontology.json: node '/m/rock' has the child '/m/x', which is not in it; set source.ontology",
        ),
    ],
)
def test_an_ontology_with_a_hole(tmp_path: Path, child: str, message: str) -> None:
    source = audioset(tmp_path)
    (tmp_path / "ontology.json").write_text(f'[{{"id": "/m/04rlf", "name": "M", "child_ids": ["/m/rock"]}}, {child}]')
    with pytest.raises(BuildError, match=message):
        select(spec(source))


@pytest.mark.parametrize(
    "line",
    [
        "abc;0;10;/m/rock",
        'abc, 0.000, 10.000 "/m/rock"',
        'abc, 0.000 10.000, "/m/rock"',
        'abc 0.000, 10.000, "/m/rock"',
        'abc, 0.000, 10.000, "/m/rock, /m/jazz"',
        'abc, 0.000, 10.000, "/m/rock" 5',
        "   ",
        'abc, 0.000, 10.000, "/m/rock,/m',
        'abc, 0.000, 10.000, "/m/rock',
        'abc, 0.000, 10.000, "/m/rock,"',
        "abc, 0.000, 10.000, /m/rock",
        'abc, 0.000, 10.000, ""',
        "abc, 0.000, 10.000, ",
        "abc, 0.000, 10.000, NULL",
        'abc, 0.000, 10.000, "Rock"',
    ],
)
@pytest.mark.parametrize("before", [0, 3, 200_000])  # the last one: in a later block of the parser
def test_a_line_of_another_form_is_named(tmp_path: Path, line: str, before: int) -> None:
    good = 'abcdefghijk, 0.000, 10.000, "/m/rock"'
    path = tmp_path / "list.csv"
    path.write_text("\n".join(["# made up", *[good] * before, "", line, good, ""]))
    with pytest.raises(BuildError, match=rf"list.csv, line {before + 3}: expected 'YTID, start") as error:
        read_segments(path)
    assert repr(line) in str(error.value)


def test_what_a_list_may_contain(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    rows = ["# of four words", "# a, b, c", '-a_b-, 0, 10, "/m/rock"', "", "#", 'ab, 1, 2, "/m/jazz,/t/dd1,/g/1_q"']
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    table = read_segments(path)
    assert table["video"].to_pylist() == ["-a_b-", "ab"]
    assert table["labels"].to_pylist() == ['"/m/rock"', '"/m/jazz,/t/dd1,/g/1_q"']
    path.write_bytes(b'\xff, 0, 10, "/m/rock"\n')
    with pytest.raises(BuildError, match=r"cannot read segment list .*UTF8"):
        read_segments(path)
    path.write_bytes(b"")
    with pytest.raises(BuildError, match=r"cannot read segment list .*Empty"):
        read_segments(path)


def test_an_id_that_cannot_name_a_file(tmp_path: Path) -> None:
    source = audioset(tmp_path)
    with open(tmp_path / "train.csv", "a") as file:
        file.write('a/b, 0.000, 10.000, "/m/rock"\n')
    with pytest.raises(BuildError, match="track id 'a/b' is unusable"):
        select(spec(source))


@given(st.lists(st.text("ab-_", min_size=2, max_size=3), max_size=30) | st.lists(st.text("ab", min_size=9, max_size=9)))
def test_numbering_ids_is_that_of_a_dictionary(ids: list[str]) -> None:
    numbers: dict[str, int] = {}
    expected = [numbers.setdefault(i, len(numbers)) for i in ids]
    for column in (pa.array(ids, pa.string()), pa.array(["xx", *ids, "y"], pa.string())[1:-1]):
        distinct, number_of_row = number_distinct(column)
        assert distinct.to_pylist() == list(numbers)
        assert number_of_row.tolist() == expected


def test_many_distinct_ids_are_seen_to_be_distinct() -> None:
    ids = [f"{number * 7919:011d}" for number in range(100_000)]
    column = pa.array(ids)
    distinct, number_of_row = number_distinct(column)
    assert distinct is column  # nothing was hashed
    assert (number_of_row == np.arange(len(ids))).all()
    assert number_distinct(pa.array([*ids, ids[5]]))[1][-1] == 5


MIDS = ["/m/04rlf", "/m/rock", "/m/jazz", "/m/dog"]
VIDEOS = st.sampled_from(["--aaaaaaaaa", "bbbb_bbbbbb", "cccccccccc-", "d"])
ROWS = st.lists(st.tuples(VIDEOS, st.lists(st.sampled_from(MIDS), min_size=1, max_size=3)), max_size=12)


@given(train=ROWS, measured=ROWS, require=st.sets(st.sampled_from(MIDS)), forbid=st.sets(st.sampled_from(MIDS)))
def test_the_columns_find_what_a_loop_over_rows_finds(
    tmp_path_factory: pytest.TempPathFactory,
    train: list[tuple[str, list[str]]],
    measured: list[tuple[str, list[str]]],
    require: set[str],
    forbid: set[str],
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    labels: dict[str, list[str]] = {}
    for name, rows in (("train.csv", train), ("eval.csv", measured)):
        lines = [f'{video}, 0.000, 10.000, "{",".join(mids)}"' for video, mids in rows]
        (folder / name).write_text("\n".join(["# made up list of rows", *lines]))
        for video, mids in rows:
            labels.setdefault(video, []).extend(mids)
    names = {node["id"]: node["name"] for node in json.loads(ONTOLOGY)}
    expected = [
        (video, tuple(names[mid] for mid in dict.fromkeys(mids)), "test" if video in dict(measured) else "train")
        for video, mids in labels.items()
        if set(mids) & {"/m/04rlf", "/m/rock", "/m/jazz"}
        and (not require or require & set(mids))
        and not forbid & set(mids)
    ]
    source = AudioSetSource(
        segments=(str(folder / "train.csv"), str(folder / "eval.csv")),
        ontology=str(ontology(folder)),
        require=tuple(require),
        forbid=tuple(forbid),
    )
    found = AudioSetVideos(source)
    splits = ["train" if split < 0 else "test" for split in found.splits.tolist()]
    tracks = found.tracks(np.arange(len(found.ids)), splits)
    assert [(track.track_id, track.labels, track.split) for track in tracks] == expected
