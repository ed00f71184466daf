from __future__ import annotations

from pathlib import Path

import pytest

from tasks.engine.errors import BuildError
from tasks.select import select
from tasks.select.evaluation import read_evaluation_ids, youtube_id
from tests.tasks.select.test_audioset import audioset, spec


def write(folder: Path, text: str, name: str = "ids.csv") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize(
    "text",
    [
        "-a_b\nc\n",
        "# chosen by hand\n\n-a_b\r\n  c \r\n",
        "\ufeff-a_b\nc",
        "ytid\n-a_b\nc\n",
        'ytid,start_s,caption\n-a_b,30,"one, ""two""\nlines"\nc,0,#1\n',
        "track_id,title,ytid\n-a_b,x,c\n",
        "id\ttitle\ttrack_id\n\tx\t-a_b\nc\ty\t-a_b\nc\tz\n",
        '# a comment, with a comma\n"title","youtube_id"\n"#1, hit","-a_b"\n\n"x","c"\n',
        '  \n"title, long",ytid\nx,-a_b\ny,c\n',
        '# Segments csv\n# x\n-a_b, 0.000, 10.000, "/m/04rlf"\nc, 30.000, 40.000, "/m/x,/m/y"\n',
        '-a_b, 0.000, 10.000, "/m/04rlf"\nc, 30.000, 40.000, "/m/x,/m/y"\n',
    ],
)
def test_files_that_hold_two_ids(tmp_path: Path, text: str) -> None:
    assert read_evaluation_ids([write(tmp_path, text)]) == {"-a_b", "c"}


def test_several_files_are_united(tmp_path: Path) -> None:
    assert read_evaluation_ids([write(tmp_path, "a\nb\n"), write(tmp_path, "ytid\nb\nc\n", "more.csv")]) == set("abc")
    assert read_evaluation_ids([]) == frozenset()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ids.csv has no ids; evaluation.ids takes AudioSet"),
        ("# nothing\n", "has no ids"),
        ("ytid,caption\n", "has no ids"),
        ("name,caption\na,b\n", "has no column of ids, it has name, caption; evaluation.ids takes"),
        ("a\nhttps://youtu.be/aaaaaaaaaaa\n", "line 2: 'https://youtu.be/aaaaaaaaaaa' is not an id"),
        ("name,ytid\na,b\nc\n", "line 3: no id in ytid"),
        ("track_id,ytid\na,b\n,\n", "line 3: no id in track_id, ytid"),
        ("track_id,ytid\na,b c\n", "line 2: 'b c' is not an id"),
        (
            "# x\nvideo\naaaaaaaaaaa\nbbbbbbbbbbb\n",
            "line 2: 'video' is no YouTube id like all that follow; .* it ytid",
        ),
        ('ytid,caption\na,"two\nlines"\n"b c",x\n', "line 4: 'b c' is not an id"),
        ('ytid,caption\na,"never closed\n', "cannot read evaluation ids .*unexpected end of data"),
        ('a, 0.000, 10.000, "/m/x"\nb, 0.000\n', "line 2: expected"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        read_evaluation_ids([write(tmp_path, text)])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"cannot read evaluation ids .*nowhere\.csv"):
        read_evaluation_ids([tmp_path / "nowhere.csv"])
    (tmp_path / "latin.txt").write_bytes(b"a\n\xe9\n")
    with pytest.raises(BuildError, match=r"cannot read evaluation ids .*latin\.txt: 'utf-8'"):
        read_evaluation_ids([tmp_path / "latin.txt"])


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?v=-aaa_aaaaa-",
        "http://youtube.com/watch?list=PL1&v=-aaa_aaaaa-&t=3",
        "https://m.youtube.com/watch/?v=-aaa_aaaaa-#x",
        "https://MUSIC.youtube.com/watch?v=-aaa_aaaaa-",
        "https://youtu.be/-aaa_aaaaa-?t=3",
        "https://www.youtube.com/shorts/-aaa_aaaaa-",
        "https://www.youtube.com/embed/-aaa_aaaaa-?start=1",
        "https://www.youtube-nocookie.com/embed/-aaa_aaaaa-",
        "https://www.youtube.com/live/-aaa_aaaaa-/",
        "https://youtube-nocookie.com/embed/-aaa_aaaaa-",
        "https://youtube.com/e/-aaa_aaaaa-",
        "https://youtube.com/v/-aaa_aaaaa-",
        "https://www.youtube.com/?v=-aaa_aaaaa-",
        "https://www.youtube.com/watch#v=-aaa_aaaaa-",
        "https://www.youtube.com/watch?v=-aaa_aaaaa-XX",
        "https://yewtu.be/watch?v=-aaa_aaaaa-",
        # yt-dlp gives these to its generic extractor, which follows them to the video
        "HTTPS://WWW.YouTube.COM/watch?v=-aaa_aaaaa-",
        "https://www.youtube.com./watch?v=-aaa_aaaaa-",
        "https://me@www.youtube.com:443/watch?v=-aaa_aaaaa-",
        "https://www.youtu.be/-aaa_aaaaa-",
    ],
)
def test_addresses_of_youtube(url: str) -> None:
    assert youtube_id(url) == "-aaa_aaaaa-"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/watch?v=aaaaaaaaaaa",
        "https://notyoutube.com/watch?v=aaaaaaaaaaa",
        "https://youtube.com.example.org/watch?v=aaaaaaaaaaa",
        "https://www.youtube.com/watch?v=short",
        "https://www.youtube.com/watch",
        "https://www.youtube.com/playlist?list=aaaaaaaaaaa",
        "https://www.youtube.com/embed/videoseries?list=aaaaaaaaaaa",
        "https://example.org/?u=https://www.youtube.com/watch?v=aaaaaaaaaaa",
        "aaaaaaaaaaa",
        "https://youtu.be/",
        "file:///watch?v=aaaaaaaaaaa",
        "http://[bad",
        "",
    ],
)
def test_other_addresses(url: str) -> None:
    assert youtube_id(url) is None


