"""The way to a server: every fault that one has, on real sockets."""

from __future__ import annotations

import base64
import io
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from data_specs.reasons import Reason
from data_specs.serving import ServingSettings
from tasks.caption.generate import faults, replicas
from tasks.caption.generate.request import Answer, GenerationError
from tasks.caption.generate.server import ServerGenerator
from tasks.engine.errors import BuildError
from tests.tasks.caption.generate.scripted import (
    MODEL,
    OK,
    Say,
    ScriptedServer,
    completion,
    error,
    noise,
    question,
    span,
)


class Client:
    """A generator with what it said."""

    def __init__(self, *addresses: str, **settings: Any) -> None:
        self.events: list[str] = []
        self.stopped = threading.Event()
        chosen = {"patience_s": 20.0, "timeout_s": 20.0, **settings}
        self.generator = ServerGenerator(
            ServingSettings(servers=addresses, **chosen), MODEL, self.stopped, self.events.append
        )

    def __enter__(self) -> Client:
        self.generator.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.generator.__exit__(*error)

    def ask(self, text: str = "Describe.", **changes: Any) -> Answer:
        return self.generator.generate(question(text, **changes))

    def ask_all(self, texts: list[str], num_threads: int = 8) -> list[Answer | Exception]:
        def one(text: str) -> Answer | Exception:
            try:
                return self.ask(text)
            except (GenerationError, BuildError, CancelledError) as error:
                return error

        with ThreadPoolExecutor(num_threads) as pool:
            return list(pool.map(one, texts))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "FIRST_PAUSE_S", 0.1)


@pytest.fixture
def served() -> Iterator[ScriptedServer]:
    with ScriptedServer() as scripted:
        yield scripted


def once(say: Say) -> Any:
    """A script that does this at the first question about each text, and answers after."""
    seen: Counter[str] = Counter()

    def script(text: str) -> Say:
        seen[text] += 1
        return say if seen[text] == 1 else OK

    return script


def only(text: str, say: Say) -> Any:
    return lambda asked: say if asked == text else OK


def test_a_question_and_its_answer(served: ScriptedServer, tmp_path: Path) -> None:
    pcm_n = noise(tmp_path / "a.flac")
    with Client(served.address) as client:
        answer = client.ask("What?", audio=span(tmp_path / "a.flac"))
    assert answer == Answer(text="about What?", finish="stop", audio_tokens=1500, prompt_tokens=1540, output_tokens=7)
    (body,) = served.bodies
    system, user = body["messages"]
    assert system == {"role": "system", "content": "You describe music."}
    assert [part["type"] for part in user["content"]] == ["input_audio", "text"]  # audio first: a shared prefix
    sent = user["content"][0]["input_audio"]
    heard_n, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(sent["data"])), dtype="int16")
    assert sent["format"] == "flac" and rate_hz == 16_000 and np.array_equal(heard_n, pcm_n)
    assert body["response_format"]["json_schema"] == {"name": "answer", "strict": True, "schema": {"type": "object"}}
    assert {name: body[name] for name in ("model", "max_tokens", "temperature", "top_p", "seed")} == {
        "model": "music-llm",
        "max_tokens": 100,
        "temperature": 0.7,
        "top_p": 0.95,
        "seed": 1,
    }


def test_a_build_without_questions_needs_no_server() -> None:
    with Client("http://127.0.0.1:9/v1", patience_s=0) as client:
        pass
    assert client.events == []


def test_audio_as_a_file_address(served: ScriptedServer, tmp_path: Path) -> None:
    path = tmp_path / "ä #1.flac"
    noise(path)
    with Client(served.address, media="file") as client:
        client.ask(audio=span(path))
        client.ask(audio=span(path, 1.0, 2.0, whole=False))
        with pytest.raises(GenerationError) as missing:
            client.ask(audio=span(tmp_path / "none.flac"))
    first, second = (body["messages"][1]["content"][0] for body in served.bodies)
    assert first == {"type": "audio_url", "audio_url": {"url": path.as_uri()}}
    assert second["type"] == "input_audio"
    assert missing.value.reason == Reason.FILE_MISSING


