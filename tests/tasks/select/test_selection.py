from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from data_specs.spec import DatasetSpec, LocalSource, UrlsSource
from tasks.engine.errors import BuildError
from tasks.select import select
from tests.tasks.select.test_audioset import audioset


def spec(source: object, **more: object) -> DatasetSpec:
    return DatasetSpec.model_validate({"name": "x", "source": source, **more})


def url_table(folder: Path, ids: list[str], header: str = "track_id,url") -> UrlsSource:
    path = folder / "urls.csv"
    path.write_text("\n".join([header, *(f"{i},https://example.org/{i}" for i in ids)]))
    return UrlsSource(table=str(path))


def test_order_and_split_do_not_depend_on_the_order_of_the_source(tmp_path: Path) -> None:
    ids = [f"song{number}" for number in range(50)]
    forward = select(spec(url_table(tmp_path, ids)))
    backward = select(spec(url_table(tmp_path, ids[::-1])))
    assert forward == backward


def test_added_tracks_move_no_other_track(tmp_path: Path) -> None:
    few = [(t.track_id, t.split) for t in select(spec(url_table(tmp_path, [f"s{i}" for i in range(100)]))).tracks]
    more = [(t.track_id, t.split) for t in select(spec(url_table(tmp_path, [f"s{i}" for i in range(200)]))).tracks]
    assert [track for track in more if track in few] == few


def test_partitions_hold_one_split_and_every_track_once(tmp_path: Path) -> None:
    ids = [f"s{number}" for number in range(100)]
    selection = select(spec(url_table(tmp_path, ids), partition_size=7, split={"test_percent": 30}))
    assert sorted(t.track_id for t in selection.tracks) == sorted(ids)
    for partition in selection.partitions:
        assert {t.split for t in partition.tracks} == {partition.split}
        assert len(partition.tracks) <= 7
    assert [p.name for p in selection.partitions][:2] == ["train-00000", "train-00001"]


def test_limit_takes_a_prefix_of_the_order(tmp_path: Path) -> None:
    source = url_table(tmp_path, [f"s{number}" for number in range(40)])
    everything = {t.track_id for t in select(spec(source)).tracks}
    ten = {t.track_id for t in select(spec(source, limit=10)).tracks}
    twenty = {t.track_id for t in select(spec(source, limit=20)).tracks}
    assert len(ten) == 10
    assert ten < twenty < everything


