from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from data_specs.spec import RenderedSource
from tasks.demo import server as server_module
from tasks.demo import store as store_module
from tasks.demo.catalogue import demo_tracks, media_url, song_entry
from tasks.demo.score import Song
from tasks.demo.site import PortBusyError, Site, main
from tasks.demo.song import compose


def _ask(
    source: RenderedSource, path: str, method: str = "GET", *, timeout_s: float = 20, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", source.port, timeout=timeout_s)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_pages_for_people(source: RenderedSource) -> None:
    response, content = _ask(source, "/")
    assert response.status == 200
    assert all(f'href="/songs/{track.track_id}"' in content.decode() for track in demo_tracks(source))
    response, content = _ask(source, "/songs/song-0002")
    found = re.search(r'<script type="application/ld\+json">(.*?)</script>', content.decode())
    assert found is not None
    facts = json.loads(found[1])
    song = compose(0, 2, 6, 8)
    assert facts["name"] == song.title
    assert facts["duration"] == f"PT{song.duration_s:.3f}S"


@pytest.mark.parametrize(
    "path", ["/x", "/songs/", "/songs/song-0009", "/songs/song-0001.mp3", "/media/song-0000.flac", "/media/../site.py"]
)
def test_unknown_paths_answer_404(source: RenderedSource, path: str) -> None:
    assert _ask(source, path)[0].status == 404


def test_only_get_and_head_are_served(source: RenderedSource) -> None:
    response, content = _ask(source, "/songs/song-0000", "HEAD")
    assert (response.status, content) == (200, b"")
    assert int(response.headers["Content-Length"]) > 500
    assert _ask(source, "/songs/song-0000", "POST")[0].status == 501


def test_media_with_ranges(source: RenderedSource) -> None:
    response, whole = _ask(source, "/media/song-0000.mp3")
    size = len(whole)
    assert response.status == 200
    assert response.headers["Content-Type"] == "audio/mpeg"
    assert int(response.headers["Content-Length"]) == size
    for asked, expected in (
        ("10-19", whole[10:20]),
        ("100-", whole[100:]),
        ("-7", whole[-7:]),
        ("5-99999999", whole[5:]),
    ):
        response, part = _ask(source, "/media/song-0000.mp3", Range=f"bytes={asked}")
        assert response.status == 206
        assert part == expected
        assert response.headers["Content-Range"].endswith(f"/{size}")
    for asked in (f"{size}-", "9-3", "-0"):
        response, part = _ask(source, "/media/song-0000.mp3", Range=f"bytes={asked}")
        assert (response.status, response.headers["Content-Range"], part) == (416, f"bytes */{size}", b"")
    response, part = _ask(source, "/media/song-0000.mp3", Range="bytes=0-1,4-5")
    assert (response.status, len(part)) == (200, size)


def test_truncated_media_never_pass_their_half(source: RenderedSource) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", source.port, timeout=20)
    connection.request("GET", "/media/broken-truncated.mp3")
    response = connection.getresponse()
    size = int(response.headers["Content-Length"])
    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    connection.close()
    assert len(caught.value.partial) == size // 2
    with pytest.raises(http.client.IncompleteRead) as caught:
        _ask(source, "/media/broken-truncated.mp3", Range=f"bytes={size // 2}-")
    assert caught.value.partial == b""


def test_concurrent_requests_render_once(free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = []
    real = store_module.render
    monkeypatch.setattr(store_module, "render", lambda song: rendered.append(song.song_id) or real(song))
    source = RenderedSource(num_songs=2, port=free_port, min_duration_s=5, max_duration_s=6)
    with Site(source, tmp_path), ThreadPoolExecutor(6) as pool:
        paths = ["/media/song-0000.mp3", "/media/song-0001.m4a"] * 3
        answers = list(pool.map(lambda path: _ask(source, path)[1], paths))
    assert sorted(rendered) == ["song-0000", "song-0001"]
    assert len(set(answers)) == 2
    with Site(source, tmp_path):  # and a second site finds them on disk
        assert _ask(source, "/media/song-0000.mp3")[1] == answers[0]
    assert len(rendered) == 2
    assert not list(tmp_path.rglob("*.part"))


def test_slow_rendering_never_times_a_client_out(
    free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = store_module.render

    def slow(song: Song) -> np.ndarray:
        time.sleep(1.5)
        return real(song)

    monkeypatch.setattr(store_module, "render", slow)
    monkeypatch.setattr(server_module, "PATIENCE_S", 0.1)
    source = RenderedSource(num_songs=1, port=free_port, min_duration_s=5, max_duration_s=6)
    with Site(source, tmp_path):
        response, content = _ask(source, "/media/song-0000.mp3", timeout_s=1.0)
    assert response.status == 200
    assert len(content) == int(response.headers["Content-Length"])


def test_a_file_that_was_deleted_is_rendered_again(tmp_path: Path) -> None:
    store = store_module.SongStore(RenderedSource(num_songs=1, min_duration_s=5, max_duration_s=6), tmp_path)
    path = store.media(song_entry(0)).result()
    content = path.read_bytes()
    path.unlink()
    assert store.media(song_entry(0)).result().read_bytes() == content
    store.close()


def test_another_seed_does_not_meet_cached_files(tmp_path: Path) -> None:
    first, second = (
        store_module.SongStore(RenderedSource(num_songs=1, seed=seed, min_duration_s=5, max_duration_s=6), tmp_path)
        for seed in (0, 1)
    )
    contents = [store.media(song_entry(0)).result().read_bytes() for store in (first, second)]
    assert contents[0] != contents[1]
    first.close()
    second.close()


def test_a_failure_of_ours_answers_500_and_is_logged(
    free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(song: Song) -> np.ndarray:
        raise MemoryError("no room")

    monkeypatch.setattr(store_module, "render", fail)
    source = RenderedSource(num_songs=1, port=free_port, min_duration_s=5, max_duration_s=6)
    with Site(source, tmp_path):
        assert _ask(source, "/media/song-0000.mp3")[0].status == 500
    assert "no room" in caplog.text


def test_a_client_that_hangs_up_is_not_an_error(
    source: RenderedSource, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", source.port)) as client:
            # Closing with unread data resets the connection.
            client.sendall(b"GET /media/song-0003.flac HTTP/1.1\r\n\r\n")
            client.recv(10)
    assert _ask(source, "/")[0].status == 200
    assert "Traceback" not in caplog.text + capfd.readouterr().err


def test_busy_port_names_port_field_and_fix(source: RenderedSource, tmp_path: Path) -> None:
    with pytest.raises(PortBusyError, match=rf"port {source.port} .*source\.port .*free port"), Site(source, tmp_path):
        pass


def test_site_closes_and_its_port_is_free_at_once(free_port: int, tmp_path: Path) -> None:
    source = RenderedSource(num_songs=1, port=free_port)
    for _ in range(3):
        with Site(source, tmp_path):
            assert _ask(source, "/songs/song-0000")[0].status == 200
        with pytest.raises(ConnectionRefusedError):
            _ask(source, "/")
    assert not [thread for thread in threading.enumerate() if thread.name == f"demo-site-{source.port}"]


def test_closing_drops_queued_songs_without_noise(
    free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_module, "render", lambda song: time.sleep(0.5) or np.zeros((32_000, 2), np.float32))
    source = RenderedSource(num_songs=20, port=free_port, min_duration_s=5, max_duration_s=6)
    site = Site(source, tmp_path)
    with ThreadPoolExecutor(20) as pool:
        with site:
            asked = [pool.submit(_ask, source, media_url(source, song_entry(index))) for index in range(20)]
            time.sleep(0.3)
        errors = [future.exception() for future in asked]
    assert any(errors)
    assert all(error is None or isinstance(error, (OSError, http.client.HTTPException)) for error in errors)
    assert not caplog.records
    with site:  # and the same site opens again
        assert _ask(source, "/songs/song-0000")[0].status == 200


def test_command_line_serves_until_interrupted(free_port: int, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tasks.demo.site",
        "--port",
        str(free_port),
        "--num-songs",
        "3",
        "--cache",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert f"3 songs at http://127.0.0.1:{free_port}/" in process.stdout.readline()
        assert _ask(RenderedSource(port=free_port), "/songs/song-0002")[0].status == 200
        process.send_signal(2)
        assert process.stdout.read() == "closed\n"
    assert process.returncode == 0


def test_command_line_explains_a_busy_port(source: RenderedSource, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--port", str(source.port)])
    assert caught.value.code == 1
    assert "is taken" in capsys.readouterr().err
