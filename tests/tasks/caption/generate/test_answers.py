from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from data_specs.reasons import Reason
from tasks.caption.generate.answers import Answers, Remembering
from tasks.caption.generate.request import Answer, GenerationError, Request
from tasks.engine.errors import BuildError
from tests.conftest import REPOSITORY
from tests.tasks.caption.generate.scripted import question

ANSWER = Answer(text="Bright.", finish="stop", audio_tokens=100, prompt_tokens=120, output_tokens=3)


class Counting:
    """A generator that counts, and is slow enough for others to come in between."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.error = error

    def generate(self, request: Request) -> Answer:
        self.asked.append(request.text)
        time.sleep(0.05)
        if self.error is not None:
            raise self.error
        return replace(ANSWER, text=request.text)


def test_an_answer_is_found_again(tmp_path: Path) -> None:
    with Answers(tmp_path / "new" / "answers.sqlite") as answers:
        assert answers.get(question().key) is None
        answers.put(question(), ANSWER)
        answers.put(question(), replace(ANSWER, text="Another."))  # the first one stays
    with Answers(tmp_path / "new" / "answers.sqlite") as answers:
        assert answers.get(question().key) == ANSWER
        assert answers.get(question(seed=2).key) is None


@pytest.mark.parametrize("text", ["", "a\0b", "“ü♯” 🎵\n", "x" * 2_000_000])
def test_any_text_comes_back(tmp_path: Path, text: str) -> None:
    with Answers(tmp_path / "a.sqlite") as answers:
        answers.put(question(), replace(ANSWER, text=text, finish="length"))
        assert answers.get(question().key) == replace(ANSWER, text=text, finish="length")


def test_threads_write_at_once(tmp_path: Path) -> None:
    requests = [question(str(i)) for i in range(200)]
    with Answers(tmp_path / "a.sqlite") as answers, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda request: answers.put(request, ANSWER), requests))
        assert list(pool.map(lambda request: answers.get(request.key), requests)) == [ANSWER] * 200


WRITER = """
import sys
from pathlib import Path
from tasks.caption.generate.answers import Answers
from tests.tasks.caption.generate.scripted import question
from tests.tasks.caption.generate.test_answers import ANSWER
with Answers(Path(sys.argv[1])) as answers:
    for i in range(10**9):
        answers.put(question(str(i)), ANSWER)
        print(i, flush=True)
"""


@pytest.mark.parametrize("after", [1, 40, 300])
def test_what_was_stored_survives_a_kill(tmp_path: Path, after: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "a.sqlite")], stdout=subprocess.PIPE, cwd=REPOSITORY, text=True
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after)]
    os.kill(process.pid, signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait()
    last = int([line for line in lines if line.endswith("\n")][-1])
    with Answers(tmp_path / "a.sqlite") as answers:
        assert all(answers.get(question(str(i)).key) == ANSWER for i in range(last + 1))
        answers.put(question("after"), ANSWER)
        assert answers.get(question("after").key) == ANSWER
    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_forgetting_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with Answers(path) as answers:
        for i in range(50):
            answers.put(question(f"song-{i}"), replace(ANSWER, text=f"secret-of-{i}!" + "x" * 20_000))
        assert answers.forget(["song-7", "song-8", "unknown"]) == 2
        assert answers.get(question("song-7").key) is None
        assert answers.get(question("song-9").key) is not None
        assert answers.forget([]) == 0
        num_bytes = path.stat().st_size
        assert answers.forget(f"song-{i}" for i in range(10, 50)) == 40
        assert path.stat().st_size < 0.3 * num_bytes
        kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())  # also the write-ahead log
        assert b"secret-of-7!" not in kept and b"song-8" not in kept and b"secret-of-9!" in kept


def test_what_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 100)
    with pytest.raises(BuildError, match="text"):
        Answers(tmp_path / "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BuildError, match="cannot use the store of answers"):
        Answers(tmp_path / "folder")


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    model = Counting()
    with Answers(tmp_path / "a.sqlite") as answers:
        remembering = Remembering(model, answers)
        assert remembering.generate(question("a")).text == "a"
        assert remembering.generate(question("a")).text == "a"
        assert remembering.generate(question("b")).text == "b"
        assert Remembering(model, answers).generate(question("a")).text == "a"
    assert model.asked == ["a", "b"]


def test_threads_with_one_question_ask_it_once(tmp_path: Path) -> None:
    model = Counting()
    with Answers(tmp_path / "a.sqlite") as answers, ThreadPoolExecutor(8) as pool:
        remembering = Remembering(model, answers)
        texts = [str(i % 4) for i in range(32)]
        assert [answer.text for answer in pool.map(remembering.generate, map(question, texts))] == texts
    assert sorted(model.asked) == ["0", "1", "2", "3"]


def test_a_failure_is_shared_and_not_kept(tmp_path: Path) -> None:
    model = Counting(GenerationError(Reason.TIMEOUT, "too slow"))
    together = threading.Barrier(4)
    with Answers(tmp_path / "a.sqlite") as answers, ThreadPoolExecutor(4) as pool:
        remembering = Remembering(model, answers)

        def ask(_: int) -> str:
            together.wait()
            with pytest.raises(GenerationError) as error:
                remembering.generate(question())
            return error.value.detail

        assert list(pool.map(ask, range(4))) == ["too slow"] * 4
        num_asked = len(model.asked)
        assert num_asked == 1
        model.error = None
        assert remembering.generate(question()).text == "Describe."
