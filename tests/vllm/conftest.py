"""Fixtures around a real vLLM. Tests that use one take the marker ``vllm``; ``make test-vllm`` runs them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_specs.music_llms import MusicLLM
from data_specs.serving import ServingSettings
from tasks.caption.generate.process import VllmProcess
from tests.ports import free_port
from tests.vllm.engines import ENVIRONMENT, TINY_MODELS, Server, Song, tiny_music_llm, vllm_python

SAMPLE_RATE_HZ = 16_000

MakeSong = Callable[..., Song]
Serve = Callable[..., Server]
StartEngine = Callable[[MusicLLM], VllmProcess]
TinyModel = Callable[..., MusicLLM]


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter that has vLLM."""
    found = vllm_python()
    if found is None:
        pytest.skip("no environment with vLLM: run 'make vllm', or set VLLM_PYTHON to an interpreter that has it")
    return found


@pytest.fixture(scope="session")
def tiny_model(python: Path, tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """``tiny_model(architecture, **changes)``: built once, written out as a spec would."""
    built: dict[str, Path] = {}

    def build(architecture: str = "audioflamingo3", **changes: object) -> MusicLLM:
        if architecture not in built:
            folder = tmp_path_factory.mktemp(architecture)
            command = [str(python), str(TINY_MODELS), str(folder), "--arch", architecture]
            done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-3000:]
            built[architecture] = folder
        return tiny_music_llm(built[architecture], architecture, **changes)

    return build


@pytest.fixture(scope="module")
def serve(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """``serve(model, *options)``: a server that answers; one at a time, the last one is stopped before the next."""
    running: list[Server] = []

    def start(model: MusicLLM, *options: str) -> Server:
        for server in running:
            server.stop()
        server = Server(python, model, free_port(), tmp_path_factory.mktemp("server") / "server.log", *options)
        running[:] = [server]
        server.start()
        server.wait()
        return server

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def start_engine(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartEngine]:
    """``start_engine(model)``: an engine of the build's own, which starts with the first question; one at a time."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as engines:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)  # the worker inherits it

        def start(model: MusicLLM) -> VllmProcess:
            engines.close()
            serving = ServingSettings(python=str(python), requests=8, timeout_s=120)
            log = tmp_path_factory.mktemp("engine") / "vllm.log"
            return engines.enter_context(VllmProcess(serving, model, threading.Event(), print, log))

        yield start


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the songs' files are."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="session")
def make_song(workspace: Path) -> MakeSong:
    """``make_song(number, duration_s)``: six sections of sure measurements over a file of that length."""

    from tests.tasks.caption.songs import plain_song  # the tests without songs do without the analysis

    def make(number: int, duration_s: float = 180.0) -> Song:
        audio, structure = plain_song()
        name = f"song{number}-{duration_s:g}"
        file = write_flac(workspace / "audio" / f"{name}.flac", number, duration_s)
        scale = duration_s / structure.duration_s
        sections = tuple(replace(s, start_s=s.start_s * scale, end_s=s.end_s * scale) for s in structure.sections)
        beats_s = tuple(beat * scale for beat in structure.beats_s)
        structure = replace(
            structure,
            track_id=name,
            duration_s=duration_s,
            sections=sections,
            beats_s=beats_s,
            downbeats_s=beats_s[::4],
        )
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        audio = replace(
            audio,
            track_id=name,
            file=str(file.relative_to(workspace)),
            duration_s=duration_s,
            sha256=sha256,
            pcm_sha256=sha256,
            num_bytes=file.stat().st_size,
        )
        return audio, structure

    return make


def write_flac(path: Path, number: int, duration_s: float) -> Path:
    """Chords that change every two seconds over a little noise; another song for another number."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(number)
    time_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    chord = rng.integers(0, 24, size=int(duration_s / 2) + 1)[(time_s / 2).astype(int)]
    root_hz = 110.0 * 2.0 ** (chord / 12)
    samples = sum(0.2 * np.sin(2 * np.pi * ratio * root_hz * time_s) for ratio in (1, 1.25, 1.5))
    samples += 0.01 * rng.standard_normal(time_s.size)
    soundfile.write(path, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return path
