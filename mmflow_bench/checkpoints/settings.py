"""Which checkpoints are meant, and how they are loaded and asked: the options that say so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

from mmflow_bench.checkpoints.default import DEFAULT_MODEL, MODEL_VARIABLE
from mmflow_bench.checkpoints.model_args import DEVICE
from mmflow_bench.checkpoints.registry import registered_models, resolve_checkpoint
from mmflow_bench.checkpoints.released import RELEASED
from mmflow_bench.checkpoints.spec import CheckpointSpec, Compat, InputChoice, PatchRule
from mmflow_bench.errors import CheckpointError
from mmflow_bench.names import hint
from mmflow_bench.options import Place, listed, setting

DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")


def parse_model_args(text: str) -> dict[str, str]:
    """The `key=value,key=value` pairs of --model-args; a ValueError for a part that is none."""
    pairs: dict[str, str] = {}
    for part in listed("--model-args", text, "key=value pairs such as revision=main"):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError(
                f"--model-args takes key=value pairs such as revision=main, got {part!r}"
            )
        if key.strip() in pairs:
            raise ValueError(f"--model-args takes a key once, got {key.strip()!r} again")
        pairs[key.strip()] = value.strip()
    return pairs


def parse_device(text: str) -> str:
    """A device as torch spells it, or `auto`; whether it is there is asked when it is needed.

    Raises:
        ValueError: It is neither.
    """
    if text == "auto" or re.fullmatch(DEVICE, text):
        return text
    # What a GPU is called by those who do not use torch is closest to `cpu`.
    meant = hint(text.lower().replace("gpu", "cuda"), DEVICES)
    known = ", ".join(DEVICES)
    raise ValueError(
        f"--device, in pytest --mmflow-device, takes {known} or cuda:1, got {text!r}{meant}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """Which checkpoints are meant, and how each of them is loaded and asked."""

    models: tuple[str, ...] = setting(
        (),
        "checkpoint (default: $MMFLOW_MODEL, or the one that ships with mmflow-bench)",
        flag="--model",
        metavar="NAME|PATH|HUB_ID",
        parse=partial(listed, "--model", of="names of checkpoints"),
        is_repeated=True,
        suggest=registered_models,
        environment=MODEL_VARIABLE,
        places=(Place.LOADING | Place.INI) & ~Place.RESULTS,
    )
    """Registered names, folders or hub ids; the default model when empty."""
    model_args: Mapping[str, str] = setting(
        {},
        "how the checkpoint is loaded, e.g. revision=main,dtype=bfloat16",
        metavar="K=V,...",
        parse=parse_model_args,
        places=Place.LOADING,
    )
    stands_for: str | None = setting(
        None,
        "the paper's checkpoint whose thresholds and exceptions a fine-tune or a folder is asked "
        "for (default: what the paper says of any)",
        flag="--mmflow-as",
        command_flag="--as",
        choices=tuple(entry.name for entry in RELEASED if entry.paper_model is not None),
        places=(Place.RUN | Place.MEASURE) & ~Place.RESULTS,
    )
    input: InputChoice | None = setting(
        None,
        "prepare samples as the paper's program does, or as the checkpoint's own processor "
        "does (default: paper for the checkpoints of the paper and the original format)",
        choices=get_args(InputChoice),
        places=Place.LOADING,
        unset="auto",
    )
    patches: PatchRule = setting(
        "overlap",
        "related patches are those that overlap a box (default), or those that the paper's "
        "program finds red after painting it",
        choices=get_args(PatchRule),
        places=Place.LOADING,
    )
    compat: Compat = setting(
        "careful",
        "where the published program and a careful reading of the paper differ, follow the latter "
        "(careful, the default) or the program to the letter (paper; with --input=paper it "
        "implies --patches=painted)",
        choices=get_args(Compat),
        places=Place.LOADING,
    )
    device: str = setting(
        "auto",
        "cpu, cuda, cuda:1 or auto (default: the accelerator when there is one)",
        flag="--mmflow-device",
        command_flag="--device",
        metavar="DEVICE",
        parse=parse_device,
        places=Place.LOADING | Place.INI,
    )
    offline: bool = setting(
        False,
        "never ask a hub; what is not on disk is an error",
        places=Place.LOADING & ~Place.RESULTS,
    )
    trust_remote_code: bool = setting(
        False,
        "run Python code that a checkpoint brings along (off by default, recorded)",
        places=Place.LOADING & ~Place.RESULTS,
    )

    @property
    def names(self) -> tuple[str, ...]:
        return self.models or (DEFAULT_MODEL,)


def resolve_spec(model: str, settings: CheckpointSettings) -> CheckpointSpec:
    """The spec of one checkpoint, loaded and asked as the options say; reads no weights.

    Raises:
        CheckpointError: It is not known or not there.
    """
    spec = resolve_checkpoint(
        model,
        model_args=settings.model_args,
        device=resolve_device(settings.device),
        offline=settings.offline,
        trust_remote_code=settings.trust_remote_code,
        input_choice=settings.input,
    )
    # What has a record of its own keeps it: a run may have the paper's checkpoint beside it.
    paper_model = spec.paper_model or settings.stands_for
    spec = replace(spec, paper_model=paper_model, compat=settings.compat)
    # The published rule looks at the pixels of the published input.
    is_painted = spec.compat == "paper" and spec.input == "paper"
    return with_patch_rule(spec, "painted" if is_painted else settings.patches)


def with_patch_rule(spec: CheckpointSpec, rule: PatchRule) -> CheckpointSpec:
    """The same checkpoint under a rule; a CheckpointError if its pixels do not allow it."""
    if rule == "painted" and spec.input != "paper":
        raise CheckpointError(
            f"--patches=painted with the paper's input, got --input={spec.input} (checkpoint "
            f"{spec.name}); the rule looks at the pixels that the paper's program makes, so use "
            "--input=paper, or --patches=overlap"
        )
    return replace(spec, patches=rule)


def resolve_device(device: str) -> str:
    """A device that torch understands: `auto` is the accelerator when there is one."""
    if device != "auto":
        return device
    # Looking for the driver first spares runs from the store two seconds of importing torch.
    if not Path("/proc/driver/nvidia").exists():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
