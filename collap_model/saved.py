"""The folder of a saved model: what is in it, and whether it is whole.

config.json        the form
model.safetensors  the weights, without those of the frozen encoders
text/              form and tokenizer of the text tower
README.md          the model card
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

__all__ = ["CARD", "FORM", "TEXT", "WEIGHTS", "check_whole", "load_weights"]

FORM, WEIGHTS, TEXT, CARD = "config.json", "model.safetensors", "text", "README.md"
_SHOWN = 4


def check_whole(folder: Path) -> None:
    """Raises ``ValueError`` naming what a folder lacks to be a model."""
    if not folder.is_dir():
        raise ValueError(f"no folder {folder}; expected one that CoLLAP.save_pretrained wrote")
    if missing := [name for name in (FORM, WEIGHTS, TEXT) if not (folder / name).exists()]:
        # Given the folder of a run, or of a build
        inside = [*folder.glob(f"model/{WEIGHTS}"), *sorted(folder.glob(f"models/*/model/{WEIGHTS}"))]
        near = f"; there is one in {inside[0].parent}" if inside else ""
        raise ValueError(f"no CoLLAP model in {folder}: {', '.join(missing)} missing{near}")


def load_weights(model: nn.Module, path: Path) -> None:
    """Load every weight of ``model`` from a safetensors file.

    Raises:
        ValueError: the file is cut off or no safetensors, or holds the weights of another architecture.
    """
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is cut off or no safetensors file ({error}); copy or download it again") from error
    expected = model.state_dict()
    faults = [
        *_names("missing", expected.keys() - found.keys()),
        *_names("not of this model", found.keys() - expected.keys()),
        *_names("of another shape", {_shapes(name, found, expected) for name in _reshaped(found, expected)}),
    ]
    if faults:
        raise ValueError(f"{path} holds the weights of another architecture than its form says: {'; '.join(faults)}")
    model.load_state_dict(found)


def _reshaped(found: dict[str, Tensor], expected: dict[str, Tensor]) -> set[str]:
    return {name for name in found.keys() & expected.keys() if found[name].shape != expected[name].shape}


def _shapes(name: str, found: dict[str, Tensor], expected: dict[str, Tensor]) -> str:
    return f"{name} {list(found[name].shape)} instead of {list(expected[name].shape)}"


def _names(what: str, names: set[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(sorted(names)[:_SHOWN])
    return [f"{len(names)} {what}: {shown}{' ...' if len(names) > _SHOWN else ''}"]
