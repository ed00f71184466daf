from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from data_specs.music_llms import MusicLLM, presets
from data_specs.spec import ModelCaptions

PLUGINS = Path(__file__).parents[2] / "deployments" / "vllm"
NAMES = list(presets())


def options(model: MusicLLM) -> dict[str, str]:
    """Of the serve line, by name; "" for those without a value."""
    words = shlex.split(model.serve_line())[3:]
    starts = [i for i, word in enumerate(words) if word.startswith("--")]
    return {words[i]: " ".join(words[i + 1 : end]) for i, end in zip(starts, [*starts[1:], len(words)], strict=True)}


def test_the_first_preset_is_the_default_and_every_name_can_stand_in_a_spec() -> None:
    assert ModelCaptions(captioner="server").model == NAMES[0] == "moss-music-8b-instruct"
    for name in NAMES:
        assert ModelCaptions(captioner="vllm", model=name).music_llm is presets()[name]


@pytest.mark.parametrize("name", NAMES)
def test_the_longest_song_fits_where_vllm_keeps_it(name: str) -> None:
    model = presets()[name]
    audio_tokens = model.audio_tokens(model.hears_s)
    # vLLM declares 30 s per clip for some of them, and then this is all the room an encoded song has.
    assert model.audio_tokens_per_s * model.hears_s <= model.engine["max_num_batched_tokens"]
    # Time marks, prompt and a caption of a thousand words have room beside it.
    assert audio_tokens + 4000 <= model.context_tokens
    assert model.hears_s <= 600, "vLLM's server decodes no more by default"


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_that_is_named_is_there_and_registers_itself(name: str) -> None:
    plugin = presets()[name].plugin
    if plugin is not None:
        project = tomllib.loads((PLUGINS / plugin / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        (target,) = project["entry-points"]["vllm.general_plugins"].values()
        module, function = target.split(":")
        places = [PLUGINS / plugin / f"{module}.py", PLUGINS / plugin / module / "__init__.py"]
        (source,) = [place.read_text(encoding="utf-8") for place in places if place.is_file()]
        assert f"\ndef {function}() -> None:" in source


@pytest.mark.parametrize("name", NAMES)
def test_the_serve_line_is_the_engine_arguments_for_a_shell(name: str) -> None:
    model = presets()[name]
    assert shlex.split(model.serve_line())[:3] == ["vllm", "serve", model.weights]
    said = options(model)
    for argument, value in model.engine_args().items():
        if argument != "model":
            text = said.pop("--" + argument.replace("_", "-"))
            assert text == str(value) or json.loads(text) == value, argument
    assert said.pop("--host") == "127.0.0.1", "anybody on the network could use a server that listens to all"
    assert "--enable-prompt-tokens-details" in said, "without it nobody sees that audio was cut off"
    assert set(said) == {"--port", "--enable-prompt-tokens-details", "--shutdown-timeout"}


def test_no_preset_runs_code_from_a_models_repository() -> None:
    assert not any("trust" in model.serve_line() for model in presets().values())


def test_flags_are_written_as_flags() -> None:
    model = presets()[NAMES[0]]
    changed = model.model_copy(update={"engine": {"enforce_eager": True, "enable_prefix_caching": False}})
    said = options(changed)
    assert said["--enforce-eager"] == "" and said["--no-enable-prefix-caching"] == ""


def test_a_preset_of_ones_own_may_say_more_than_the_defaults() -> None:
    model = presets()[NAMES[0]]
    own = MusicLLM.model_validate(model.model_dump() | {"engine": {"limit_mm_per_prompt": {"audio": 2}}})
    assert own.engine_args()["limit_mm_per_prompt"] == {"audio": 2}


@pytest.mark.parametrize(
    ("field", "value"), [("hears_s", 0), ("audio_tokens_per_s", -1), ("context_tokens", 10), ("name", "a b"), ("x", 1)]
)
def test_a_model_out_of_bounds_is_refused_with_its_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        MusicLLM.model_validate(presets()[NAMES[0]].model_dump() | {field: value})


def test_time_marks_count_as_audio() -> None:
    """288 s of MOSS-Music were 3,981 tokens in vLLM 0.32, two of them around the audio."""
    moss = presets()["moss-music-8b-instruct"]
    assert moss.audio_tokens(288) == 3979
    naive = "".join(f"{second}" for second in range(2, 289, 2))
    assert moss.audio_tokens(288.04) == 3600 + len(naive)
    assert moss.audio_tokens(1.9) == 23
    assert presets()["qwen2-audio-7b"].audio_tokens(30) == 750
