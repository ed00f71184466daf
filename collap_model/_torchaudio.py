"""Let ``torchaudio`` import where its compiled extension cannot load.

torchaudio 2.11 is the last release and its wheel is linked to CUDA 13.0: ``import torchaudio``
raises OSError with a CPU-only torch (libc10_cuda.so is missing) and RuntimeError with torch 2.15
(CUDA 13.2). transformers imports torchaudio whenever it is *installed*, so that failure also breaks
every transformers model class. torchaudio itself runs without its extension when the library files
are absent; this hook turns "fails to load" into that state. It costs nothing until something
imports torchaudio and changes nothing where the extension loads.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

_NAME = "torchaudio._extension"


class _Loader(importlib.abc.Loader):
    def __init__(self, inner: importlib.abc.Loader) -> None:
        self.inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        try:
            self.inner.exec_module(module)
        except (OSError, ImportError, RuntimeError, AttributeError) as error:
            _without_extension(module, error)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _NAME:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


def _without_extension(module: Any, error: BaseException) -> None:
    def fail_if_no_align(_function: Callable[..., Any]) -> Callable[..., Any]:
        def unavailable(*_args: Any, **_kwargs: Any) -> None:
            raise RuntimeError(f"torchaudio's compiled extension is not available here: {error}")

        return unavailable

    module._IS_TORCHAUDIO_EXT_AVAILABLE = False
    module._IS_ALIGN_AVAILABLE = False
    module.fail_if_no_align = fail_if_no_align


def install() -> None:
    """Add the hook once; must run before torchaudio or transformers is imported."""
    if _NAME not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
