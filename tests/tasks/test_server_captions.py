"""Whole builds whose captions a loopback server writes: faults, kills, retries, recaption, other captioners."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.forget import take_down
from tasks.recaption import recaption
from tasks.reporting.captions.history import history
from tests.conftest import REPOSITORY
from tests.tasks.builds import published, run
from tests.tasks.caption.generate.scripted import MODEL, Say, error
from tests.tasks.caption.generate.song_server import SongServer, written
from tests.tasks.test_recaption import captions, changed, config


@pytest.fixture
def server() -> Iterator[SongServer]:
    with SongServer() as running:
        yield running


@pytest.fixture
def asked(copy: tuple[Path, Path], server: SongServer, tmp_path: Path) -> tuple[Path, Path, Path]:
    """A spec whose captions the server is to write, a workspace that has those of the rules, a serving file."""
    spec = changed(copy[0], tmp_path / "asked.yaml", captioner="server", model=MODEL.model_dump(), max_refills=1)
    serving = tmp_path / "serving.yaml"
    serving.write_text(yaml.safe_dump({"servers": [server.address], "requests": 4, "patience_s": 60}))
    return spec, copy[1], serving


def answers(work: Path) -> dict[str, str]:
    """Track by question."""
    if not (work / "answers.sqlite").exists():
        return {}
    with contextlib.closing(sqlite3.connect(f"file:{work / 'answers.sqlite'}?mode=ro", uri=True)) as store:
        try:
            return dict(store.execute("SELECT key, track_id FROM answers"))
        except sqlite3.OperationalError:  # being made
            return {}


def num_new(spec: Path, work: Path, serving: Path, **options: object) -> int:
    report = run(spec, work, serving=str(serving), **options)
    new = {row.stage: row.num_new for row in report.funnel}
    assert new["harvest"] == new["audio"] == new["structure"] == new["fingerprint"] == 0
    return new["caption"]


def test_every_song_gets_a_caption_of_kept_answers(asked: tuple[Path, Path, Path], server: SongServer) -> None:
    spec, work, serving = asked
    songs = captions(work)
    assert num_new(spec, work, serving) == len(songs)
    kept = answers(work)
    for track_id, row in captions(work).items():
        assert (row["status"], row["captioner"], row["model"]) == ("ok", "model-1", MODEL.weights), row["detail"]
        assert {kept[key] for key in row["answers"]} == {track_id}
    assert len(server.seeds()) == len(set(server.seeds())) == len(kept)
    assert server.most_at_once > 1
    assert num_new(spec, work, serving) == 0
    assert len(server.bodies) == len(kept)


def test_from_rules_to_the_server_and_back(
    copy: tuple[Path, Path], asked: tuple[Path, Path, Path], server: SongServer
) -> None:
    spec, work, serving = asked
    by_rules = published(work)
    run(spec, work, serving=str(serving))
    by_server, num_asked = published(work), len(server.bodies)
    assert num_new(copy[0], work, serving) == 0
    assert published(work) == by_rules
    server.stop()
    assert num_new(spec, work, serving) == 0
    assert published(work) == by_server
    assert len(server.bodies) == num_asked


def test_faults_in_between_cost_nothing(asked: tuple[Path, Path, Path], server: SongServer) -> None:
    spec, work, serving = asked
    faults = {
        0: error(429, "later", Retry_After="0"),
        1: error(500, "oops"),
        2: Say(breaks_off=True),
        3: Say(body=b"<html>"),
        5: error(503, "queue is full", Retry_After="0"),
    }
    server.fault = lambda number, body: faults.get(number)
    run(spec, work, serving=str(serving))
    assert {row["status"] for row in captions(work).values()} == {"ok"}


def begin(spec: Path, work: Path, serving: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tasks.cli", "build", str(spec), "--workspace", str(work)]
    return subprocess.Popen(
        [*command, "--serving", str(serving), "--processes", "1"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


@pytest.mark.parametrize("after", [1, 3, 6])
def test_a_killed_build_asks_nothing_again(
    asked: tuple[Path, Path, Path], server: SongServer, after: int, tmp_path: Path
) -> None:
    spec, work, serving = asked
    whole = tmp_path / "whole"
    shutil.copytree(work, whole)
    run(spec, whole, serving=str(serving))
    server.bodies.clear()

    server.fault = lambda number, body: Say(after_s=0.3, body=written(body))
    build = begin(spec, work, serving)
    until(lambda: len(answers(work)) >= after, build)
    os.killpg(build.pid, signal.SIGKILL)
    build.communicate()
    kept = answers(work)
    time.sleep(0.5)
    before = len(server.bodies)
    server.fault = lambda number, body: None
    run(spec, work, serving=str(serving))
    assert len(server.bodies) - before == len(answers(work)) - len(kept)
    assert published(work) == published(whole)


def test_a_ctrl_c_ends_the_wait_for_a_server(asked: tuple[Path, Path, Path], server: SongServer) -> None:
    spec, work, serving = asked
    server.stop()
    build = begin(spec, work, serving)
    assert build.stdout is not None
    said = ""
    while "is down" not in said:
        line = build.stdout.readline()
        assert line, said
        said += line
    started = time.monotonic()
    os.kill(build.pid, signal.SIGINT)
    rest, _ = build.communicate(timeout=20)
    assert build.returncode == 130, rest
    assert time.monotonic() - started < 5
    assert "Traceback" not in rest and "never awaited" not in rest
    server.start()
    assert num_new(spec, work, serving) == len(captions(work))


def test_one_wrong_server_stops_all_who_wait(asked: tuple[Path, Path, Path], server: SongServer) -> None:
    spec, work, serving = asked
    server.fault = lambda number, body: error(404, "The model does not exist") if number == 1 else Say(after_s=60)
    started = time.monotonic()
    done = begin(spec, work, serving)
    said, _ = done.communicate(timeout=60)
    assert done.returncode == 1
    assert "Is the model still served?" in said and "Traceback" not in said and "never awaited" not in said
    assert time.monotonic() - started < 40


def test_only_what_a_query_finds_is_asked_again(asked: tuple[Path, Path, Path], server: SongServer) -> None:
    spec, work, serving = asked
    run(spec, work, serving=str(serving))
    first, kept = captions(work), answers(work)
    chosen = sorted(first)[2]
    recaption(config(spec, work), [f"track = {chosen}"])
    assert num_new(spec, work, serving) == 1
    second = captions(work)
    assert {i for i in first if first[i] != second[i]} == {chosen}
    assert {track_id for key, track_id in answers(work).items() if key not in kept} == {chosen}


def test_forgotten_tracks_leave_answers_and_orders(asked: tuple[Path, Path, Path], server: SongServer) -> None:
    spec, work, serving = asked
    run(spec, work, serving=str(serving))
    first, second = sorted(row for row, it in captions(work).items() if it["published"])[:2]
    recaption(config(spec, work), [f"track = {first}", f"track = {second}"])
    run(spec, work, serving=str(serving))
    take_down(config(spec, work).model_copy(update={"serving": str(serving)}), [first], "")
    assert first not in answers(work).values() and second in answers(work).values()
    orders = (work / "recaption.csv").read_text()
    assert first not in orders and second in orders
    for name in ("captions.html", "captions.json", "caption_audit.csv"):
        assert first not in (work / name).read_text()
    assert first not in captions(work) and captions(work)[second]["version"] == 1


def test_the_key_is_sent_and_written_down_nowhere(
    asked: tuple[Path, Path, Path], server: SongServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, work, serving = asked
    server.key = "sk-secret"
    monkeypatch.setenv("COLLAP_API_KEY", "sk-wrong")
    said, _ = begin(spec, work, serving).communicate(timeout=60)
    assert "wants a key (401): the environment variable COLLAP_API_KEY holds a key that it does not take" in said
    assert "sk-wrong" not in said
    monkeypatch.setenv("COLLAP_API_KEY", server.key)
    server.fault = lambda number, body: error(500, f"Bearer {server.key} met an error") if number < 2 else None
    said, _ = begin(spec, work, serving).communicate(timeout=60)
    assert {row["status"] for row in captions(work).values()} == {"ok"}
    assert "sk-secret" not in said
    for path in work.rglob("*"):
        assert not path.is_file() or b"sk-secret" not in path.read_bytes(), path


REFUSAL = "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda body: Say(body=written(body, REFUSAL)), "caption_refused"),
        (lambda body: Say(body=written(body, '{"sections": [], "global": ""}')), "caption_invalid"),
        (lambda body: Say(body=written(body, share_heard=0.4)), "audio_not_heard"),
        (lambda body: error(400, "no"), "server_error"),
    ],
    ids=["refusal", "invalid", "not heard", "error"],
)
def test_retry_asks_again(
    asked: tuple[Path, Path, Path], server: SongServer, answer: Callable[[dict[str, Any]], Say], reason: str
) -> None:
    spec, work, serving = asked
    sounds: list[str] = []

    def fault(number: int, body: dict[str, Any]) -> Say | None:
        sound = body["messages"][1]["content"][0]["input_audio"]["data"]
        sounds.append(sound)
        return answer(body) if sound == sounds[0] else None

    server.fault = fault
    run(spec, work, serving=str(serving))
    (dropped,) = (track_id for track_id, row in captions(work).items() if row["status"] != "ok")
    assert captions(work)[dropped]["reason"] == reason
    num_asked = len(server.bodies)
    assert num_new(spec, work, serving) == 0
    assert num_new(spec, work, serving, retry=["worker_crashed"]) == 0
    assert len(server.bodies) == num_asked

    assert num_new(spec, work, serving, retry=[reason]) == 1
    assert captions(work)[dropped]["reason"] == reason
    assert len(server.bodies) > num_asked, "a stored answer took the place of a new one"

    server.fault = lambda number, body: None
    num_asked = len(server.bodies)
    assert num_new(spec, work, serving, retry=[reason]) == 1
    assert captions(work)[dropped]["status"] == "ok"
    assert len(server.bodies) == num_asked + 1
    told = history(config(spec, work), dropped)
    assert sum(line.startswith("in the dataset: ") for line in told.splitlines()) == 1
