"""Starting, losing and ending the worker. A child that speaks its lines stands in; tests/vllm has the real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from data_specs.reasons import Reason
from data_specs.serving import ServingSettings
from tasks.caption.generate import faults, process
from tasks.caption.generate.process import VllmProcess
from tasks.caption.generate.request import Answer, GenerationError
from tasks.engine.errors import BuildError
from tests.conftest import REPOSITORY
from tests.tasks.caption.generate.scripted import MODEL, question

STAND_IN = Path(__file__).with_name("protocol_worker.py")


class Client:
    """A process generator with what it said."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.log = folder / "logs" / "vllm.log"
        self.events: list[str] = []
        self.stopped = threading.Event()
        chosen = {"python": sys.executable, "timeout_s": 20.0, **settings}
        self.generator = VllmProcess(ServingSettings(**chosen), MODEL, self.stopped, self.events.append, self.log)

    def __enter__(self) -> Client:
        self.generator.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.generator.__exit__(*error)

    def ask(self, text: str) -> Answer:
        return self.generator.generate(question(text))

    def ask_all(self, texts: list[str]) -> list[Answer | Exception]:
        def one(text: str) -> Answer | Exception:
            try:
                return self.ask(text)
            except (GenerationError, BuildError, CancelledError) as error:
                return error

        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(one, texts))

    def pids(self) -> list[int]:
        lines = self.log.read_text().splitlines()
        return [int(pid) for line in lines if line.startswith("pids ") for pid in line.split()[1:]]

    def num_got(self, text: str) -> int:
        return self.log.read_text().count(f'"text": "{text}"')


def are_gone(pids: list[int], within_s: float = 10.0) -> bool:
    until = time.monotonic() + within_s
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "WORKER", STAND_IN)
    monkeypatch.setenv("ONCE", str(tmp_path / "once"))


def test_questions_are_answered_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAP_API_KEY", "secret")
    with Client(tmp_path, engine={"max_num_seqs": 3, "max_model_len": 99}) as client:
        assert not client.log.exists()  # nothing starts before the first question
        began = time.monotonic()
        answers = client.ask_all(["wait 0.5"] * 8)
        assert time.monotonic() - began < 3.0
        assert (
            answers
            == [Answer(text="about wait 0.5", finish="stop", audio_tokens=3, prompt_tokens=5, output_tokens=7)] * 8
        )
        pids = client.pids()
    assert are_gone(pids) and len(pids) == 2
    said = client.log.read_text()
    assert '"max_num_seqs": 3' in said and '"max_model_len": 99' in said and "secret" not in said
    assert len(client.events) == 2 and str(client.log) in client.events[0]


def test_a_worker_that_dies_takes_no_song_with_it(tmp_path: Path) -> None:
    with Client(tmp_path) as client:
        answers = client.ask_all(["wait 0.5"] * 7 + ["kill once"])
        assert all(isinstance(answer, Answer) for answer in answers)
        first = client.pids()[:2]
        assert are_gone(first)  # with the engine it left behind
    assert are_gone(client.pids()) and len(client.pids()) == 4


@pytest.mark.parametrize("killer", ["kill", "kill halfway"])
def test_a_song_that_kills_the_worker_is_found(tmp_path: Path, killer: str) -> None:
    with Client(tmp_path) as client:
        answers = client.ask_all([killer, *("wait 0.3" for _ in range(15))])
        fallen = answers.pop(0)
        assert isinstance(fallen, GenerationError) and fallen.reason == Reason.WORKER_CRASHED
        assert str(client.log) in fallen.detail
        assert all(isinstance(answer, Answer) for answer in answers)
        assert client.num_got(killer) == 3


def test_a_worker_that_keeps_dying_stops_the_build(tmp_path: Path) -> None:
    with Client(tmp_path) as client:
        answers = client.ask_all(["kill"] * 8)
        assert any(isinstance(answer, BuildError) for answer in answers)
        with pytest.raises(BuildError, match="vLLM died 4 times within 10 minutes") as stopped:
            client.ask("x")
        assert "got" in str(stopped.value)  # the end of the log
        assert len(client.pids()) == 8
    assert are_gone(client.pids())


def test_deaths_long_ago_are_forgiven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "RESTARTS_WITHIN_S", 0.0)
    with Client(tmp_path) as client:
        for _ in range(2):
            with pytest.raises(GenerationError):
                client.ask("kill")
        assert isinstance(client.ask("x"), Answer)