TABLE = """track_id,url,split
one,https://youtu.be/aaaaaaaaaaa,
two,https://example.org/2,{two}
three,https://www.youtube.com/watch?v=ccccccccccc,{three}
four,https://example.org/4,train
five,https://example.org/5,test
"""


def urls(folder: Path, two: str = "", three: str = "") -> dict[str, str]:
    return {"type": "urls", "table": write(folder, TABLE.format(two=two, three=three), "urls.csv")}


def test_evaluation_ids_go_to_test(tmp_path: Path) -> None:
    ids = write(tmp_path, "aaaaaaaaaaa\ntwo\nfive\nelsewhere\n")
    selection = select(spec(urls(tmp_path), split={"test_percent": 0}, evaluation={"ids": [ids]}))
    splits = {track.track_id: track.split for track in selection.tracks}
    assert splits == {"one": "test", "two": "test", "three": "train", "four": "train", "five": "test"}
    expected = {"tracks listed": 5, "evaluation ids (to test)": 3, "selected": 5, "train": 2, "valid": 0, "test": 3}
    assert list(selection.counts.items()) == list(expected.items())


def test_evaluation_ids_that_the_source_wants_for_training(tmp_path: Path) -> None:
    source = urls(tmp_path, "train", "valid")
    ids = write(tmp_path, "two\nccccccccccc\none\n")
    with pytest.raises(BuildError, match=r"2 tracks are on the lists.* or valid: two, three; correct their split"):
        select(spec(source, evaluation={"ids": [ids]}))
    settings = {"ids": [ids], "on_match": "drop"}
    selection = select(spec(source, split={"test_percent": 0}, evaluation=settings))
    assert {track.track_id: track.split for track in selection.tracks} == {
        "one": "test",
        "four": "train",
        "five": "test",
    }
    assert selection.counts["evaluation ids in train or valid"] == 2
    assert selection.counts["evaluation ids (to test)"] == 1
    limited = select(spec(source, limit=3, evaluation=settings))  # what is left out takes no place
    assert limited.counts["selected"] == 3


def test_no_more_than_ten_offenders_are_listed(tmp_path: Path) -> None:
    rows = [f"t{number:02},https://example.org/{number},train" for number in range(12)]
    table = write(tmp_path, "\n".join(["track_id,url,split", *rows]), "urls.csv")
    ids = write(tmp_path, "\n".join(f"t{number:02}" for number in range(12)))
    settings = {"ids": [ids]}
    with pytest.raises(BuildError, match=r"^12 tracks .* valid: t00, .*, t09 \.\.\.; correct"):
        select(spec({"type": "urls", "table": table}, evaluation=settings))
    with pytest.raises(BuildError, match=r"has no track: every one was left out: .*in train or valid 12"):
        select(spec({"type": "urls", "table": table}, evaluation={**settings, "on_match": "drop"}))


def test_both_ids_of_a_song_keep_it_from_training(tmp_path: Path) -> None:
    ids = write(tmp_path, "track_id,ytid\n0007,aaaaaaaaaaa\n")
    selection = select(spec(urls(tmp_path), split={"test_percent": 0}, evaluation={"ids": [ids]}))
    assert {track.split for track in selection.tracks if track.track_id == "one"} == {"test"}


def test_evaluation_ids_of_audioset(tmp_path: Path) -> None:
    ids = write(tmp_path, "cccccccccc-\n")
    selection = select(spec(audioset(tmp_path), split={"test_percent": 0}, evaluation={"ids": [ids]}))
    assert {track.split for track in selection.tracks} == {"test"}
    assert selection.counts["evaluation ids (to test)"] == 1
