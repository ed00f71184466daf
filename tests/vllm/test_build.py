"""Whole builds whose captions a real vLLM writes; server and build are killed, and nothing is lost or written twice."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from data_specs.music_llms import MusicLLM
from tasks.recaption import recaption
from tests.ports import free_port
from tests.tasks.builds import rendered, run, write_spec
from tests.tasks.test_recaption import captions, config
from tests.vllm.conftest import Serve, TinyModel
from tests.vllm.engines import ENVIRONMENT, REPOSITORY, Server

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

NUM_SONGS = 8


@pytest.fixture(scope="module")
def model(tiny_model: TinyModel) -> MusicLLM:
    return tiny_model("audioflamingo3")


@pytest.fixture(scope="module")
def server(serve: Serve, model: MusicLLM) -> Server:
    return serve(model)


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory, model: MusicLLM) -> tuple[Path, Path]:
    """A spec whose captions the model is to write, and a workspace that has everything but those."""
    folder = tmp_path_factory.mktemp("analysed")
    source = {**rendered(free_port(), NUM_SONGS), "broken": False}
    run(write_spec(folder, source=source, partition_size=4), folder / "work")
    written_out = {"captioner": "server", "model": model.model_dump(), "temperature": 1.0}
    return write_spec(folder, source=source, partition_size=4, caption=written_out), folder / "work"


@pytest.fixture
def fresh(analysed: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    shutil.copytree(analysed[1], tmp_path / "work")
    return analysed[0], tmp_path / "work"


def serving_file(folder: Path, server: Server, **fields: object) -> Path:
    path = folder / "serving.yaml"
    path.write_text(yaml.safe_dump({"servers": [server.address], "requests": 4, "patience_s": 240, **fields}))
    return path


def begin(spec: Path, work: Path, serving: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tasks.cli", "build", str(spec), "--workspace", str(work)]
    return subprocess.Popen(
        [*command, "--serving", str(serving), "--processes", "1"],
        cwd=REPOSITORY,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def answers(work: Path) -> list[tuple[str, str]]:
    """Question and track of every answer that is kept."""
    if not (work / "answers.sqlite").exists():
        return []
    with sqlite3.connect(f"file:{work / 'answers.sqlite'}?mode=ro", uri=True) as connection:
        try:
            return connection.execute("SELECT key, track_id FROM answers ORDER BY key").fetchall()
        except sqlite3.OperationalError:  # being made
            return []


def until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not reached():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)


def assert_complete(work: Path) -> None:
    """Every song has one accepted caption of the model's, made of answers that are kept, and stands in one shard."""
    found = captions(work)
    kept = dict(answers(work))
    assert len(found) == NUM_SONGS
    for track_id, row in found.items():
        assert row["status"] == "ok", row["detail"]
        assert row["captioner"] == "model-1" and row["answers"]
        assert {kept[key] for key in row["answers"]} == {track_id}
    assert sorted(pq.read_table(work / "manifest.parquet")["track_id"].to_pylist()) == sorted(found)
    used = [key for row in found.values() for key in row["answers"]]
    assert len(used) == len(set(used))


def test_a_server_killed_in_the_middle_loses_nothing(fresh: tuple[Path, Path], server: Server, tmp_path: Path) -> None:
    spec, work = fresh
    build = begin(spec, work, serving_file(tmp_path, server))
    until(lambda: len(answers(work)) >= 2, build)
    server.kill()
    before = answers(work)
    assert len(before) < NUM_SONGS, "killed too late to prove anything"
    time.sleep(2)
    assert build.poll() is None, "the build waits"
    server.start()
    server.wait()
    said, _ = build.communicate(timeout=300)
    assert build.returncode == 0, said
    assert "is down" in said and "is back after" in said
    assert_complete(work)
    after = answers(work)
    assert set(before) <= set(after)
    # The server that came back was asked for what was missing and nothing else.
    assert server.num_answered() == len(after) - len(before)


def test_a_build_killed_in_the_middle_asks_nothing_again(
    fresh: tuple[Path, Path], server: Server, tmp_path: Path
) -> None:
    spec, work = fresh
    serving = serving_file(tmp_path, server)
    num_before = server.num_answered()
    build = begin(spec, work, serving)
    until(lambda: len(answers(work)) >= 3, build)
    os.killpg(build.pid, signal.SIGKILL)
    build.wait()
    kept = answers(work)
    assert len(kept) < NUM_SONGS
    server.settle()  # what was in flight is given up, or answered to nobody
    num_lost = server.num_answered() - num_before - len(kept)
    assert num_lost <= 4, "at most what was in flight"

    again = begin(spec, work, serving)
    said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert_complete(work)
    assert server.num_answered() - num_before - num_lost == len(answers(work))

    num_asked = server.num_answered()
    third = begin(spec, work, serving)
    assert "nothing to do" in third.communicate(timeout=120)[0]
    assert server.num_answered() == num_asked


def test_only_the_tracks_of_a_query_are_asked_again_and_the_way_to_the_model_does_not_matter(
    fresh: tuple[Path, Path], server: Server, tmp_path: Path, python: Path
) -> None:
    spec, work = fresh
    serving = serving_file(tmp_path, server)
    assert run(spec, work, serving=str(serving)).num_samples == NUM_SONGS
    first, kept = captions(work), answers(work)
    chosen = sorted(first)[2]
    recaption(config(spec, work), [f"track = {chosen}"])

    # By a process of the build's own: for all but the one it has nothing to do, so it starts one engine for one song.
    other = tmp_path / "other.yaml"
    fields = yaml.safe_load(spec.read_text())
    other.write_text(yaml.safe_dump({**fields, "caption": {**fields["caption"], "captioner": "vllm"}}))
    own = serving_file(tmp_path, server, python=str(python))
    server.kill()
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ENVIRONMENT.items():
                patch.setenv(name, value)
            run(other, work, serving=str(own))
    finally:
        server.start()
        server.wait()
    second = captions(work)
    assert {i for i in first if first[i]["long_text"] != second[i]["long_text"]} == {chosen}
    assert second[chosen]["version"] == 1
    new = set(answers(work)) - set(kept)
    assert {track_id for _, track_id in new} == {chosen}
    assert set(second[chosen]["answers"]) == {key for key, _ in new}
