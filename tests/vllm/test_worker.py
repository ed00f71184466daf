"""Captions by an engine of the build's own: the same questions, the same care, and a worker that may be killed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_specs.music_llms import MusicLLM
from data_specs.reasons import Reason
from data_specs.serving import ServingSettings
from tasks.caption.generate.answers import Answers, Remembering
from tasks.caption.generate.process import WORKER, VllmProcess
from tasks.caption.generate.request import GenerationError
from tasks.caption.model.captioner import ModelCaptioner
from tasks.caption.model.schema import answer_schema
from tasks.engine.errors import BuildError
from tests.vllm.conftest import MakeSong, StartEngine, TinyModel
from tests.vllm.engines import Counting, assert_follows, caption_all, model_captions, question

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def model(tiny_model: TinyModel) -> MusicLLM:
    return tiny_model("audioflamingo3")


@pytest.fixture(scope="module")
def engine(start_engine: StartEngine, model: MusicLLM) -> VllmProcess:
    return start_engine(model)


def worker_pids() -> list[int]:
    """Of the workers that this process started: the leaders of their groups."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
        if parent == os.getpid() and str(WORKER).encode() in words:
            found.append(int(process.name))
    return found


def test_all_of_a_long_song_is_heard(
    engine: VllmProcess, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    answer = engine.generate(question(model, make_song(0, 288.0)[0], workspace))
    assert answer.audio_tokens == 288 * 25


def test_eight_at_once_follow_their_own_songs_schema(
    engine: VllmProcess, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    songs = [make_song(number, 60.0 + 5 * number) for number in range(8)]
    schemas = [answer_schema(structure, range(6), True, True) for _, structure in songs]
    asked = [
        question(model, audio, workspace, schema=schema, max_tokens=4000, temperature=1.0, seed=number)
        for number, ((audio, _), schema) in enumerate(zip(songs, schemas, strict=True))
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(engine.generate, asked))
    for answer, schema, (_, structure) in zip(answers, schemas, songs, strict=True):
        assert answer.finish == "stop"
        assert_follows(answer.text, schema, structure)


def test_a_song_becomes_a_caption(engine: VllmProcess, model: MusicLLM, make_song: MakeSong, workspace: Path) -> None:
    audio, structure = make_song(1, 180.0)
    outcome = ModelCaptioner(model_captions(model), engine).caption(audio, structure, 0, workspace)
    assert outcome.reason is None and outcome.record is not None, outcome.detail
    assert outcome.record.num_words >= 250
    assert outcome.record.heard_s == pytest.approx(180, abs=0.2)


def test_a_prompt_over_the_context_is_a_reason(
    engine: VllmProcess, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    long = question(model, make_song(0, 288.0)[0], workspace, text="Describe this song. " * 4000)
    with pytest.raises(GenerationError) as caught:
        engine.generate(long)
    assert caught.value.reason is Reason.PROMPT_TOO_LONG


def test_a_worker_killed_in_the_middle_costs_nothing(
    engine: VllmProcess, model: MusicLLM, make_song: MakeSong, workspace: Path, tmp_path: Path
) -> None:
    songs = [make_song(10 + number, 120.0) for number in range(8)]
    with Answers(tmp_path / "answers.sqlite") as answers:
        asked = Counting(engine)
        remembering = Remembering(asked, answers)
        with ThreadPoolExecutor(1) as runner:
            run = runner.submit(caption_all, songs, model, remembering, workspace)
            while asked.num_answered < 3:
                assert not run.done(), run.result()
                time.sleep(0.05)
            (worker,) = worker_pids()
            os.kill(worker, signal.SIGKILL)
            outcomes = run.result(timeout=300)
        assert [outcome.reason for outcome in outcomes] == [None] * 8, [outcome.detail for outcome in outcomes]
        assert worker_pids() != [worker]
        assert asked.num_answered == len(asked.keys), "each question has one answer"

        again = caption_all(songs, model, remembering, workspace)
        assert again == outcomes
        assert asked.num_answered == len(asked.keys), "nothing is asked a second time"


def test_an_interpreter_without_vllm_is_for_the_operator(
    model: MusicLLM, make_song: MakeSong, workspace: Path, tmp_path: Path
) -> None:
    serving = ServingSettings(python=sys.executable)
    with (
        VllmProcess(serving, model, threading.Event(), print, tmp_path / "vllm.log") as engine,
        pytest.raises(BuildError, match="has no vLLM"),
    ):
        engine.generate(question(model, make_song(0, 288.0)[0], workspace))
