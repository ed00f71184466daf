"""Frozen networks by Hugging Face name or from a folder, through transformers."""

from __future__ import annotations

import pickle
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedConfig

__all__ = ["load_form", "load_network"]


def load_form(model: str, *model_types: str) -> dict[str, Any]:
    """The configuration of a checkpoint.

    Raises:
        ValueError: there is none, or it is of another architecture than ``model_types``.
    """
    try:
        form: dict[str, Any] = PreTrainedConfig.get_config_dict(model)[0]
    except (OSError, ValueError) as error:
        raise ValueError(f"no configuration of an encoder at {model}: {error}") from error
    found = form.get("model_type")
    if found is None:
        raise ValueError(f"{model} holds no config.json with a model_type; name the folder of a saved model")
    if found not in model_types:
        raise ValueError(f"{model} is a model of type {found!r}; expected {' or '.join(map(repr, model_types))}")
    return form


def load_network(network_class: Any, model: str, **options: Any) -> Any:
    """A network of a transformers class with all of its weights, in float32. No pickle may run code.

    Raises:
        ValueError: the weights are missing, truncated or of other shapes, or some of them are absent, which
            transformers would fill in at random.
    """
    try:
        network, loaded = network_class.from_pretrained(model, dtype=torch.float32, output_loading_info=True, **options)
    except (EOFError, pickle.UnpicklingError) as error:  # whose texts say nothing, and how to run the code
        raise ValueError(
            f"cannot load the weights of {model}: its file is cut off, or holds more than tensors; code is not run"
        ) from error
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"cannot load the weights of {model}: {error}") from error
    if missing := sorted(loaded["missing_keys"]):
        raise ValueError(f"{model} lacks {len(missing)} weights of its encoder, {missing[0]} for one")
    return network