def test_slow_answers_are_given_up(tmp_path: Path) -> None:
    with Client(tmp_path, timeout_s=1.0) as client:
        client.ask("x")
        answers = client.ask_all(["wait 5", "x"])
        assert isinstance(answers[0], GenerationError) and answers[0].reason == Reason.TIMEOUT
        assert isinstance(answers[1], Answer)
        assert client.num_got("wait 5") == 2
        until = time.monotonic() + 5.0
        while client.log.read_text().count('{"cancel":') < 2:
            assert time.monotonic() < until, "the worker still works on what nobody waits for"
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("status 400 This model's maximum context length is 9", Reason.PROMPT_TOO_LONG),
        ("status 400 Invalid data found when processing input", Reason.UNDECODABLE),
        ("status 500 CUDA says no", Reason.SERVER_ERROR),
    ],
)
def test_what_is_wrong_with_one_song(tmp_path: Path, said: str, reason: Reason) -> None:
    with Client(tmp_path) as client, pytest.raises(GenerationError) as failed:
        client.ask(said)
    assert failed.value.reason == reason


def test_an_engine_that_fails_at_everything_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "MAX_FRUITLESS", 4)
    with Client(tmp_path) as client:
        answers = client.ask_all(["status 500 CUDA says no"] * 6)
        assert [type(answer) for answer in answers].count(GenerationError) == 3
        assert all("CUDA says no" in str(answer) for answer in answers)
        assert isinstance(client.ask("x"), Answer)


def test_what_a_person_must_mend_stops_the_build(tmp_path: Path) -> None:
    with Client(tmp_path) as client, pytest.raises(BuildError, match="max_num_batched_tokens"):
        client.ask("status 400 exceeds the pre-allocated encoder cache size 2048")


@pytest.mark.parametrize("quietly", [False, True])
@pytest.mark.parametrize(
    ("failure", "fix"),
    [
        ("ModuleNotFoundError: No module named 'vllm'", "pip install"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "gpu_memory_utilization"),
        ("Model architectures ['MossMusicModel'] are not supported for now", "does not have the model"),
        ("something else", "the end of its log"),
    ],
)
def test_a_worker_that_cannot_start(tmp_path: Path, failure: str, fix: str, quietly: bool) -> None:
    with Client(tmp_path, engine={"fail": failure, "quietly": quietly}) as client:
        answers = client.ask_all(["x"] * 8)
    for answer in answers:
        assert isinstance(answer, BuildError)
        assert fix in str(answer) and "line before" in str(answer) and str(client.log) in str(answer)
    assert client.log.read_text().count("line before") == 1  # it is not tried for every thread


@pytest.mark.parametrize(
    ("python", "named"), [(None, "captioner 'vllm' needs"), ("/nowhere/python", "/nowhere/python")]
)
def test_an_interpreter_that_is_not_there(tmp_path: Path, python: str | None, named: str) -> None:
    with Client(tmp_path, python=python) as client, pytest.raises(BuildError, match=named):
        client.ask("x")


@pytest.mark.parametrize("text", ["wait 30", "x"])
def test_every_wait_ends_with_the_build(tmp_path: Path, text: str) -> None:
    with Client(tmp_path, engine={"load_s": 30.0 if text == "x" else 0.0}) as client:
        stopped_at: list[float] = []

        def stop() -> None:
            stopped_at.append(time.monotonic())
            client.stopped.set()

        threading.Timer(1.0, stop).start()
        answers = client.ask_all([text] * 8)
        assert time.monotonic() - stopped_at[0] < 0.5
    assert all(isinstance(answer, CancelledError) for answer in answers)
    assert are_gone(client.pids())


BUILD = """
    import sys, threading
    from pathlib import Path
    from tasks.caption.generate import faults, process
    from tests.tasks.caption.generate import test_process
    process.WORKER = test_process.STAND_IN if sys.argv[2] == "stand-in" else process.WORKER
    with test_process.Client(Path(sys.argv[1])) as client:
        print(client.ask("x").text, flush=True)
        threading.Event().wait()
"""


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_is_killed_leaves_no_worker(tmp_path: Path, kill: signal.Signals) -> None:
    build = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(BUILD), str(tmp_path), "stand-in"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert build.stdout is not None and build.stdout.readline() == "about x\n"
    pids = [
        int(pid)
        for line in (tmp_path / "logs/vllm.log").read_text().splitlines()
        if line.startswith("pids")
        for pid in line.split()[1:]
    ]
    os.kill(build.pid, kill)
    build.wait()
    assert are_gone(pids[:1])
    if kill == signal.SIGINT:
        assert are_gone(pids)
    else:
        os.kill(pids[1], signal.SIGKILL)  # the real worker ends its group itself, the stand-in does not
