"""What `--model-args=key=value,...` takes, checked before anything is read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from mmflow_bench.checkpoints.families.decoders import CONVERSATIONS
from mmflow_bench.checkpoints.families.recognising import conversations
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError

CHOICES: Mapping[str, tuple[str, ...]] = {
    "attention": ("eager", "sdpa"),
    "conversation": tuple(CONVERSATIONS),
    "dtype": ("auto", "bfloat16", "float16", "float32"),
    "quantization": ("int4", "int8"),
}
"""Keys with a closed list of values."""
_PATHS = ("adapter", "base", "vision_tower")
_PLACEMENT = ("device_map", "max_memory", "offload_folder")
MODEL_ARGS = tuple(sorted([*CHOICES, *_PATHS, *_PLACEMENT, "gguf_file", "revision", "template"]))

_PLACES = ("auto", "balanced", "balanced_low_0", "sequential")
DEVICE = r"cpu|mps|(cuda|xpu)(:\d{1,3})?"
"""A device as torch spells it."""
_LIMIT = r"(cpu|\d+):\d+(\.\d+)?([KMG]i?B)"


def checked_args(args: Mapping[str, str]) -> dict[str, str]:
    """The same, or a CheckpointError for what is not known or does not go together."""
    for key, value in args.items():
        if key not in MODEL_ARGS:
            raise CheckpointError(
                f"a model argument among {', '.join(MODEL_ARGS)}, got {key!r} (--model-args)"
                f"{closest(key, MODEL_ARGS)}; write key=value"
            )
        choices = CHOICES.get(key, (value,))
        # Other packages are imported only for a template that none here has.
        if value not in choices and key == "conversation":
            choices = tuple(conversations())
        if value not in choices:
            raise CheckpointError(
                f"{key} among {', '.join(choices)}, got {value!r} (--model-args)"
                f"{closest(value, choices)}; write {key}={choices[-1]}"
            )
    _check_placement(args)
    return dict(args)


def refuse_unused(args: Mapping[str, str], spec: CheckpointSpec) -> None:
    """Refuse an argument that this checkpoint would be measured without.

    What an adapter, a base or a vision tower is for is known once its files are looked at.

    Raises:
        CheckpointError: Its kind, or its input, has no use for one of them.
    """
    unused = {
        "revision": (spec.kind != "hub", "a checkpoint on the hub"),
        "template": (spec.input == "paper", "the checkpoint's own input (--input=hub)"),
        "conversation": (spec.input != "paper", "the paper's input (--input=paper)"),
        "gguf_file": (args.get("gguf_file") != spec.gguf_file, "a folder of GGUF files"),
    }
    of_files = (*_PATHS, *_PLACEMENT, "attention", "gguf_file", "quantization")
    unused |= dict.fromkeys(of_files, (True, "weights in files")) if spec.kind == "built" else {}
    for key, (is_unused, user) in unused.items():
        if key in args and is_unused:
            raise CheckpointError(
                f"{key} for {user}, got {key}={args[key]} (--model-args) for {spec.name}, which "
                f"has no use for it; leave out {key}"
            )


def _check_placement(args: Mapping[str, str]) -> None:
    where = args.get("device_map")
    if where is not None and where not in _PLACES and not re.fullmatch(DEVICE, where):
        raise CheckpointError(
            f"device_map among {', '.join(_PLACES)}, or a device such as cuda:0, got {where!r} "
            "(--model-args); write device_map=auto"
        )
    limits = args.get("max_memory")
    if limits is not None and not all(re.fullmatch(_LIMIT, part) for part in limits.split(";")):
        raise CheckpointError(
            f"max_memory as device:size;device:size, got {limits!r} (--model-args); write "
            "max_memory=0:20GiB;cpu:60GiB"
        )
    for key in ("max_memory", "offload_folder"):
        if key in args and where is None:
            raise CheckpointError(
                f"device_map next to {key}, got {key}={args[key]} alone (--model-args); add "
                "device_map=auto"
            )


def memory_limits(limits: str) -> dict[int | str, str]:
    """`0:20GiB;cpu:60GiB` as accelerate takes it."""
    pairs = (part.partition(":") for part in limits.split(";"))
    return {int(device) if device.isdigit() else device: size for device, _, size in pairs}


def identifying(args: Mapping[str, str]) -> dict[str, str]:
    """Those that may move a number and are not covered by the content of the files they name."""
    return {key: value for key, value in args.items() if key not in (*_PLACEMENT, *_PATHS)}


def closest(name: str, known: Iterable[str]) -> str:
    """A hint for the end of a message, or nothing."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", closest is {matches[0]!r}" if matches else ""
