"""Every preset's serve line, read by vLLM's own parser."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from data_specs.music_llms import presets
from tests.vllm.engines import ENVIRONMENT, module_command

pytestmark = pytest.mark.vllm

PARSER = Path(__file__).with_name("parse_options.py")


@pytest.fixture(scope="module")
def parsed(python: Path) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """By preset: the options as ``vllm serve`` reads them, and as the module that the tests run reads them."""
    lines = [preset.serve_line() for preset in presets().values()]
    words = [side for line in lines for side in (shlex.split(line)[1:], module_command(line)[2:])]
    done = subprocess.run(
        [str(python), str(PARSER)],
        input=json.dumps(words),
        env=os.environ | ENVIRONMENT | {"HF_HUB_OFFLINE": "0"},  # else it looks for the weights on this disk
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    read = json.loads(done.stdout[done.stdout.index("[{") :])
    return dict(zip(presets(), zip(read[::2], read[1::2], strict=True), strict=True))


@pytest.mark.parametrize("name", list(presets()))
def test_vllm_reads_the_line_as_it_was_meant(name: str, parsed: dict[str, Any]) -> None:
    read, _ = parsed[name]
    for argument, value in presets()[name].engine_args().items():
        assert read[argument] == ([value] if argument == "served_model_name" else value), argument
    assert (read["host"], read["port"]) == ("127.0.0.1", 8000)
    assert read["enable_prompt_tokens_details"] is True
    assert read["shutdown_timeout"] == 60
    assert read["trust_remote_code"] is False


@pytest.mark.parametrize("name", list(presets()))
def test_the_module_that_the_tests_start_reads_the_same(name: str, parsed: dict[str, Any]) -> None:
    by_command, by_module = parsed[name]
    assert by_command == by_module
