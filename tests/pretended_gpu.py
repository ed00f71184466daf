"""A GPU in name only, for machines without one: tensors on it are computed by the CPU, but never with the CPU's own.

What it finds is code that leaves a tensor on the wrong device, which every CPU test passes. It says nothing of speed,
memory, CUDA's kernels or bfloat16. It changes torch for the whole process, so import it in a process of its own, before
anything of ``collap_model``, and work within ``pretended_gpu()``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import safetensors.torch
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend


class _Module(_DummyBackendModule):
    """What torch asks of a kind of device; random numbers are the CPU's."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def device(self, device: Any) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def get_rng_state(self, device: Any = 0) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = 0) -> None:
        torch.set_rng_state(state)


_setup_privateuseone_for_python_backend("pretended", backend_module=_Module())
GPU = torch.device("pretended", 0)
_TAKES_INDICES_OF_ANY_DEVICE = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


class OnGpu(torch.Tensor):
    """A tensor that says it is on the GPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnGpu:
        made: OnGpu = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=GPU,
        )
        made.held = held
        return made

    def __repr__(self) -> str:
        return f"OnGpu({self.held})"

    def tolist(self) -> Any:
        return self.held.tolist()

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(operation, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """For operations that make a tensor, which none on the GPU is among the arguments of."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(operation, args, kwargs or {})


def _computed(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name, asked = operation.overloadpacket.__name__, kwargs.get("device")
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    on_gpu = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
    if name == "copy_":  # between devices, or not
        _held(args[0]).copy_(_held(args[1]))
        return args[0]
    for tensor in tensors if on_gpu else ():
        is_index = name in _TAKES_INDICES_OF_ANY_DEVICE and tensor is not args[0]
        if not isinstance(tensor, OnGpu) and tensor.dim() > 0 and not is_index:
            raise RuntimeError(
                f"{operation} takes tensors of one device; this one is on the CPU: {tuple(tensor.shape)}"
            )
    stays = asked is None and bool(on_gpu) and name != "_local_scalar_dense"
    inner = tree_map(_held, {**kwargs, **({"device": torch.device("cpu")} if asked is not None else {})})
    found = operation(*tree_map(_held, args), **inner)
    if not stays and (asked is None or torch.device(asked).type != GPU.type):
        return found
    same = {id(tensor.held): tensor for tensor in on_gpu}  # of an operation in place
    return tree_map(lambda leaf: same[id(leaf)] if id(leaf) in same else _put(leaf), found)


def _put(leaf: Any) -> Any:
    return OnGpu(leaf) if isinstance(leaf, torch.Tensor) else leaf


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, OnGpu) else leaf


@contextlib.contextmanager
def pretended_gpu() -> Iterator[None]:
    """Within it ``.to(GPU)`` and ``device=GPU`` work. Backward passes stay in the thread that asks for them."""
    with _Mode(), torch.autograd.set_multithreading_enabled(False):
        yield


def _inference_mode(mode: Any = True) -> Any:
    """Tensors of the true one cannot be held within others."""
    if isinstance(mode, Callable):
        return torch.no_grad()(mode)
    return torch.no_grad() if mode else contextlib.nullcontext()


def _install() -> None:
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=GPU) makes it on the CPU first
    torch.inference_mode = _inference_mode  # type: ignore[assignment, misc]
    save, load, save_file = torch.save, torch.load, safetensors.torch.save_file

    def save_held(content: Any, *args: Any, **kwargs: Any) -> None:
        save(tree_map(_held, content), *args, **kwargs)

    def load_onto(file: Any, map_location: Any = None, **kwargs: Any) -> Any:
        found = load(file, map_location="cpu", **kwargs)
        is_asked = map_location is not None and torch.device(map_location).type == GPU.type
        return tree_map(_put, found) if is_asked else found

    def save_file_held(tensors: Mapping[str, torch.Tensor], filename: str | os.PathLike[str], **kwargs: Any) -> None:
        save_file({name: _held(tensor) for name, tensor in tensors.items()}, filename, **kwargs)

    torch.save, torch.load, safetensors.torch.save_file = save_held, load_onto, save_file_held  # type: ignore[assignment]


_install()
