"""Captions over a real server: all audio heard, every answer valid, nothing lost when it is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from data_specs.music_llms import MusicLLM
from data_specs.reasons import Reason
from data_specs.serving import ServingSettings
from tasks.caption.generate.answers import Answers, Remembering
from tasks.caption.generate.request import AudioSpan, GenerationError
from tasks.caption.generate.server import ServerGenerator
from tasks.caption.model.captioner import ModelCaptioner
from tasks.caption.model.schema import answer_schema
from tasks.caption.validate import validate_caption
from tasks.engine.errors import BuildError
from tests.vllm.conftest import MakeSong, Serve, TinyModel, write_flac
from tests.vllm.engines import IN_FLIGHT, Counting, Server, assert_follows, caption_all, model_captions, question

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def model(tiny_model: TinyModel) -> MusicLLM:
    return tiny_model("audioflamingo3")


@pytest.fixture(scope="module")
def server(serve: Serve, model: MusicLLM, workspace: Path) -> Server:
    (workspace / "audio").mkdir(exist_ok=True)
    return serve(model, "--allowed-local-media-path", str(workspace / "audio"))


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def serving(server: Server) -> ServingSettings:
    return ServingSettings(servers=(server.address,), requests=IN_FLIGHT, timeout_s=120, patience_s=240)


@pytest.fixture
def generator(serving: ServingSettings, model: MusicLLM, events: list[str]) -> Iterator[ServerGenerator]:
    with ServerGenerator(serving, model, threading.Event(), events.append) as opened:
        yield opened


def test_all_of_a_long_song_is_heard(
    generator: ServerGenerator, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    audio, _ = make_song(0, 288.0)
    answer = generator.generate(question(model, audio, workspace))
    assert answer.audio_tokens == 288 * 25


def test_the_files_address_is_as_good_as_the_file(
    serving: ServingSettings, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    audio, _ = make_song(0, 288.0)
    by_address = serving.model_copy(update={"media": "file"})
    with ServerGenerator(by_address, model, threading.Event(), print) as generator:
        assert generator.generate(question(model, audio, workspace)).audio_tokens == 288 * 25


def test_a_stretch_is_heard_as_long_as_it_is(
    generator: ServerGenerator, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    audio, _ = make_song(0, 288.0)
    span = AudioSpan(path=workspace / audio.file, pcm_sha256=audio.pcm_sha256, start_s=30.5, end_s=75.5, whole=False)
    answer = generator.generate(question(model, audio, workspace, audio=span))
    assert answer.audio_tokens == 45 * 25


def test_what_is_said_depends_on_the_song(
    generator: ServerGenerator, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    said = {
        generator.generate(
            question(model, make_song(number, 60.0)[0], workspace, max_tokens=64, temperature=1.0, seed=7)
        ).text
        for number in range(3)
    }
    assert len(said) > 1


def test_eight_at_once_follow_their_own_songs_schema(
    generator: ServerGenerator, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    songs = [make_song(number, 60.0 + 5 * number) for number in range(8)]
    schemas = [answer_schema(structure, range(6), True, True) for _, structure in songs]
    asked = [
        question(model, audio, workspace, schema=schema, max_tokens=4000, temperature=1.0, seed=number)
        for number, ((audio, _), schema) in enumerate(zip(songs, schemas, strict=True))
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(generator.generate, asked))
    assert [answer.finish for answer in answers] == ["stop"] * 8
    for answer, schema, (_, structure) in zip(answers, schemas, songs, strict=True):
        assert_follows(answer.text, schema, structure)


def test_a_song_becomes_a_caption(
    generator: ServerGenerator, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    audio, structure = make_song(1, 180.0)
    captioner = ModelCaptioner(model_captions(model), generator)
    outcome = captioner.caption(audio, structure, 0, workspace)
    caption = outcome.record
    assert outcome.reason is None and caption is not None, outcome.detail
    assert validate_caption(caption, audio, structure, 250) == []
    assert caption.num_words >= 250
    assert caption.prompt == "v1/both/one"
    assert caption.heard_s == pytest.approx(180, abs=0.2)
    assert [(s.start_s, s.end_s, s.letter) for s in caption.sections] == [
        (s.start_s, s.end_s, s.letter) for s in structure.sections
    ]
    assert sum(section.writer == "model" for section in caption.sections) >= 4


def test_a_model_that_hears_half_a_minute_takes_notes_of_windows(
    generator: ServerGenerator, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    audio, structure = make_song(2, 120.0)
    hears_less = model.model_copy(update={"hears_s": 30.0})
    outcome = ModelCaptioner(model_captions(hears_less), generator).caption(audio, structure, 0, workspace)
    assert outcome.reason is None and outcome.record is not None, outcome.detail
    assert outcome.record.prompt == "v1/both/two"
    assert outcome.record.heard_s == pytest.approx(120, abs=0.5)
    assert len(outcome.record.answers) > 4, "a question per window, and the merge"


def test_a_prompt_over_the_context_is_a_reason(
    generator: ServerGenerator, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    audio, _ = make_song(0, 288.0)
    with pytest.raises(GenerationError) as caught:
        generator.generate(question(model, audio, workspace, text="Describe this song. " * 4000))
    assert caught.value.reason is Reason.PROMPT_TOO_LONG


def test_a_file_outside_the_allowed_folder_is_for_the_operator(
    serving: ServingSettings, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    audio, _ = make_song(0, 288.0)
    write_flac(workspace / "elsewhere" / "song.flac", 5, 10.0)
    outside = replace(audio, file="elsewhere/song.flac", duration_s=10.0)
    by_address = serving.model_copy(update={"media": "file"})
    with (
        ServerGenerator(by_address, model, threading.Event(), print) as generator,
        pytest.raises(BuildError, match="--allowed-local-media-path"),
    ):
        generator.generate(question(model, outside, workspace))


def test_a_file_that_is_no_audio_is_a_reason(
    generator: ServerGenerator, model: MusicLLM, make_song: MakeSong, workspace: Path
) -> None:
    audio, _ = make_song(0, 288.0)
    (workspace / "audio" / "broken.flac").write_bytes(b"fLaC" + bytes(5000))
    with pytest.raises(GenerationError) as caught:
        generator.generate(question(model, replace(audio, file="audio/broken.flac"), workspace))
    assert caught.value.reason is Reason.UNDECODABLE


def test_a_server_killed_in_the_middle_costs_nothing(
    server: Server,
    serving: ServingSettings,
    model: MusicLLM,
    make_song: MakeSong,
    workspace: Path,
    tmp_path: Path,
    events: list[str],
) -> None:
    songs = [make_song(10 + number, 120.0) for number in range(8)]
    with (
        Answers(tmp_path / "answers.sqlite") as answers,
        ServerGenerator(serving, model, threading.Event(), events.append) as generator,
    ):
        asked = Counting(generator)
        remembering = Remembering(asked, answers)
        with ThreadPoolExecutor(1) as runner:
            run = runner.submit(caption_all, songs, model, remembering, workspace)
            while asked.num_answered < 3:
                assert not run.done(), run.result()
                time.sleep(0.05)
            server.kill()
            time.sleep(1.0)  # answers that were on their way are here by now
            num_before, in_flight = asked.num_answered, len(asked.keys) - asked.num_answered
            server.start()
            server.wait()
            outcomes = run.result(timeout=300)
        assert [outcome.reason for outcome in outcomes] == [None] * 8, [outcome.detail for outcome in outcomes]
        assert in_flight > 0, "nothing was in flight, so nothing was tested"
        assert asked.num_answered == len(asked.keys)
        # The new server's own count: what was in flight, what came after, and nothing else.
        assert server.num_answered() == len(asked.keys) - num_before
        assert any("is down" in event for event in events) and any("is back" in event for event in events), events

        again = caption_all(songs, model, remembering, workspace)
        assert again == outcomes
        assert server.num_answered() == len(asked.keys) - num_before, "nothing is asked a second time"
