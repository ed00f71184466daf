"""What our way to the model costs: songs per minute of the same questions, with our code and without it.

    python -m benchmarks.caption_throughput --python VLLM_PYTHON --model FOLDER [--songs 24] [--seconds 60]
        [--requests 24] [--rounds 3] [--engine '{"enforce_eager": true}']

Four ways, every one with schema-constrained greedy answers and nothing cached between them:

    batch    vLLM's own: one list for LLM.chat
    vllm     our captioner 'vllm': threads ask VllmProcess
    bare     a saturating client of vllm serve without our code; bodies are made beforehand
    server   our captioner 'server': threads ask ServerGenerator, audio as data

The bounds are vllm >= 0.9 batch and server >= 0.9 bare (medians of the rounds). Client and engine share this
machine's cores, so on a small CPU our own share counts more than beside a GPU.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shlex
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from data_specs.hashing import file_sha256
from data_specs.music_llms import MusicLLM
from data_specs.serving import ServingSettings
from tasks.caption.generate.chat import chat_body
from tasks.caption.generate.process import VllmProcess
from tasks.caption.generate.request import AudioSpan, Generator, Request
from tasks.caption.generate.server import ServerGenerator

BATCH = Path(__file__).with_name("caption_batch.py")
SAMPLE_RATE_HZ = 16_000
WARM_UP = 2
BOUND = 0.9
NUM_SECTIONS, WORDS = 6, "{12,18}"
"""Some 400 tokens of an answer."""

Rounds = list[tuple[float, int]]
"""Per round: seconds and output tokens."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="interpreter that has vLLM")
    parser.add_argument("--model", required=True, help="folder of a checkpoint, or hub id")
    parser.add_argument("--songs", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a song")
    parser.add_argument("--requests", type=int, default=24, help="in flight at a time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", type=json.loads, default={}, help="further arguments of vLLM's engine, as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _compare(Path(folder), arguments)


def _compare(folder: Path, arguments: argparse.Namespace) -> None:
    model = MusicLLM(
        name="measured",
        weights=arguments.model,
        license="unknown",
        commercial_use=False,
        audio_tokens_per_s=25,
        hears_s=600,
        context_tokens=16384,
        engine={"enable_prefix_caching": False, "mm_processor_cache_gb": 0, **arguments.engine},
    )
    requests = [_question(folder, number, arguments.seconds, model) for number in range(arguments.songs)]
    settings = ServingSettings(requests=arguments.requests, python=arguments.python)
    results = {"batch": _batch(folder, requests, model, arguments)}
    stopped = threading.Event()
    with VllmProcess(settings, model, stopped, print, folder / "vllm.log") as process:
        results["vllm"] = _rounds(_asking(process), requests, arguments)
    with _served(folder, model, arguments.python) as port:
        settings = settings.model_copy(update={"servers": (f"http://127.0.0.1:{port}/v1",)})
        with ServerGenerator(settings, model, stopped, print) as server, _bare(port, requests) as bare:
            ways = {"bare": bare, "server": _asking(server)}
            # In turn, so that whatever else the machine does falls on both.
            for _ in range(arguments.rounds):
                for name, way in ways.items():
                    one = argparse.Namespace(requests=arguments.requests, rounds=1)
                    results.setdefault(name, []).extend(_rounds(way, requests, one))
    _print(results, arguments.songs)


def _question(folder: Path, number: int, duration_s: float, model: MusicLLM) -> Request:
    rng = np.random.default_rng(number)
    path = folder / f"{number}.flac"
    time_n = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tones = sum(0.1 * np.sin(2 * np.pi * hz * time_n) for hz in rng.uniform(100, 4000, 4))
    soundfile.write(path, tones + 0.01 * rng.standard_normal(len(time_n)), SAMPLE_RATE_HZ, subtype="PCM_16")
    description = {"type": "string", "pattern": rf"^([a-z]{{3,9}} ){WORDS}[a-z]{{3,9}}\.$"}
    section = {
        "type": "object",
        "additionalProperties": False,
        "required": ["start", "description"],
        "properties": {"start": {"type": "number", "enum": [1.5]}, "description": description},
    }
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["sections"],
        "properties": {
            "sections": {"type": "array", "items": section, "minItems": NUM_SECTIONS, "maxItems": NUM_SECTIONS}
        },
    }
    return Request(
        track_id=str(number),
        model=model.name,
        weights=model.weights,
        system="You describe music.",
        text=f"Describe song {number}, section by section.",
        audio=AudioSpan(path=path, pcm_sha256=file_sha256(str(path)), start_s=0.0, end_s=duration_s, whole=True),
        schema=schema,
        max_tokens=1200,
        temperature=0.0,
        top_p=1.0,
        seed=0,
    )


def _batch(folder: Path, requests: list[Request], model: MusicLLM, arguments: argparse.Namespace) -> Rounds:
    questions = [
        {
            "path": str(request.audio.path),
            "system": request.system,
            "text": request.text,
            "schema": request.schema,
            "max_tokens": request.max_tokens,
        }
        for request in requests
        if request.audio is not None
    ]
    job = {
        "engine": model.engine_args(),
        "folder": str(folder),
        "questions": questions,
        "warm_up": WARM_UP,
        "rounds": arguments.rounds,
    }
    with (folder / "batch.log").open("wb") as log:
        done = subprocess.run(
            [arguments.python, "-P", str(BATCH)], input=json.dumps(job).encode(), stdout=subprocess.PIPE, stderr=log
        )
    if done.returncode != 0:
        raise SystemExit((folder / "batch.log").read_text()[-3000:])
    return [(seconds, tokens) for seconds, tokens in json.loads(done.stdout)]


def _asking(generator: Generator) -> Callable[[Request], int]:
    return lambda request: generator.generate(request).output_tokens


def _rounds(ask: Callable[[Request], int], requests: list[Request], arguments: argparse.Namespace) -> Rounds:
    with ThreadPoolExecutor(arguments.requests) as pool:
        list(pool.map(ask, requests[:WARM_UP]))
        results = []
        for _ in range(arguments.rounds):
            began = time.perf_counter()
            num_tokens = sum(pool.map(ask, requests))
            results.append((time.perf_counter() - began, num_tokens))
    return results


@contextmanager
def _bare(port: int, requests: list[Request]) -> Iterator[Callable[[Request], int]]:
    """Posts bodies that were made before, over one kept connection per thread."""
    bodies = {request.track_id: chat_body(request, "data") for request in requests}
    own = threading.local()

    def ask(request: Request) -> int:
        if not hasattr(own, "connection"):
            own.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        headers = {"Content-Type": "application/json"}
        own.connection.request("POST", "/v1/chat/completions", bodies[request.track_id], headers)
        answer: dict[str, Any] = json.loads(own.connection.getresponse().read())
        return int(answer["usage"]["completion_tokens"])

    yield ask


@contextmanager
def _served(folder: Path, model: MusicLLM, python: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The module behind "vllm serve", whose command line does not start in vLLM's build for CPUs.
    _, _, weights, *options = shlex.split(model.serve_line())
    options[options.index("--port") + 1] = str(port)
    words = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", weights, *options]
    with (folder / "serve.log").open("wb") as log:
        server = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=os.environ)
    try:
        while not _is_healthy(port):
            if server.poll() is not None:
                raise SystemExit((folder / "serve.log").read_text()[-3000:])
            time.sleep(1.0)
        yield port
    finally:
        server.terminate()
        server.wait(90)


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _print(results: dict[str, Rounds], num_songs: int) -> None:
    rates = {name: [60 * num_songs / seconds for seconds, _ in rounds] for name, rounds in results.items()}
    print(f"{'':8}{'songs/min':>10}   rounds                  tokens per answer")
    for name, rounds in results.items():
        each = " ".join(f"{rate:7.1f}" for rate in rates[name])
        print(f"{name:8}{statistics.median(rates[name]):10.1f}   {each}   {rounds[0][1] / num_songs:.0f}")
    for ours, theirs in (("vllm", "batch"), ("server", "bare")):
        ratio = statistics.median(rates[ours]) / statistics.median(rates[theirs])
        print(f"{ours} / {theirs}: {ratio:.3f} (bound {BOUND}) {'kept' if ratio >= BOUND else 'MISSED'}")


if __name__ == "__main__":
    main()