def test_a_server_that_does_not_see_the_files(served: ScriptedServer, tmp_path: Path) -> None:
    noise(tmp_path / "a.flac")
    served.script = lambda text: error(500, "[Errno 2] No such file or directory: <path>")  # vLLM hides paths
    with Client(served.address, media="file") as client, pytest.raises(BuildError, match="leave 'media: file' out"):
        client.ask(audio=span(tmp_path / "a.flac"))
    with Client(served.address) as client, pytest.raises(GenerationError):
        client.ask(audio=span(tmp_path / "a.flac"))


def test_questions_are_asked_at_the_same_time(served: ScriptedServer) -> None:
    served.script = lambda text: Say(after_s=0.3)
    with Client(served.address) as client:
        answers = client.ask_all([str(i) for i in range(16)])
    assert [answer.text for answer in answers if isinstance(answer, Answer)] == [f"about {i}" for i in range(16)]
    assert served.most_at_once == 8


@pytest.mark.parametrize(
    "say",
    [
        error(500, "oops"),
        error(429, "slow down", Retry_After="1"),
        error(503, "The engine is currently busy and cannot accept new requests."),
        error(502, "bad gateway"),
        Say(breaks_off=True),
        Say(body=b"<html>welcome</html>"),
        Say(body=b"\xff\xfe[[[["),
        Say(body={"choices": []}),
        Say(body=completion("", finish="error")),
    ],
    ids=["500", "429", "503", "502", "reset", "html", "bytes", "empty", "error"],
)
def test_what_passes_is_asked_again(served: ScriptedServer, say: Say) -> None:
    served.script = once(say)
    with Client(served.address) as client:
        answers = client.ask_all([str(i) for i in range(8)])
    assert [answer.text for answer in answers if isinstance(answer, Answer)] == [f"about {i}" for i in range(8)]
    assert client.events == []  # it was never down


def test_retry_after_is_honoured(served: ScriptedServer) -> None:
    served.script = once(error(429, "slow down", Retry_After="1"))
    with Client(served.address) as client:
        began = time.monotonic()
        client.ask()
    assert 1.0 <= time.monotonic() - began < 2.0
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2.5))
    served.script = once(error(429, "slow down", Retry_After=date))
    with Client(served.address) as client:
        began = time.monotonic()
        client.ask()
    assert 1.0 <= time.monotonic() - began < 4.0


@pytest.mark.parametrize(
    "say",
    [error(500, "oops"), Say(breaks_off=True), Say(body=b"{"), Say(body=b"[" * 100_000), error(422, "no such thing")],
    ids=["500", "reset", "half", "deep", "422"],
)
def test_a_poisoned_song_falls_alone(served: ScriptedServer, say: Say) -> None:
    served.script = only("3", say)
    with Client(served.address) as client:
        answers = client.ask_all([str(i) for i in range(8)])
    fallen = answers.pop(3)
    assert isinstance(fallen, GenerationError) and fallen.reason == Reason.SERVER_ERROR
    assert all(isinstance(answer, Answer) for answer in answers)
    assert served.texts().count("3") == (1 if say.status == 422 else 3)
    assert client.events == []


def test_an_answer_without_end_is_not_read(served: ScriptedServer) -> None:
    served.script = only("1", Say(body=b" " * (3 * replicas.MAX_BODY_BYTES)))
    with Client(served.address) as client:
        answers = client.ask_all(["0", "1"])
    assert isinstance(answers[0], Answer)
    assert isinstance(answers[1], GenerationError) and "more than 8388608 bytes" in answers[1].detail


def test_slow_answers_are_given_up(served: ScriptedServer) -> None:
    served.script = only("1", Say(after_s=5.0))
    with Client(served.address, timeout_s=1.0) as client:
        began = time.monotonic()
        answers = client.ask_all(["0", "1"])
        took_s = time.monotonic() - began
    assert isinstance(answers[0], Answer)
    assert isinstance(answers[1], GenerationError) and answers[1].reason == Reason.TIMEOUT
    assert served.texts().count("1") == 2 and 2.0 <= took_s < 4.0


