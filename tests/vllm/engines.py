"""Real vLLM engines for tests: which interpreter, which options, and a server that can be killed and comes back."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from data_specs.music_llms import MusicLLM
from data_specs.outcomes import Outcome
from data_specs.records import AudioFacts, Caption, Structure
from data_specs.spec import ModelCaptions
from tasks.caption.generate.request import Answer, AudioSpan, Generator, Request
from tasks.caption.model.captioner import ModelCaptioner

REPOSITORY = Path(__file__).resolve().parents[2]
TINY_MODELS = Path(__file__).with_name("tiny_models.py")

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; millions of tokens of a tiny model
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # "auto" binds the engine to one core of a small machine
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",  # or threads that wait take the cores from those that work
}
"""Of an engine on a small machine without a GPU."""

Song = tuple[AudioFacts, Structure]

IN_FLIGHT = 4
"""Songs that are captioned at the same time."""
CONTEXT_TOKENS = 16384
ENGINE: dict[str, Any] = {
    # The whole prompt at once: with a seed, vLLM 0.32 on a CPU dies on a prompt that it takes in pieces.
    "max_num_batched_tokens": CONTEXT_TOKENS,
    "max_num_seqs": 8,
    "enforce_eager": True,
    "media_io_kwargs": {"audio": {"audio_backend": "soundfile"}},
}
"""Engine arguments of the tests, beyond those that every model has."""

_HEARS = {
    # audio tokens per second and seconds heard, as in data_specs/presets/music_llms.yaml
    "audioflamingo3": (25.0, 600.0),
    "music_flamingo": (25.0, 600.0),
    "qwen2_audio": (25.0, 30.0),
    "moss_music": (12.5, 600.0),
}


def vllm_python() -> Path | None:
    """The interpreter that has vLLM: $VLLM_PYTHON, else that of ``make vllm``, else none."""
    python = Path(os.environ.get("VLLM_PYTHON") or REPOSITORY / ".venv-vllm" / "bin" / "python")
    return python if python.exists() else None


def tiny_music_llm(folder: Path, architecture: str, **changes: Any) -> MusicLLM:
    """A tiny model as a spec would write it out. ``engine`` among the changes adds to ``ENGINE``."""
    tokens_per_s, hears_s = _HEARS[architecture]
    dummy = {"load_format": "dummy"} if architecture == "moss_music" else {}
    fields: dict[str, Any] = {
        "name": f"tiny-{architecture.replace('_', '-')}",
        "weights": str(folder),
        "license": "none",
        "commercial_use": True,
        "audio_tokens_per_s": tokens_per_s,
        "hears_s": hears_s,
        "context_tokens": CONTEXT_TOKENS,
        **changes,
        "engine": ENGINE | dummy | changes.get("engine", {}),
    }
    return MusicLLM.model_validate(fields)


def question(model: MusicLLM, song: AudioFacts, workspace: Path, **changes: Any) -> Request:
    """A short question about a whole song, greedy."""
    span = AudioSpan(
        path=workspace / song.file, pcm_sha256=song.pcm_sha256, start_s=0.0, end_s=song.duration_s, whole=True
    )
    fields: dict[str, Any] = {
        "track_id": song.track_id,
        "model": model.name,
        "weights": model.weights,
        "system": "You describe music.",
        "text": "Describe this song.",
        "audio": span,
        "schema": None,
        "max_tokens": 8,
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
    }
    return Request(**fields | changes)


def model_captions(model: MusicLLM, **changes: Any) -> ModelCaptions:
    """Settings of a spec that writes the model out."""
    return ModelCaptions.model_validate({"captioner": "server", "model": model.model_dump(), **changes})


def caption_all(
    songs: Sequence[Song], model: MusicLLM, generator: Generator, workspace: Path
) -> list[Outcome[Caption]]:
    """As a build does it: several songs at a time."""
    captioner = ModelCaptioner(model_captions(model), generator)

    def caption(song: Song) -> Outcome[Caption]:
        audio, structure = song
        return captioner.caption(audio, structure, 0, workspace)

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        return list(pool.map(caption, songs))


class Counting:
    """A ``Generator`` that keeps account of what goes through it."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.keys: list[str] = []
        """Of the questions, one entry each time that one is asked."""
        self.num_answered = 0

    def generate(self, request: Request) -> Answer:
        self.keys.append(request.key)
        answer = self._generator.generate(request)
        self.num_answered += 1
        return answer


