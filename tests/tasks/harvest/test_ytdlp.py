"""The options of a download, its cookies, and what is kept of what a site says."""

from __future__ import annotations

import json
import time
import traceback
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import yt_dlp

from data_specs.network import Identity, NetworkSettings
from data_specs.reasons import Reason
from data_specs.settings import SpecError
from data_specs.spec import HarvestSettings
from tasks.engine.errors import BuildError
from tasks.harvest import bounded, ytdlp
from tasks.harvest.checks import check_network
from tasks.harvest.cookies import copy_cookies, read_cookies
from tasks.harvest.gate import Gate
from tasks.harvest.info import MAX_BYTES, info_text, page_address
from tasks.harvest.outcomes import Fault
from tasks.harvest.ytdlp import Media, download, probe
from tests.tasks.harvest.site import Site

SETTINGS = HarvestSettings(min_duration_s=1, max_duration_s=20)
NETWORK = NetworkSettings(timeout_s=0.5)
DIRECT = Identity()
HEADER = "# Netscape HTTP Cookie File\n"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(ytdlp, "_RETRY_SLEEP_S", 0.01)
    with Site({"song.mp3": b"ID3" + bytes(5000)}) as site:
        yield site


def own_options(folder: Path, network: NetworkSettings = NETWORK) -> dict[str, object]:
    log, identity = ytdlp._Log(), Identity(cookies=str(folder / "mine.txt"))
    (folder / "mine.txt").write_text(HEADER)
    gate = Gate(SETTINGS)
    return ytdlp._download_options("https://example.org/", SETTINGS, network, identity, folder, log, gate)


def test_yt_dlp_knows_every_option(tmp_path: Path) -> None:
    known = set(yt_dlp.parse_options([]).ydl_opts) | {"logger", "progress_hooks"}  # these two are for callers only
    assert own_options(tmp_path, NETWORK.model_copy(update={"js_runtimes": ("deno",)})).keys() <= known


def test_no_network_file_overrides_what_the_project_sets(tmp_path: Path) -> None:
    free = {"sleep_interval_requests", "extractor_args"}
    for name, value in own_options(tmp_path).items():
        if name in free:
            continue
        with pytest.raises(SpecError, match=rf"options\.{name}[ :]"):
            check_network(NetworkSettings(options={name: "other"}))
        if name not in ("socket_timeout", "proxy"):  # these two are the network file's by another name
            unchecked = own_options(tmp_path, NETWORK.model_copy(update={"options": {name: "other"}}))
            assert type(unchecked[name]) is type(value)
            assert unchecked[name] != "other"


def test_a_whole_download_is_asked_for(tmp_path: Path) -> None:
    options = own_options(tmp_path)
    assert options["skip_unavailable_fragments"] is False
    for name in ("retries", "fragment_retries", "extractor_retries", "file_access_retries"):
        assert isinstance(options[name], int)
        assert options[name]
    assert "postprocessors" not in options, "something would be encoded again"


def test_options_that_yt_dlp_refuses_stop_the_build(site: Site, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"format": "best["})
    with pytest.raises(BuildError, match=r"harvest\.format"):
        download(f"{site.url}/ok/song.mp3", settings, NETWORK, DIRECT, tmp_path)
    assert not site.requests


def test_a_probe_tells_what_is_there(site: Site) -> None:
    assert probe(f"{site.url}/ok/song.mp3", NETWORK, DIRECT) is None
    for path, reason in (("404/song.mp3", Reason.NOT_FOUND), ("429/song.mp3", Reason.RATE_LIMITED)):
        fault = probe(f"{site.url}/{path}", NETWORK, DIRECT)
        assert fault is not None
        assert fault.reason is reason


def test_a_licence_is_asked_for_before_the_download(site: Site, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"licenses": ("CC0*", "Creative Commons*")})
    fault = download(f"{site.url}/audio-tag/song.mp3", settings, NETWORK, DIRECT, tmp_path)
    assert isinstance(fault, Fault)
    assert fault.reason is Reason.LICENSE_REFUSED
    assert fault.detail == "licence not stated: harvest.licenses takes 'CC0*', 'Creative Commons*'"
    assert site.requests["/ok/song.mp3"] <= 1, "more than the look at its type"
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_known_yet_is_not_refused() -> None:
    gate = Gate(SETTINGS.model_copy(update={"licenses": ("CC0*",)}))
    assert gate.match({"id": "a", "title": "t"}, incomplete=True) is None
    assert gate.match({"id": "a", "title": "t", "license": "CC0 1.0"}) is None
    assert gate.match({"id": "a", "title": "t"}) == "licence not stated: harvest.licenses takes 'CC0*'"


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b'\xef\xbb\xbf {"error": 1}', "JSON"),
        (b"[]", "JSON"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a picture"),
        (b"GIF89a", "a picture"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a picture"),
        (b"\0\0\0\x1cftypavif", "a picture"),
        (b"\n<!DOCTYPE html>", "a web page"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"\0\0\0\x1cftypM4A ", None),
        (b"\xff\xfb\x90\0", None),
        (b"{ not JSON", None),
        (b"[" * 100_000, None),
    ],
)
def test_what_plainly_is_no_medium_is_none(site: Site, tmp_path: Path, head: bytes, what: str | None) -> None:
    site.files["other.mp3"] = head
    found = download(f"{site.url}/ok/other.mp3", SETTINGS, NETWORK, DIRECT, tmp_path)
    if what is None:
        assert isinstance(found, Media)
    else:
        assert isinstance(found, Fault)
        assert found.reason is Reason.NOT_MEDIA
        assert found.detail.startswith(f"{what} came instead of sound")


