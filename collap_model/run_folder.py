"""The folder of a training run: what it was started with, and its log.

    run/config.json    the resolved TrainConfig
    run/data.json      fingerprint and size of the training data
    run/versions.json  of the packages that decide bits
    run/texts.json     how many captions the text tower does not read whole
    run/log.jsonl      one line per window of steps

A folder belongs to one config and one dataset for good; anything else is refused, because a run
continued under other settings is a result nobody can repeat.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from collap_model.config import TrainConfig
from data_specs.publish import publish_bytes

__all__ = ["DataIdentity", "RunFolder", "TextCounts"]

_PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataIdentity:
    """What a run was trained on."""

    sha256: str
    num_pairs: int
    num_tracks: int
    encoder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCounts:
    """What of the captions reaches the model."""

    num_texts: int
    """Different captions."""
    max_tokens: int
    """The text tower reads no more."""
    num_shortened: int
    num_tokens_lost: int
    """By all of these together."""


class RunFolder:
    """Identity and log of one run. Only the first process of a world writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log_path = path / "log.jsonl"

    def claim(self, config: TrainConfig, data: DataIdentity, *, write: bool) -> None:
        """Take the folder for this config and data, or check that it is theirs.

        Raises:
            ValueError: the folder belongs to another config or other data.
        """
        self._claim_file("config.json", config.model_dump(mode="json"), "config", write)
        self._claim_file("data.json", asdict(data), "training data", write)
        if write and not (self.path / "versions.json").exists():
            versions = {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
            _write_json(self.path / "versions.json", versions)

    def _claim_file(self, name: str, wanted: dict[str, Any], what: str, write: bool) -> None:
        path = self.path / name
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            changes = [
                f"{key} was {found.get(key)!r}, is {wanted.get(key)!r}"
                for key in sorted(found.keys() | wanted.keys())
                if found.get(key) != wanted.get(key)
            ]
            if changes:
                raise ValueError(
                    f"{self.path} belongs to a run with another {what}: {'; '.join(changes)}. "
                    "Choose a new run folder, or go back to the former values to resume"
                )
        elif write:
            _write_json(path, wanted)

    def note_texts(self, counts: TextCounts) -> None:
        """Write down what the text tower reads."""
        _write_json(self.path / "texts.json", asdict(counts))

    def cut_log(self, step: int) -> None:
        """Drop log lines of steps that a kill undid: those after ``step``, and a line cut short."""
        if not self.log_path.exists():
            return
        lines = self.log_path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if line.endswith(b"\n") and json.loads(line)["step"] <= step]
        publish_bytes(self.log_path, b"".join(kept))

    def log(self, **values: Any) -> None:
        """Append one line."""
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    publish_bytes(path, (json.dumps(value, indent=2) + "\n").encode())
