"""A serving file: where the Music-LLM runs and how hard it is worked.

Nothing here decides what a caption says, and addresses differ from machine to machine, so it does
not stand in the spec.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, ValidationError, field_validator

from data_specs.settings import Settings, SpecError, explain, read_mapping

__all__ = ["ServingSettings", "load_serving"]


class ServingSettings(Settings):
    """How the captioners ``server`` and ``vllm`` reach their model."""

    servers: tuple[str, ...] = Field(
        ("http://127.0.0.1:8000/v1",), min_length=1, description="OpenAI-compatible servers of the same model"
    )
    requests: int = Field(32, ge=1, le=1024, description="Songs captioned at the same time, over all servers")
    timeout_s: float = Field(600.0, ge=1, description="For one answer")
    patience_s: float = Field(
        21_600.0,
        ge=0,
        description="How long every server may be down before the build stops; 15 minutes where none was up yet",
    )
    media: Literal["data", "file"] = Field(
        "data", description="Send audio in the request, or its file:// address for a server on this machine"
    )
    api_key_env: str = Field(
        "COLLAP_API_KEY",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable with the servers' key, if any",
    )
    python: str | None = Field(None, description="Interpreter that has vLLM, for the captioner 'vllm'")
    engine: dict[str, Any] = Field(
        default_factory=dict, description="Engine arguments of this machine, for the captioner 'vllm'"
    )

    @field_validator("servers")
    @classmethod
    def _are_addresses(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for address in servers:
            parts = urlsplit(address)
            if "@" in address or parts.query or parts.fragment:
                raise ValueError("an address must not hold a key; put its variable's name into api_key_env")
            if parts.scheme not in ("http", "https") or not parts.hostname or not _has_port(parts):
                raise ValueError(f"{address!r}: expected an address such as http://127.0.0.1:8000/v1")
        if len(set(servers)) < len(servers):
            raise ValueError("the same server twice; list it once")
        return tuple(address.rstrip("/") for address in servers)


def _has_port(parts: SplitResult) -> bool:
    """Whether the port, if one is given, is one."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def load_serving(path: str | Path | None) -> ServingSettings:
    """Read and validate a serving file; None gives one server on this machine, at vLLM's own port.

    A relative ``python`` is taken from the file's own folder.

    Raises:
        SpecError: file missing, not YAML, or a field unknown or out of bounds.
    """
    if path is None:
        return ServingSettings()
    path = Path(path)
    raw = read_mapping(path, "serving file", field="servers", help="deployments/serving.yaml is an example to copy")
    try:
        settings = ServingSettings.model_validate(raw)
    except ValidationError as error:
        raise SpecError(explain(error, str(path))) from error
    if settings.python is None or "/" not in settings.python:
        return settings
    # Not resolved: the interpreter of a virtual environment is a link, and following it would leave it.
    python = path.absolute().parent / Path(settings.python).expanduser()
    return settings.model_copy(update={"python": str(python)})