def test_the_cookie_file_of_the_user_is_never_written(site: Site, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    cookies.write_text(HEADER + "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tabc\n")
    before, folder = cookies.read_bytes(), tmp_path / "d"
    folder.mkdir()
    media = download(f"{site.url}/ok/song.mp3", SETTINGS, NETWORK, Identity(cookies=str(cookies)), folder)
    assert isinstance(media, Media)
    assert cookies.read_bytes() == before
    assert (folder / "cookies.txt").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["page", "song.mp3"])
def test_what_trickles_in_for_ever_ends(site: Site, tmp_path: Path, name: str) -> None:
    begun_s = time.monotonic()
    found = download(f"{site.url}/trickle/{name}", SETTINGS, NETWORK, DIRECT, tmp_path, longest_s=0.5)
    assert isinstance(found, Fault)
    assert found.reason is Reason.TIMEOUT
    assert found.detail.startswith("not complete after 0.5 s")
    probed = probe(f"{site.url}/trickle/page", NETWORK, DIRECT, longest_s=0.5)
    assert probed is not None
    assert probed.reason is Reason.TIMEOUT
    assert time.monotonic() - begun_s < 4


def test_a_page_without_end_does_not_fill_the_memory(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_PAGE_BYTES", 1_000_000)
    tracemalloc.start()
    fault = probe(f"{site.url}/endless-page/page", NETWORK, DIRECT)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fault is not None
    assert (fault.reason, fault.detail) == (Reason.NOT_MEDIA, "a page of more than 1000000 bytes")
    assert peak_bytes < 20_000_000


def test_media_are_not_bound_by_the_size_of_a_page(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_PAGE_BYTES", 4000)
    assert isinstance(download(f"{site.url}/ok/song.mp3", SETTINGS, NETWORK, DIRECT, tmp_path), Media)


@pytest.mark.parametrize(
    ("content", "fix"),
    [
        (None, "no file there"),
        ("", "does not begin as a Netscape cookie file"),
        (".a.org\tTRUE\t/\tTRUE\t0\tn\thunter2\n", "does not begin as a Netscape cookie file"),
        (HEADER + "\n<html>hunter2</html>", "line 3 is not a cookie"),
        ('[{"domain": ".youtube.com", "value": "hunter2"}]', "line 1 is not a cookie"),
        (HEADER + ".a.org\tTRUE\t/\tTRUE\thunter2\tn\t0\n", "line 2 does not say when it expires"),
        (HEADER + ".a.org\tTRUE\t/\tTRUE\t" + "9" * 400 + "\tn\thunter2\n", "line 2 does not say when it expires"),
        (HEADER + ".a.org\tFALSE\t/\tTRUE\t0\tn\thunter2\n", "line 2 is not a cookie: its second field"),
        (HEADER + "a.org\tTRUE\t/\tTRUE\t0\tn\thunter2\n", "line 2 is not a cookie: its second field"),
        (HEADER + "n\thunter2\t.a.org\tTRUE\t/\tTRUE\t0\n", "line 2 is not a cookie: expected TRUE or FALSE"),
        (HEADER + ".a.org\tTRUE\t/\x0b\thunter2\n", "line 2 is not a cookie"),
        (HEADER.encode() + b"\xffhunter2", "not text in UTF-8"),
    ],
)
def test_cookies_that_cannot_be_used_stop_the_build_and_are_not_quoted(
    site: Site, tmp_path: Path, content: str | bytes | None, fix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    cookies = tmp_path / "cookies.txt"
    if content is not None:
        cookies.write_bytes(content if isinstance(content, bytes) else content.encode())
    identity = Identity(name="second", cookies=str(cookies))
    with pytest.raises(BuildError, match=rf"identities\.second\.cookies.*{fix}") as caught:
        download(f"{site.url}/ok/song.mp3", SETTINGS, NETWORK, identity, tmp_path)
    said = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    assert "hunter2" not in said
    assert not site.requests


def test_cookies_are_used_as_they_were_while_the_user_exports_them_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = HEADER + ".a.org\tTRUE\t/\tTRUE\t0\tSID\thunter2\n"
    cookies, folder = tmp_path / "cookies.txt", tmp_path / "d"
    folder.mkdir()
    identity = Identity(name="second", cookies=str(cookies))
    cookies.write_text(whole)
    copy_cookies(identity, folder)
    assert not caplog.text
    for half in ("", whole[:-10]):
        cookies.write_text(half)
        assert copy_cookies(identity, folder).read_text() == whole
    assert caplog.text.count("identities.second.cookies") == 2
    assert "hunter2" not in caplog.text
    cookies.unlink()
    assert copy_cookies(identity, folder).read_text() == whole
    cookies.write_text(whole.replace("hunter2", "hunter3"))
    assert "hunter3" in copy_cookies(identity, folder).read_text()
    with pytest.raises(BuildError, match="no file there"):
        copy_cookies(Identity(cookies=str(tmp_path / "another.txt")), folder)


def test_a_copy_says_the_same_to_yt_dlp(tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    lines = [
        ".youtube.com\tTRUE\t/\tTRUE\t1790000000\tSID\tone",
        "#HttpOnly_.youtube.com\tTRUE\t/\tTRUE\t1790000000.5\tLOGIN_INFO\ttwo",
        "# a comment",
        "",
        "example.org\tFALSE\t/\tFALSE\t0\tsession\tthree",
    ]
    cookies.write_text(HEADER + "\n".join(lines) + "\n")
    identity = Identity(cookies=str(cookies))
    (tmp_path / "d").mkdir()
    jar = yt_dlp.cookies.YoutubeDLCookieJar(str(copy_cookies(identity, tmp_path / "d")))
    jar.load()
    copied = {(c.domain, c.name, c.value, c.expires) for c in jar}
    assert {(c.domain, c.name, c.value, c.expires) for c in read_cookies(identity)} == copied
    assert {(name, value) for _, name, value, _ in copied} == {
        ("SID", "one"),
        ("LOGIN_INFO", "two"),
        ("session", "three"),
    }


def test_only_what_is_said_of_the_work_is_kept() -> None:
    info = {
        "id": "a",
        "title": "half a pair \ud83d of UTF-16",
        "chapters": [{"start_time": 0, "end_time": float("inf"), "title": "Intro"}],
        "average_rating": float("nan"),
        "album": None,
        "tags": [],
        "url": "https://media.example/?token=secret",
        "cookies": "SID=secret",
        "http_headers": {"Cookie": "secret"},
        "formats": [{"url": "https://media.example/?token=secret", "cookies": "SID=secret"}],
        "filepath": "/home/secret/media.webm",
        "thumbnails": [{"url": "secret"}],
        "a_field_of_tomorrow": "secret",
    }
    text = info_text(info)
    kept = json.loads(text, parse_constant=pytest.fail)
    assert kept.pop("epoch") > 1_700_000_000
    assert kept == {
        "id": "a",
        "title": "half a pair ? of UTF-16",
        "chapters": [{"start_time": 0, "end_time": None, "title": "Intro"}],
    }
    assert "secret" not in text


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://cdn.example/x.mp3?token=hunter2#hunter2", "https://cdn.example/x.mp3"),
        ("https://me:hunter2@cdn.example:8443/x.mp3", "https://cdn.example:8443/x.mp3"),
        ("https://www.youtube.com/watch?v=-a_B3456789&pp=hunter2", "https://www.youtube.com/watch?v=-a_B3456789"),
        ("https://www.youtube.com/channel/UCx?sid=hunter2", "https://www.youtube.com/channel/UCx"),
        ("https://soundcloud.com/artist/song", "https://soundcloud.com/artist/song"),
        ("https://[hunter2/", ""),
    ],
)
def test_of_a_page_address_only_what_names_the_page_is_kept(address: str, kept: str) -> None:
    assert page_address(address) == kept


def test_a_token_in_an_address_is_not_kept(site: Site, tmp_path: Path) -> None:
    media = download(f"{site.url}/ok/song.mp3?t=hun.ter2", SETTINGS, NETWORK, DIRECT, tmp_path)
    assert isinstance(media, Media)
    assert media.webpage_url == f"{site.url}/ok/song.mp3"
    assert json.loads(media.info)["webpage_url"] == media.webpage_url
    assert media.media_id == json.loads(media.info)["id"] == "song.mp3"
    assert "hun" not in repr(media)


def test_what_is_kept_is_bounded_and_says_what_was_cut() -> None:
    tags = [f"tag {number}" for number in range(20_000)]
    info = {"id": "a", "title": "A song", "description": "ä€😀" * 100_000, "tags": tags}
    text = info_text(info)
    kept = json.loads(text)
    assert len(text.encode()) <= MAX_BYTES
    assert len(text.encode()) > MAX_BYTES // 8, "more was cut than needed"
    assert kept["_cut"] == ["description", "tags"]
    assert info["description"].startswith(kept["description"])
    assert kept["tags"] == tags[: len(kept["tags"])]
    assert kept["title"] == "A song"
    assert "_cut" not in info_text({"id": "a", "description": "short"})