def test_a_server_that_comes_late_is_waited_for(free_port: int) -> None:
    late = ScriptedServer(port=free_port, up=False)
    threading.Timer(3.0, late.start).start()
    with late, Client(late.address) as client:
        answers = client.ask_all([str(i) for i in range(8)])
    assert all(isinstance(answer, Answer) for answer in answers)
    down, back = client.events  # once each, for eight threads
    assert f"127.0.0.1:{free_port}/v1 is down (All connection attempts failed)" in down and "is back after" in back
    assert len(late.bodies) == 8


def test_a_server_that_never_comes_stops_the_build(free_port: int) -> None:
    address = f"http://127.0.0.1:{free_port}/v1"
    with Client(address, patience_s=1.0) as client:
        began = time.monotonic()
        answers = client.ask_all([str(i) for i in range(8)])
        took_s = time.monotonic() - began
    assert 1.0 <= took_s < 3.0
    for answer in answers:
        assert isinstance(answer, BuildError)
        assert address in str(answer) and "for 1 s" in str(answer) and MODEL.serve_line() in str(answer)
    assert len(client.events) == 1


def test_an_engine_that_dies_takes_no_song_with_it(served: ScriptedServer) -> None:
    """All in flight get a 500, then nobody listens, then it is back: no song may be dropped for it."""
    died = threading.Event()

    def script(text: str) -> Say:
        if text == "7" and not died.is_set():
            died.set()
            return Say(dies=True)
        return Say(after_s=0.2)

    served.script = script
    served.restarts_after_s = 1.0
    with Client(served.address) as client:
        answers = client.ask_all([str(i) for i in range(24)])
        assert [answer.text for answer in answers if isinstance(answer, Answer)] == [f"about {i}" for i in range(24)]
    assert len(client.events) == 2
    assert max(Counter(served.texts()).values()) <= 2


def test_a_song_that_kills_the_engine_is_found(served: ScriptedServer) -> None:
    served.script = lambda text: Say(dies=True) if text == "5" else Say(after_s=0.1)
    served.restarts_after_s = 0.3
    with Client(served.address) as client:
        answers = client.ask_all([str(i) for i in range(16)])
    killer = answers.pop(5)
    assert isinstance(killer, GenerationError) and killer.reason == Reason.SERVER_ERROR
    assert all(isinstance(answer, Answer) for answer in answers)
    assert served.texts().count("5") == 3


def test_killed_and_started_again(served: ScriptedServer) -> None:
    served.script = lambda text: Say(after_s=0.3)

    def restart() -> None:
        served.stop()
        time.sleep(1.0)
        served.start()

    timer = threading.Timer(0.5, restart)
    timer.start()
    with Client(served.address) as client:
        answers = client.ask_all([str(i) for i in range(24)])
    timer.join()
    assert all(isinstance(answer, Answer) for answer in answers)
    assert len(client.events) == 2


def test_another_replica_goes_on_meanwhile(served: ScriptedServer, free_port: int) -> None:
    served.script = lambda text: Say(after_s=0.05)
    with ScriptedServer(served.script) as other, Client(served.address, other.address) as client:
        assert all(isinstance(answer, Answer) for answer in client.ask_all([str(i) for i in range(16)]))
        assert served.bodies and other.bodies
        assert abs(len(served.bodies) - len(other.bodies)) <= 8
        other.stop()
        began = time.monotonic()
        assert all(isinstance(answer, Answer) for answer in client.ask_all([str(i) for i in range(16)]))
        assert time.monotonic() - began < 3.0
        assert "going on with those that are up" in client.events[0]


def test_the_replica_with_less_to_do_is_asked(served: ScriptedServer) -> None:
    served.script = lambda text: Say(after_s=1.0)
    with ScriptedServer(lambda text: Say(after_s=0.02)) as fast, Client(served.address, fast.address) as client:
        client.ask_all([str(i) for i in range(40)])
        assert len(fast.bodies) > 2 * len(served.bodies)


