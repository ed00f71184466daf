"""What each architecture makes of long songs: one that hears half a minute, and the two that need a plug-in."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_specs.music_llms import MusicLLM, presets
from data_specs.reasons import Reason
from tasks.caption.model.captioner import ModelCaptioner
from tests.vllm.conftest import MakeSong, StartEngine, TinyModel
from tests.vllm.engines import CONTEXT_TOKENS, model_captions, question

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]


def like_preset(name: str, tiny: MusicLLM) -> MusicLLM:
    """A preset with its own engine arguments, over tiny weights."""
    preset = presets()[name]
    engine = tiny.engine | preset.engine
    return preset.model_copy(update={"weights": tiny.weights, "revision": None, "engine": engine})


def test_a_model_of_half_a_minute_is_found_out(
    start_engine: StartEngine, tiny_model: TinyModel, make_song: MakeSong, workspace: Path
) -> None:
    """Qwen2-Audio drops all but the first 30 s without a word."""
    qwen = tiny_model("qwen2_audio")
    engine = start_engine(qwen)
    audio, structure = make_song(0, 60.0)
    assert engine.generate(question(qwen, audio, workspace)).audio_tokens == 30 * 25

    hears_more = qwen.model_copy(update={"hears_s": 600.0})
    outcome = ModelCaptioner(model_captions(hears_more), engine).caption(audio, structure, 0, workspace)
    assert outcome.reason is Reason.AUDIO_NOT_HEARD
    assert "750" in str(outcome.detail) and "1500" in str(outcome.detail)

    outcome = ModelCaptioner(model_captions(qwen), engine).caption(audio, structure, 0, workspace)
    assert outcome.reason is None and outcome.record is not None, outcome.detail
    assert outcome.record.prompt == "v1/both/two"
    assert outcome.record.heard_s == pytest.approx(60, abs=0.5)


def num_time_mark_tokens(duration_s: int) -> int:
    """MOSS writes the seconds' digits after every second second."""
    return sum(len(str(second)) for second in range(2, duration_s + 1, 2))


def test_moss_music_hears_whole_songs_under_its_presets_own_arguments(
    start_engine: StartEngine, tiny_model: TinyModel, make_song: MakeSong, workspace: Path
) -> None:
    moss = like_preset("moss-music-8b-instruct", tiny_model("moss_music"))
    assert moss.engine["max_num_batched_tokens"] < CONTEXT_TOKENS
    engine = start_engine(moss)
    for duration_s in (288, 600):
        audio, _ = make_song(0, float(duration_s))
        # vLLM counts the time marks as audio, and the token before and the one after.
        others = num_time_mark_tokens(duration_s) + 2
        assert engine.generate(question(moss, audio, workspace)).audio_tokens == duration_s * 12.5 + others


def test_music_flamingo_hears_whole_songs(
    start_engine: StartEngine, tiny_model: TinyModel, make_song: MakeSong, workspace: Path
) -> None:
    flamingo = tiny_model("music_flamingo")
    engine = start_engine(flamingo)
    audio, _ = make_song(0, 288.0)
    answer = engine.generate(question(flamingo, audio, workspace, max_tokens=64))
    assert answer.audio_tokens == 288 * 25 + 2, "with the token before and the one after the audio"
    assert answer.text
