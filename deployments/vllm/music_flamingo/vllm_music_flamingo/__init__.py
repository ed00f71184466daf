"""Lets vLLM serve Music Flamingo and Audio Flamingo Next (``MusicFlamingoForConditionalGeneration``).

vLLM removed the architecture after 0.24 (its pull request 47263); the one that restores it (57622)
was open when this was written. The class is in ``model``, which loads only where it is asked for.
"""

from __future__ import annotations

ARCHITECTURE = "MusicFlamingoForConditionalGeneration"


def register() -> None:
    """The entry point: vLLM calls it once in each of its processes."""
    from vllm import ModelRegistry

    if ARCHITECTURE not in ModelRegistry.get_supported_archs():
        ModelRegistry.register_model(ARCHITECTURE, f"vllm_music_flamingo.model:{ARCHITECTURE}")