def test_a_broken_replica_is_no_black_hole(served: ScriptedServer) -> None:
    """It fails fast, so it would always have the least to do."""
    served.script = lambda text: Say(after_s=0.3)
    with ScriptedServer(lambda text: error(500, "oops")) as broken, Client(served.address, broken.address) as client:
        answers = client.ask_all([str(i) for i in range(16)])
    assert all(isinstance(answer, Answer) for answer in answers)


@pytest.mark.parametrize(
    ("say", "named"),
    [
        (error(413, "too large"), "media: file"),
        (error(404, "The model `music-llm` does not exist."), "vllm serve"),
        (
            error(
                400,
                "an audio item with 7200 embedding tokens, which exceeds the pre-allocated encoder cache size 2048",
            ),
            "--max-num-batched-tokens (max_num_batched_tokens) of at least 15000",
        ),
        (error(400, "must be a subpath of `--allowed-local-media-path /x`"), "--allowed-local-media-path"),
        (error(500, "Cannot load local files without `--allowed-local-media-path`."), "--allowed-local-media-path"),
        (error(400, "Audio exceeds maximum allowed duration of 600s"), "VLLM_MAX_AUDIO_DECODE_DURATION_S=600"),
        (error(400, "Maximum file size exceeded"), "VLLM_MAX_AUDIO_CLIP_FILESIZE_MB"),
        (error(400, "music-llm is not a multimodal model"), "does not listen"),
        (Say(body=completion("x", details=None)), "--enable-prompt-tokens-details"),
        (Say(body=completion("x", details={"cached_tokens": 3})), "--enable-prompt-tokens-details"),
    ],
)
def test_what_a_person_must_mend_stops_the_build(served: ScriptedServer, tmp_path: Path, say: Say, named: str) -> None:
    noise(tmp_path / "a.flac", 0.5)
    served.script = lambda text: say
    with Client(served.address) as client, pytest.raises(BuildError) as stopped:
        client.ask(audio=span(tmp_path / "a.flac"))
    assert named in str(stopped.value) and served.address in str(stopped.value)


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (error(400, "This model's maximum context length is 16384 tokens. However, you"), Reason.PROMPT_TOO_LONG),
        (
            error(400, "The decoder prompt (length 9) is longer than the maximum model length of 8"),
            Reason.PROMPT_TOO_LONG,
        ),
        (error(400, "Invalid or corrupted audio data. Ensure the input is valid"), Reason.UNDECODABLE),
        (error(400, "[Errno 1094995529] Invalid data found when processing input"), Reason.UNDECODABLE),
        (error(400, "Audio is too short"), Reason.UNDECODABLE),
        (Say(body=completion("", finish="content_filter")), Reason.CAPTION_REFUSED),
    ],
)
def test_what_is_wrong_with_one_song(
    served: ScriptedServer, monkeypatch: pytest.MonkeyPatch, say: Say, reason: Reason
) -> None:
    monkeypatch.setattr(faults, "MAX_FRUITLESS", 2)
    served.script = lambda text: say
    with Client(served.address) as client:
        for _ in range(4):  # however many of them: it is the songs
            with pytest.raises(GenerationError) as failed:
                client.ask()
            assert failed.value.reason == reason
    assert len(served.bodies) == 4  # to ask again would not help


def test_text_needs_no_token_details(served: ScriptedServer) -> None:
    served.script = lambda text: Say(body=completion("half a pair: \ud800", finish="length", details=None))
    with Client(served.address) as client:
        answer = client.ask()
    assert (answer.text, answer.finish, answer.audio_tokens) == ("half a pair: ?", "length", 0)


def test_the_wrong_model_is_named(served: ScriptedServer) -> None:
    served.model = "qwen"
    with Client(served.address) as client:
        answers = client.ask_all(["0", "1"])
    for answer in answers:
        assert isinstance(answer, BuildError) and "serves qwen, not music-llm" in str(answer)
    assert not served.bodies


