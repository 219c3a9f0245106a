"""A device that does not exist: its tensors lie on the processor, and meet no others.

What torch refuses on an accelerator is refused here: an operation on tensors of both devices, but
for single numbers of the processor, indices from it, and copies. Values are real, so that all code
runs that looks at them; where a tensor was made without a device it is the processor's.

The process that imports this has an accelerator, as far as torch can tell: it runs nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as register

register(rename="made_up")
DEVICE = torch.device("made_up", 0)
_COPIES = ("aten::copy_", "aten::_to_copy", "aten::to", "aten::set_data")
_INDEXED = ("aten::index", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_")


class MixedDevices(RuntimeError):
    """Tensors of two devices met in one operation."""


class Placed(Tensor):
    """A tensor of the device that does not exist."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> Placed:
        # An inference tensor could not be a view of a weight, which is none.
        with torch.inference_mode(False):
            made: Placed = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls,
                values.shape,
                strides=values.stride(),
                storage_offset=values.storage_offset(),
                dtype=values.dtype,
                device=DEVICE,
            )
        made.values = values
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: object, given: Any = (), named: Any = None
    ) -> Any:
        return _done(function, given, named or {})

    def tolist(self) -> Any:
        return self.values.tolist()

    def __repr__(self, **_: object) -> str:
        return f"Placed({self.values!r})"


class MadeUpDevice(TorchDispatchMode):
    """While this is open, tensors can be made on `DEVICE` and moved there."""

    def __enter__(self) -> MadeUpDevice:
        # Otherwise `torch.tensor(..., device=...)` goes past every mode.
        self._before = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        super().__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        super().__exit__(*why)
        torch._C._set_only_lift_cpu_tensors(self._before)

    def __torch_dispatch__(
        self, function: Any, types: object, given: Any = (), named: Any = None
    ) -> Any:
        return _done(function, given, named or {})


def put(model: nn.Module) -> None:
    """Move a model's weights and buffers there, in place."""
    with torch.no_grad():
        for module in model.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    placed = Placed(weight.data)
                    module._parameters[name] = nn.Parameter(placed, requires_grad=False)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = Placed(buffer)


@contextmanager
def made_up_device() -> Iterator[torch.device]:
    with MadeUpDevice():
        yield DEVICE


def _done(function: Any, given: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """What an operation gives, on the device where its tensors are, or that it names."""
    name, leaves = function._schema.name, tree_flatten((given, named))[0]
    tensors = [one for one in leaves if isinstance(one, Tensor)]
    is_placed = any(isinstance(one, Placed) for one in tensors)
    if is_placed and name not in _COPIES:
        _refuse_mixed(name, given, tensors)
    devices = [one for one in leaves if isinstance(one, torch.device)]
    if function is torch.ops.aten.to.other:
        devices = [given[1].device]
    goes_to = devices[-1].type == DEVICE.type if devices else is_placed
    values = tree_map(_values, (tuple(given), dict(named)))
    result = function(*values[0], **values[1])
    if function._schema.is_mutable and not isinstance(result, (tuple, list)) and result is not None:
        return named["out"] if "out" in named else given[0]
    place: Callable[[Any], Any] = lambda one: (  # noqa: E731
        Placed(one) if isinstance(one, Tensor) else one
    )
    return tree_map(place, result) if goes_to else result


def _values(one: Any) -> Any:
    if isinstance(one, torch.device):
        return torch.device("cpu")
    return one.values if isinstance(one, Placed) else one


def _refuse_mixed(name: str, given: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    if name in _INDEXED and isinstance(given[0], Placed):
        others = [one for one in given[2:3] if isinstance(one, Tensor)]
        tensors = [given[0], *others]
    strays = [one for one in tensors if not isinstance(one, Placed) and one.dim()]
    if strays:
        shapes = ", ".join(str(tuple(one.shape)) for one in strays)
        raise MixedDevices(f"{name} on {DEVICE}, got tensors of the processor too ({shapes})")
