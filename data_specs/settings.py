"""Files of settings: strict models of what stands in them, and errors that name file, field, value and fix."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["Settings", "SpecError", "explain", "read_mapping"]


class SpecError(ValueError):
    """A spec that cannot be used; the message names file, field, value and fix."""


class Settings(BaseModel):
    """Frozen, and refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def read_mapping(path: Path, kind: str, *, field: str, help: str) -> dict[str, Any]:
    """A YAML file that holds a mapping, as every file of settings does.

    Args:
        kind: of file, for messages: ``spec``.
        field: one that the mapping has.
        help: what to do where there is no file, or nothing in it.

    Raises:
        SpecError: file missing, not to be read, not YAML, empty, or no mapping. Nothing of the file is shown, as it may
            hold a password.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"no {kind} at {path}; {help}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot read {kind} {path}: {error}") from error
    except yaml.YAMLError as error:
        raise SpecError(_explain_yaml(error, str(path))) from None
    if raw is None:
        raise SpecError(f"{kind} {path} is empty; {help}")
    if not isinstance(raw, dict):
        raise SpecError(f"{path}: expected a mapping with the field '{field}', got {type(raw).__name__}")
    return raw


def explain(error: ValidationError, where: str) -> str:
    """One line per wrong field: its dotted name, what was wrong and the value that was given.

    A mapping or a list is not shown, nor any text or unknown field of a network or serving file: they may hold
    a password.
    """
    is_private = error.title in ("NetworkSettings", "ServingSettings")
    lines = []
    for item in error.errors():
        # A discriminated union repeats its tag in the location; a reader wants the YAML path.
        names = [str(part) for part in item["loc"]]
        tags = {"local", "urls", "audioset", "rendered", "by-rules", "by-model", "by-import", "preset", "own"}
        tags |= {"spectral", "beats", "whisper", "mert"}
        tags |= {"song-describer", "musiccaps", "caption-table", "gtzan", "magnatagatune", "mtg-jamendo"}
        field = ".".join(n for n in names if (n not in tags or n == names[-1]) and "[" not in n)
        if item["type"] == "extra_forbidden":
            value = "" if is_private else f" (value {_shown(item['input'])})"
            lines.append(f"{where}: unknown field '{field}'{value}; remove it or correct its name")
        elif item["type"] == "missing":
            lines.append(f"{where}: field '{field}' is missing")
        else:
            value = "a text" if is_private and isinstance(item["input"], str) else _shown(item["input"])
            problem = item["msg"].removeprefix("Value error, ")  # pydantic's, before the words of our own checks
            lines.append(f"{where}: " + (f"field '{field}' = {value}: " if field else "") + problem)
    return "\n".join(lines)


def _explain_yaml(error: yaml.YAMLError, where: str) -> str:
    """The line and what is wrong there, without the line itself, which pyyaml quotes: it may hold a password."""
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark is not None else ""
    return f"{where}{line} is not valid YAML: {getattr(error, 'problem', None)}"


def _shown(value: Any) -> str:
    if value is None or isinstance(value, (str, int, float)):
        return re.sub(r"//\S*@", "//***@", repr(value))
    return "a mapping" if isinstance(value, (dict, BaseModel)) else f"a {type(value).__name__}"
