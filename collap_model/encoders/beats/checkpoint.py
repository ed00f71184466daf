"""Checkpoints of BEATs: read as the authors publish them, or as safetensors; written as safetensors.

A published file is a pickle ``{"cfg": ..., "model": ...}``
(https://github.com/microsoft/unilm/tree/master/beats), read so that nothing in it can run. The safetensors
hold the port's own tensors and, in their metadata, the same ``cfg``. Both forms of the same weights load to
equal bits, so an encoder has the same identity from either.

To convert one: ``save_beats(load_beats(Path("BEATs_iter3_plus_AS2M.pt")), Path("beats.safetensors"))``.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from collap_model.encoders.beats.config import BeatsConfig
from collap_model.encoders.beats.model import Beats
from data_specs.publish import publish_bytes

__all__ = ["load_beats", "official_shapes", "save_beats"]

_HEAD = ("predictor.weight", "predictor.bias")
"""The classifier of fine-tuned checkpoints, over AudioSet's labels; of no use here."""
_CONV, _CONV_G, _CONV_V = (f"encoder.pos_conv.{name}" for name in ("weight", "0.weight_g", "0.weight_v"))
_BIAS = "encoder.relative_attention_bias.weight"
_SHOWN = 6


def load_beats(path: Path) -> Beats:
    """Load a BEATs in float32 on the CPU: ``*.safetensors`` by ``save_beats``, any other name as published.

    Raises:
        ValueError: no such file, cut off, not a BEATs, of another architecture, or with missing, unknown or misshapen
            tensors; says which.
    """
    if not path.is_file():
        raise ValueError(f"no BEATs checkpoint at {path}; the authors' are listed at github.com/microsoft/unilm, beats")
    is_safe = path.suffix == ".safetensors"
    values, tensors = _read_safetensors(path) if is_safe else _read_published(path)
    try:
        config = BeatsConfig.from_official(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    with torch.device("meta"):  # the weights come from the file
        model = Beats(config)
    if is_safe:
        _check(path, {name: tensor.shape for name, tensor in model.state_dict().items()}, tensors)
    else:
        tensors = _translate(path, config, tensors)
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return model


def save_beats(model: Beats, path: Path) -> None:
    """Write weights and shape as safetensors, whole or not at all; equal weights make equal files."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # One field: safetensors writes several in any order.
    publish_bytes(path, save(tensors, {"cfg": json.dumps(model.config.to_official())}))


def official_shapes(config: BeatsConfig) -> dict[str, torch.Size]:
    """Names and shapes of a published checkpoint without a head."""
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Beats(config).state_dict().items()}
    shapes[_CONV_V] = shapes.pop(_CONV)
    shapes[_CONV_G] = torch.Size([1, 1, config.conv_pos])
    shapes["encoder.pos_conv.0.bias"] = shapes.pop("encoder.pos_conv.bias")
    table = shapes.pop(_BIAS)
    return shapes | dict.fromkeys(_tables(config), table)


def _tables(config: BeatsConfig) -> list[str]:
    return [f"encoder.layers.{i}.self_attn.relative_attention_bias.weight" for i in range(config.encoder_layers)]


def _translate(path: Path, config: BeatsConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """From the published names to the port's: weight norm folded, one table of biases for all layers."""
    found = {name: tensor for name, tensor in tensors.items() if name not in _HEAD}
    _check(path, official_shapes(config), found)
    tables = [found.pop(name) for name in _tables(config)]
    if not all(torch.equal(table, tables[0]) for table in tables):
        raise ValueError(f"{path} has a table of relative positions per layer; expected one that all layers share")
    v, g = found.pop(_CONV_V).float(), found.pop(_CONV_G).float()
    # Weight norm over all but the last dimension (Salimans & Kingma 2016): one length per place in the kernel.
    folded = v * (g / v.norm(dim=(0, 1), keepdim=True))
    bias = found.pop("encoder.pos_conv.0.bias")
    return found | {_CONV: folded, "encoder.pos_conv.bias": bias, _BIAS: tables[0]}


def _read_published(path: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    with path.open("rb") as file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:  # the last two of files cut off
            raise ValueError(
                f"{path} cannot be read as a checkpoint of plain tensors ({_first_line(error)}); it is cut off, of "
                "another kind, or holds code, which is not run: download it again from the authors"
            ) from error
    if not isinstance(content, Mapping) or not {"cfg", "model"} <= content.keys():
        keys = map(str, content) if isinstance(content, Mapping) else [type(content).__name__]
        raise ValueError(f"{path} is no BEATs checkpoint: expected cfg and model in it, found {_some(keys)}")
    values, tensors = content["cfg"], content["model"]
    if not isinstance(values, Mapping) or not isinstance(tensors, Mapping):
        raise ValueError(f"{path} is no BEATs checkpoint: its cfg and its model are not both mappings")
    if strange := [str(name) for name, tensor in tensors.items() if not isinstance(tensor, Tensor)]:
        raise ValueError(f"{path} is no BEATs checkpoint: no tensors under {_some(strange)} of its model")
    return values, dict(tensors)


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is cut off or not safetensors ({_first_line(error)}); copy or convert it again"
        ) from error
    try:
        values = json.loads(metadata["cfg"])
    except (KeyError, json.JSONDecodeError):
        values = None
    if not isinstance(values, dict):
        raise ValueError(
            f"{path} is no BEATs as save_beats writes it: no cfg in its metadata, tensors {_some(tensors)}"
        )
    return values, tensors


def _check(path: Path, expected: Mapping[str, torch.Size], found: Mapping[str, Tensor]) -> None:
    """Raise unless names and shapes agree."""
    faults = {
        "missing": sorted(expected.keys() - found.keys()),
        "unknown": sorted(found.keys() - expected.keys()),
        "misshapen": [
            f"{name} {list(found[name].shape)} instead of {list(shape)}"
            for name, shape in sorted(expected.items())
            if name in found and found[name].shape != shape
        ],
    }
    told = [f"{len(names)} {fault}: {_some(names)}" for fault, names in faults.items() if names]
    if told:
        raise ValueError(f"{path} is not the BEATs that its cfg describes; tensors {'; '.join(told)}")


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _first_line(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return type(error).__name__  # its text goes on to say how to run the code
    return (str(error).splitlines() or [type(error).__name__])[0]