def assert_follows(text: str, schema: dict[str, Any], structure: Structure) -> None:
    """Checks an answer by hand against what its schema promises."""
    answer = json.loads(text)
    assert list(answer) == ["sections", "global", "attributes"]
    found = [(entry["start"], entry["end"], entry["label"]) for entry in answer["sections"]]
    assert found == [(round(s.start_s, 2), round(s.end_s, 2), s.label) for s in structure.sections]
    entries = schema["properties"]["sections"]["prefixItems"]
    for entry, bounds in zip(answer["sections"], entries, strict=True):
        assert re.search(bounds["properties"]["description"]["pattern"], entry["description"]), entry
    assert re.search(schema["properties"]["global"]["pattern"], answer["global"])


class Server:
    """vLLM's OpenAI-compatible server, in a process group of its own, always on the same port."""

    def __init__(self, python: Path, model: MusicLLM, port: int, log: Path, *options: str) -> None:
        """Nothing starts yet.

        Args:
            log: what it prints is appended here.
            options: beyond those of ``model.serve_line()``.
        """
        self.model = model
        self.log = log
        self._root = f"http://127.0.0.1:{port}"
        self._command = [str(python), *module_command(model.serve_line()), *options]
        self._command[self._command.index("--port") + 1] = str(port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """As it stands in a serving file."""
        return f"{self._root}/v1"

    def start(self) -> None:
        """Start it and return at once.

        Raises:
            RuntimeError: it runs already.
        """
        if self._process is not None:
            raise RuntimeError("the server runs already; kill or stop it first")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=os.environ | ENVIRONMENT, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self, timeout_s: float = 240) -> None:
        """Until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time; with the end of its log.
        """
        assert self._process is not None
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}:\n{self.tail()}")
            try:
                with urllib.request.urlopen(f"{self._root}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.5)
        raise RuntimeError(f"the server did not answer within {timeout_s:.0f} s:\n{self.tail()}")

    def kill(self) -> None:
        """``kill -9``, engine and all: nothing is told to anybody."""
        self._end(signal.SIGKILL, 30)

    def stop(self) -> None:
        """Let it finish what it is at."""
        try:
            self._end(signal.SIGTERM, 90)
        except subprocess.TimeoutExpired:
            self.kill()

    def _end(self, sign: signal.Signals, timeout_s: float) -> None:
        if self._process is None:
            return
        try:
            os.killpg(self._process.pid, sign)
        except ProcessLookupError:
            pass  # it had ended by itself
        self._process.wait(timeout_s)
        self._process = None

    def metric(self, name: str) -> float:
        """A counter or gauge of ``/metrics``, over all its labels; 0 where it does not stand."""
        with urllib.request.urlopen(f"{self._root}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        values = [line.rsplit(" ", 1)[1] for line in lines if re.match(rf"{re.escape(name)}(\{{| )", line)]
        return sum(map(float, values))

    def num_answered(self) -> int:
        """Questions answered since it started, however the answer ended."""
        return int(self.metric("vllm:request_success_total"))

    def settle(self, quiet_s: float = 3.0) -> None:
        """Wait until nothing is being answered any more, and nothing new has come for a while."""
        last, since = -1, time.monotonic()
        while time.monotonic() < since + quiet_s:
            asked = self.metric("vllm:num_requests_running") + self.metric("vllm:num_requests_waiting")
            answered = self.num_answered()
            if asked or answered != last:
                last, since = answered, time.monotonic()
            time.sleep(0.1)

    def tail(self, num_characters: int = 4000) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-num_characters:]


def module_command(serve_line: str) -> list[str]:
    """The words of a ``vllm serve`` line for ``python``.

    ``vllm serve`` asks which version of a package called vllm is installed; the CPU build is called
    vllm-cpu, so its command line fails and the module behind it is run.
    """
    vllm, serve, weights, *options = shlex.split(serve_line)
    assert (vllm, serve) == ("vllm", "serve"), serve_line
    return ["-m", "vllm.entrypoints.openai.api_server", "--model", weights, *options]
