"""The presets of Music-LLMs, for people: what each hears, its licence and how to serve it."""

from __future__ import annotations

import difflib

from data_specs.music_llms import MusicLLM, presets
from tasks.engine.errors import BuildError
from tasks.reporting.progress import duration
from tasks.reporting.tables import plain_table


def listed() -> str:
    """All presets, the default first."""
    return plain_table([_cells(model) for model in presets().values()])


def described(name: str) -> str:
    """One preset: how to serve it, and what it needs.

    Raises:
        BuildError: there is no preset of that name.
    """
    if name not in presets():
        near = difflib.get_close_matches(name, presets()) or list(presets())
        raise BuildError(f"no preset {name!r}; near it: {', '.join(near)}")
    model = presets()[name]
    lines = [f"{label:<11}{text}" for label, text in _cells(model).items() if label != "name"]
    if model.needs:
        lines.append(f"{'needs':<11}{model.needs}")
    plugin = [f"pip install deployments/vllm/{model.plugin}"] if model.plugin else []
    return "\n".join([*lines, "", *plugin, model.serve_line()])


def _cells(model: MusicLLM) -> dict[str, str]:
    return {
        "name": model.name,
        "weights": model.source,
        "hears": duration(model.hears_s),
        "licence": model.license + ("" if model.commercial_use else " (not for commercial use)"),
        "plugin": model.plugin or "-",
    }
