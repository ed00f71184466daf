"""The Music-LLMs that a user would serve: what each hears, how it is served and under which licence.

``presets/music_llms.yaml`` is the table; a spec names a preset of it or writes a model of its own out.
"""

from __future__ import annotations

import functools
import json
import math
import shlex
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

PRESETS = Path(__file__).parent / "presets" / "music_llms.yaml"


class MusicLLM(BaseModel):
    """A model that writes about music. What it hears decides how a song is cut, so it is part of the spec."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="As it is served (--served-model-name)")
    weights: str = Field(min_length=1, description="Hub id, or folder of a checkpoint")
    revision: str | None = Field(None, description="Commit of the hub repository")
    license: str
    commercial_use: bool = Field(description="Whether the licence lets captions be used commercially")
    audio_tokens_per_s: float = Field(gt=0, description="Tokens in the prompt per second of audio that was heard")
    time_mark_every_s: int | None = Field(
        None, ge=1, description="The time in seconds stands in digits between the audio tokens this often, and counts"
    )
    hears_s: float = Field(gt=0, description="Longest audio that reaches the model; vLLM cuts the rest silently")
    context_tokens: int = Field(ge=1024, description="Prompt and answer together (--max-model-len)")
    engine: dict[str, Any] = Field(
        default_factory=dict, description="Engine arguments of vLLM beyond those above, by their Python names"
    )
    plugin: str | None = Field(None, description="Folder below deployments/vllm that vLLM needs installed")
    needs: str = Field("", description="Of the machine, for people: GPU memory, versions of vLLM")

    def audio_tokens(self, duration_s: float) -> int:
        """Tokens that stand for so much audio in a prompt, at least."""
        every_s = self.time_mark_every_s
        marks = range(every_s, int(duration_s) + 1, every_s) if every_s is not None else ()
        return math.floor(self.audio_tokens_per_s * duration_s) + sum(len(str(mark)) for mark in marks)

    def identity(self) -> dict[str, Any]:
        """What decides the words: not the licence, nor how it is served."""
        hearing = {"audio_tokens_per_s", "time_mark_every_s", "hears_s", "context_tokens"}
        fields = self.model_dump(include={"weights", "revision"} | hearing)
        return {**fields, "processor": self.engine.get("mm_processor_kwargs")}

    @property
    def source(self) -> str:
        """The weights with their revision, for provenance."""
        return self.weights if self.revision is None else f"{self.weights}@{self.revision}"

    def engine_args(self) -> dict[str, Any]:
        """Arguments of ``vllm.LLM`` and, as options, of ``vllm serve``."""
        return {
            "model": self.weights,
            "served_model_name": self.name,
            **({"revision": self.revision} if self.revision else {}),
            "max_model_len": self.context_tokens,
            "limit_mm_per_prompt": {"audio": 1},
            # xgrammar, the default, writes raw control characters into strings of bounded length
            "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
            **self.engine,
        }

    def serve_line(self) -> str:
        """The ``vllm serve`` command, ready for a shell."""
        arguments = self.engine_args()
        words = ["vllm", "serve", arguments.pop("model"), "--host", "127.0.0.1", "--port", "8000"]
        for name, value in arguments.items():
            option = "--" + name.replace("_", "-")
            if isinstance(value, bool):
                words += [option] if value else [f"--no-{option[2:]}"]
            else:
                words += [option, json.dumps(value) if isinstance(value, dict) else str(value)]
        # Without the details the server does not say how much audio was heard.
        return shlex.join([*words, "--enable-prompt-tokens-details", "--shutdown-timeout", "60"])


@functools.cache
def presets() -> dict[str, MusicLLM]:
    """The table by name, the default first."""
    rows = yaml.safe_load(PRESETS.read_text(encoding="utf-8"))
    return {row["name"]: MusicLLM.model_validate(row) for row in rows}
