"""Everything that is measured, on a device that does not exist; told as JSON.

python tests/builders/placed.py
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from catalogue_cost import Asked, parser
from made_up_device import DEVICE, MixedDevices, made_up_device, put
from torch import Tensor, nn

from mmflow_bench.errors import MMFlowError
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.wants import Rows

OPERATIONS: Mapping[str, Callable[[Tensor, Tensor], object]] = {
    "a sum": lambda there, here: there + here,
    "a sum the other way": lambda there, here: here + there,
    "in place": lambda there, here: there.add_(here),
    "into the processor's": lambda there, here: here.mul_(there),
    "a product": lambda there, here: there @ here,
    "side by side": lambda there, here: torch.cat([there, here]),
    "a choice": lambda there, here: torch.where(here > 0, there, there),
    "the processor's by indices": lambda there, here: here[there.long()],
    "numpy": lambda there, here: there.numpy() + here.numpy(),
    # These are no mistakes.
    "a number": lambda there, _: there * torch.tensor(2.0) + 1,
    "by indices": lambda there, here: there[here.long()],
    "moved": lambda there, here: there + here.to(there.device) + here.to(DEVICE),
    "back": lambda there, here: there.to("cpu") + here + there.tolist()[0][0],
    "copied": lambda there, here: there.copy_(here),
    "looked at": lambda there, _: [there.tolist(), float(there.sum()), bool(there.any())],
    "made there": lambda there, _: there + torch.ones(2, 2, device=DEVICE) + there.new_zeros(2),
}


def asked_of(dtype: torch.dtype) -> Asked:
    """One sample of random weights, and all that the suites read of it, second opinions too."""
    options = ["--layers=5", "--width=64", "--patches=5", "--window=3", "--twins"]
    asked = Asked(parser().parse_args(options))
    asked.checkpoint.model.to(dtype)
    return asked


def measured(asked: Asked) -> Rows:
    """All of it; and the answer once more, from what questions about one image share."""
    rows = asked.measure(asked.wants)
    job = Job(sample=asked.sample, key="sample", wants=asked.wants[:1], shares_image=True)
    (shared,) = measure(asked.checkpoint, [job], workers=1)
    return {
        **rows,
        **{replace(of, name=f"shared {of.name}"): shared.rows[of] for of in shared.rows},
    }


def operations() -> Iterator[tuple[str, str]]:
    """Operation -> why it is refused; no text where it is not."""
    for name, operation in OPERATIONS.items():
        with made_up_device():
            there, here = torch.ones(2, 2, device=DEVICE), torch.ones(2, 2)
            try:
                operation(there, here)
                yield name, ""
            except (MixedDevices, TypeError, RuntimeError) as error:
                yield name, str(error)


@contextmanager
def hooked(
    module: nn.Module, hook: Callable[[nn.Module, object, Tensor], Tensor]
) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def in_a_hook(asked: Asked, device: torch.device | None) -> str:
    """Why everything stops where a hook adds what was made on a device, None for no device."""

    def add(module: nn.Module, given: object, output: Tensor) -> Tensor:  # noqa: ARG001
        return output + torch.zeros(output.shape[-1], device=device)

    layer = asked.checkpoint.parts.decoder_layers[2]
    try:
        with made_up_device(), hooked(layer.mlp, add):
            asked.measure(asked.wants[:1])
    except MMFlowError as error:
        return str(error)
    return ""


def differences(here: Rows, there: Rows) -> dict[str, float]:
    """Shard -> the largest difference; infinite where rows differ in more than numbers."""
    found = {}
    for shard in here.keys() | there.keys():
        rows = here.get(shard, ()), there.get(shard, ())
        found[shard.name] = math.inf if len(rows[0]) != len(rows[1]) else 0.0
        for one, other in zip(*rows, strict=False):
            parts = (_difference(one[name], other[name]) for name in one)
            found[shard.name] = max(found[shard.name], *parts)
    return found


def _difference(one: object, other: object) -> float:
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max(map(_difference, one, other), default=0.0)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) / max(1.0, abs(one))
    return 0.0 if one == other else math.inf


def told() -> dict[str, object]:
    torch.set_num_threads(1)
    # There are no queues of work to wait for.
    torch.accelerator.synchronize = lambda *_: None
    asked = asked_of(torch.float32)
    here = measured(asked)
    put(asked.checkpoint.model)
    with made_up_device():
        there = measured(asked)
    return {
        "operations": dict(operations()),
        "wants": len(asked.wants),
        "differences": differences(here, there),
        "hook_of_the_processor": in_a_hook(asked, None),
        "hook_of_the_device": in_a_hook(asked, DEVICE),
    }


if __name__ == "__main__":
    print(json.dumps(told()))
