from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from collap_model.encoders.full_float32 import full_float32
from collap_model.encoders.windowed import WindowedEncoder

BACKENDS: Any = torch.backends


def settings() -> tuple[str, ...]:
    places = (BACKENDS.cudnn.conv, BACKENDS.cuda.matmul, BACKENDS.mkldnn.conv, BACKENDS.mkldnn.matmul)
    return *(place.fp32_precision for place in places), torch.get_float32_matmul_precision()


FULL = ("ieee", "ieee", "ieee", "ieee", "highest")


@pytest.fixture(params=["untouched", "low by the old setting", "low by the new ones"])
def around(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the program around may have set."""
    before = settings()
    if request.param == "low by the old setting":
        torch.set_float32_matmul_precision("medium")
    elif request.param == "low by the new ones":
        BACKENDS.cuda.matmul.fp32_precision = "tf32"
        BACKENDS.mkldnn.matmul.fp32_precision = "bf16"
    yield
    torch.set_float32_matmul_precision(before[4])
    BACKENDS.cuda.matmul.fp32_precision, BACKENDS.mkldnn.matmul.fp32_precision = before[1], before[3]


def places() -> tuple[str, ...]:
    return tuple(place.fp32_precision for place in (BACKENDS.cudnn.conv, BACKENDS.cuda.matmul, BACKENDS.mkldnn.matmul))


def test_an_encoder_computes_in_full_and_leaves_no_trace(around: None) -> None:
    class Ears(WindowedEncoder):
        name, version, preprocessing = "ears", "1", "none"
        window_seconds, frames_per_s, dim = 4.0, 10.0, 1

        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Linear(1, 1)

        def frames(self, windows_NT: Tensor, lengths_N: Tensor) -> tuple[Tensor, Tensor]:
            assert settings() == FULL
            return self.network(windows_NT.unflatten(1, (-1, 1600))[..., :1]), lengths_N // 1600

    before = places()
    ears = Ears()
    ears.encode([np.zeros(16_000, np.float32)])
    assert places() == before
    with pytest.raises(ValueError, match="at least one sample"), full_float32():
        ears.encode([np.zeros(0, np.float32)])
    assert places() == before


def test_threads_side_by_side_do_not_undo_each_other(around: None) -> None:
    before = places()
    is_in, may_leave = threading.Event(), threading.Event()

    def stay() -> None:
        with full_float32():
            is_in.set()
            may_leave.wait(10)

    thread = threading.Thread(target=stay)
    with full_float32():
        thread.start()
        assert is_in.wait(10)
    assert settings() == FULL  # the other is still inside
    may_leave.set()
    thread.join()
    assert places() == before
