"""The schemas under the decoder that vLLM uses: whatever the tokens, what comes out is a whole valid answer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tasks.caption.model.parse import Wanted, parse_answer
from tasks.caption.model.schema import Budget, answer_schema, bounds
from tests.tasks.caption.songs import random_song
from tests.vllm.engines import vllm_python

DECODER = Path(__file__).with_name("random_decoder.py")


def decoded(schemas: list[dict[str, Any]], seed: int) -> list[str]:
    python = vllm_python()
    if python is None:
        pytest.skip("no environment with vLLM: run 'make vllm', or set VLLM_PYTHON to an interpreter that has it")
    lines = "".join(json.dumps(schema) + "\n" for schema in schemas)
    done = subprocess.run(
        [str(python), str(DECODER), str(seed)], input=lines, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.vllm
@pytest.mark.parametrize("anchored", [True, False])
def test_random_tokens_give_whole_answers(anchored: bool) -> None:
    sizes = [(1, 3.0), (1, 200.0), (10, 231.48), (40, 600.0), (300, 5400.0)]
    songs = [random_song(count, num_sections=count, duration_s=duration_s)[1] for count, duration_s in sizes]
    schemas = [answer_schema(song, range(len(song.sections)), True, anchored) for song in songs]
    for song, schema, text in zip(songs, schemas, decoded(schemas, 7), strict=True):
        answer = json.loads(text)
        jsonschema.Draft202012Validator(schema).validate(answer)
        count = len(song.sections)
        if anchored:
            assert [entry["start"] for entry in answer["sections"]] == [round(s.start_s, 2) for s in song.sections]
            budget = Budget.of(song.duration_s, count)
            for entry in answer["sections"]:
                low, high = bounds(budget.section)
                assert low <= len(entry["description"].split()) <= high
        wanted = Wanted(
            indices=tuple(range(count)) if anchored else (),
            wants_global=True,
            anchored=anchored,
            duration_s=song.duration_s,
            spans=tuple((s.start_s, s.end_s) for s in song.sections) if anchored else (),
        )
        parsed = parse_answer(text, wanted)
        assert "json" not in parsed.flaws
        assert len(parsed.descriptions) == len(answer["sections"])