def test_an_address_without_its_v1(served: ScriptedServer) -> None:
    with Client(served.address.removesuffix("/v1") + "/v2") as client:
        served.model = "x"
        with pytest.raises(BuildError, match="serves x"):
            client.ask()
    assert "/health" not in served.paths


def test_a_server_that_fails_at_everything_stops_the_build(
    served: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "FIRST_PAUSE_S", 0.01)
    served.script = lambda text: error(500, "CUDA error")
    with Client(served.address) as client:
        answers = client.ask_all([str(i) for i in range(40)])
    assert sum(isinstance(answer, GenerationError) for answer in answers) == faults.MAX_FRUITLESS - 1
    stopped = [answer for answer in answers if isinstance(answer, BuildError)]
    assert stopped and "CUDA error" in str(stopped[0])


def test_failures_between_answers_are_of_the_songs(served: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "MAX_FRUITLESS", 2)
    served.script = lambda text: error(422, "no") if text == "bad" else OK
    with Client(served.address) as client:
        answers = client.ask_all(["bad", "good"] * 4, num_threads=1)
    assert [type(answer) for answer in answers] == [GenerationError, Answer] * 4


def test_keys_are_sent_and_never_shown(
    served: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served.key = "right-key"
    monkeypatch.setenv("COLLAP_API_KEY", "right-key\n")
    with Client(served.address) as client:
        assert client.ask().text == "about Describe."
        served.key = "changed"
        with pytest.raises(BuildError, match="COLLAP_API_KEY holds a key that it does not take") as changed:
            client.ask()
        served.key = "right-key"
        served.script = lambda text: error(422, "you sent right-key")
        with pytest.raises(GenerationError) as echoed:
            client.ask()
    monkeypatch.setenv("COLLAP_API_KEY", "wrong-key")
    with Client(served.address) as client, pytest.raises(BuildError, match="does not take") as wrong:
        client.ask()
    monkeypatch.delenv("COLLAP_API_KEY")
    with Client(served.address) as client, pytest.raises(BuildError, match="COLLAP_API_KEY is not set"):
        client.ask()
    monkeypatch.setenv("COLLAP_API_KEY", "wrong-key\nx")
    with pytest.raises(BuildError, match="holds no key") as odd:
        Client(served.address).__enter__()
    said = caplog.text + "".join(map(str, (changed.value, echoed.value, wrong.value, odd.value, client.events)))
    assert "right-key" not in said and "wrong-key" not in said and "***" in str(echoed.value)


@pytest.mark.parametrize("state", ["slow", "down", "busy", "failing"])
def test_every_wait_ends_with_the_build(served: ScriptedServer, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr(replicas, "FIRST_PAUSE_S", 10.0)
    says = {"slow": Say(after_s=30.0), "busy": error(429, "no", Retry_After="30"), "failing": error(500, "oops")}
    served.script = lambda text: says.get(state, OK)
    if state == "down":
        served.stop()
    with Client(served.address) as client:
        stopped_at: list[float] = []

        def stop() -> None:
            stopped_at.append(time.monotonic())
            client.stopped.set()

        threading.Timer(0.4, stop).start()
        answers = client.ask_all([str(i) for i in range(8)])
        assert time.monotonic() - stopped_at[0] < 0.5
    assert all(isinstance(answer, CancelledError) for answer in answers)
    assert time.monotonic() - stopped_at[0] < 1.0  # and so does leaving


def test_a_question_that_is_not_waited_for_is_taken_back(served: ScriptedServer) -> None:
    served.script = lambda text: Say(after_s=5.0)
    with Client(served.address) as client:
        threading.Timer(0.5, client.stopped.set).start()
        client.ask_all([str(i) for i in range(4)])
        time.sleep(0.3)
        assert served.num_hung_up == 4  # vLLM then stops working on them


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    served: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Client(served.address, patience_s=0) as client:
        assert client.ask().text == "about Describe."