@pytest.mark.parametrize(
    ("ids", "header", "message"),
    [
        (
            ["a", "b", "a"],
            "track_id,url",
            r"1 track ids occur more than once \(first: 'a', for https://example.org/a\)",
        ),
        (["a/b"], "track_id,url", r"track id 'a/b' is unusable"),
        (["a"], "track_id,link", r"no column 'url'; it has track_id, link"),
        ([], "track_id,url", r"has no rows"),
    ],
)
def test_bad_tables(tmp_path: Path, ids: list[str], header: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        select(spec(url_table(tmp_path, ids, header)))


def test_other_bad_tables(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"nowhere.csv does not exist"):
        select(spec(UrlsSource(table=str(tmp_path / "nowhere.csv"))))
    (tmp_path / "songs.txt").touch()
    with pytest.raises(BuildError, match=r"ends in '.txt'; use one of .csv"):
        select(spec(UrlsSource(table=str(tmp_path / "songs.txt"))))
    (tmp_path / "odd.csv").write_text("url\nfile:///etc/passwd\n")
    with pytest.raises(BuildError, match=r"row 1: url 'file:///etc/passwd' is not an http"):
        select(spec(UrlsSource(table=str(tmp_path / "odd.csv"))))
    for url in ("http://[bad", "http://:80/a", "http://me@/a"):
        (tmp_path / "odd.csv").write_text(f"url\n{url}\n")
        with pytest.raises(BuildError, match=rf"row 1: url '{re.escape(url)}' is not an http"):
            select(spec(UrlsSource(table=str(tmp_path / "odd.csv"))))
    for line in ('{"url": ', '"https://example.org"'):
        (tmp_path / "odd.jsonl").write_text(f'{{"url": "https://example.org"}}\n\n{line}\n')
        with pytest.raises(BuildError, match=r"cannot read table .*odd.jsonl: line 3: "):
            select(spec(UrlsSource(table=str(tmp_path / "odd.jsonl"))))
    (tmp_path / "odd.parquet").write_bytes(b"no parquet")
    with pytest.raises(BuildError, match=r"cannot read table"):
        select(spec(UrlsSource(table=str(tmp_path / "odd.parquet"))))


def test_optional_columns(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("url\ttitle\tlabels\tsplit\nhttps://e.org/1\tOne\tjazz; slow\ttest\n")
    (track,) = select(spec(UrlsSource(table=str(tmp_path / "t.tsv")))).tracks
    assert (track.title, track.labels, track.split) == ("One", ("jazz", "slow"), "test")
    assert len(track.track_id) == 16
    (tmp_path / "t.jsonl").write_text('{"url": "https://e.org/1", "labels": ["Jazz", "Rock"]}\n')
    (track,) = select(spec(UrlsSource(table=str(tmp_path / "t.jsonl")))).tracks
    assert track.labels == ("Jazz", "Rock")


def test_parquet_and_json_lines_are_read_as_they_are_written(tmp_path: Path) -> None:
    big = 12345678901234567890  # no float holds it, nor does a signed word
    ids = {big: ("jazz", "rock"), 2**53 + 1: (), None: ("slow",)}
    rows = [
        {"url": f"https://e.org/{number}", "track_id": track_id, "labels": labels}
        for number, (track_id, labels) in enumerate(ids.items())
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), tmp_path / "t.parquet")
    for name in ("t.jsonl", "t.parquet"):
        tracks = {track.url[-1]: track for track in select(spec(UrlsSource(table=str(tmp_path / name)))).tracks}
        assert [tracks[n].labels for n in "012"] == list(ids.values())
        assert [tracks[n].track_id for n in "01"] == [str(big), str(2**53 + 1)]
        assert len(tracks["2"].track_id) == 16


SCHEMA = pa.schema({"url": pa.string(), "track_id": pa.uint64(), "labels": pa.list_(pa.string())})


def test_evaluation_ids_are_looked_up_once_where_ids_are_youtubes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ids.txt").write_text("cccccccccc-\n")
    num_looked_up = []
    is_in = pc.is_in

    def counted(column: pa.StringArray, **options: object) -> pa.BooleanArray:
        num_looked_up.append(len(column))
        return is_in(column, **options)

    monkeypatch.setattr(pc, "is_in", counted)
    select(spec(audioset(tmp_path), evaluation={"ids": [str(tmp_path / "ids.txt")]}))
    assert num_looked_up == [3]


@pytest.mark.parametrize("kind", ["a loop", "a pipe"])
def test_local_files_that_cannot_be_read_as_files(tmp_path: Path, kind: str) -> None:
    (tmp_path / "b.mp3").touch()
    if kind == "a loop":
        (tmp_path / "a.mp3").symlink_to("a.mp3")
        message = r"cannot look at .*a\.mp3: Too many levels of symbolic links; take it out of source\.folder"
    else:
        os.mkfifo(tmp_path / "a.mp3")
        message = r"a\.mp3 is not a regular file; take it out of source\.folder"
    with pytest.raises(BuildError, match=message):
        select(spec(LocalSource(folder=str(tmp_path))))


def test_local_folder(tmp_path: Path) -> None:
    for name in ("a.mp3", "sub/a.MP3", "sub/Übung 1.flac", "notes.txt", "-x.ogg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    source = LocalSource(folder=str(tmp_path))
    (tmp_path / ".hidden.mp3").write_bytes(b"x")
    (tmp_path / "link.mp3").symlink_to("nowhere.mp3")
    before = select(spec(source)).tracks
    assert len(before) == 5
    assert any(t.url.startswith("file:///") and t.track_id.startswith("bung-1-") for t in before)
    (tmp_path / "a.mp3").write_bytes(b"other")
    after = {t.url: t for t in select(spec(source)).tracks}
    changed = [t for t in before if after[t.url] != t]
    assert [t.url for t in changed] == [(tmp_path / "a.mp3").as_uri()]
    (tmp_path / os.fsdecode(b"latin\xe9.mp3")).touch()
    with pytest.raises(BuildError, match="is not UTF-8, so no table can hold it; rename the file"):
        select(spec(source))


def test_local_folder_that_is_empty_missing_or_a_file(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no file in .* ends in one of .flac"):
        select(spec(LocalSource(folder=str(tmp_path))))
    with pytest.raises(BuildError, match=r"does not exist; set source\.folder"):
        select(spec(LocalSource(folder=str(tmp_path / "none"))))
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match="is not a folder"):
        select(spec(LocalSource(folder=str(tmp_path / "file"))))
