"""Float32 that is float32, whatever shortcuts the program around it allows.

cuDNN convolves float32 in TF32, with 10 bits of mantissa, unless told otherwise, and
``torch.set_float32_matmul_precision`` does the same to products, on some CPUs with bfloat16. A frozen
encoder's vectors are kept under an identity that says float32, so they must not depend on either.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["full_float32"]

_lock = threading.Lock()
_num_inside = 0
_before: tuple[str, list[str]] = ("highest", [])


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 in full within the block, then set things back as they were.

    The settings are the process's, not the thread's: the first thread in sets them and the last one out sets them
    back, so threads that encode side by side do not undo each other. Others compute in full meanwhile as well.
    """
    global _num_inside, _before
    with _lock:
        if not _num_inside:
            _before = _set_full()
        _num_inside += 1
    try:
        yield
    finally:
        with _lock:
            _num_inside -= 1
            if not _num_inside:
                _set_back(*_before)


def _places() -> list[Any]:
    """Where torch keeps a precision for an operation of a library."""
    backends: Any = torch.backends
    return [backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul]


def _set_full() -> tuple[str, list[str]]:
    places = [place.fp32_precision for place in _places()]
    for place in _places():
        place.fp32_precision = "ieee"
    # The older setting is kept beside these; products raise an error where the two disagree.
    products = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    return products, places


def _set_back(products: str, places: list[str]) -> None:
    torch.set_float32_matmul_precision(products)
    for place, precision in zip(_places(), places, strict=True):
        place.fp32_precision = precision
