"""Packages that are not ours to require, and the checkpoints that they read as pickles."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["foreign", "load_checkpoint", "numbers_allowed"]


def foreign(module: str, package: str) -> Any:
    """A package of another project.

    Raises:
        ValueError: it is not installed, or does not load beside what is.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"cannot load {module} ({error}); pip install {package}, see docs/baselines.md, or give its vectors "
            "as embeddings=FOLDER"
        ) from error


def load_checkpoint(path: str, key: str) -> dict[str, Tensor]:
    """The weights under ``key`` of a file of ``torch.save``. Numbers and tensors are read; code is not run.

    Raises:
        ValueError: no such file, no such file of weights, or one that holds more than tensors and numbers.
    """
    if not Path(path).is_file():
        raise ValueError(f"no checkpoint at {path}; download it, or correct the path")
    try:
        with numbers_allowed():
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is cut off"
        raise ValueError(f"cannot read {path} as weights: {reason}") from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get(key), dict):
        raise ValueError(f"{path} has no {key!r}: it is no checkpoint of this model")
    return {name: value for name, value in loaded[key].items() if isinstance(value, Tensor)}


@contextmanager
def numbers_allowed() -> Iterator[None]:
    """Let ``torch.load`` read numbers of NumPy beside tensors: training programs keep their metrics as such."""
    scalar: Any = np.float64(0).__reduce__()[0]
    old = (scalar, "numpy.core.multiarray.scalar")  # the name it had before NumPy 2
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)]
    with torch.serialization.safe_globals([scalar, old, np.dtype, *kinds]):
        yield
