"""Which rule says that a patch shows an object: overlap, or the published one."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import CheckpointError

PatchRule = Literal["overlap", "painted"]
PATCH_RULES: tuple[PatchRule, ...] = get_args(PatchRule)


def with_patch_rule(spec: CheckpointSpec, rule: PatchRule) -> CheckpointSpec:
    """The same checkpoint, related patches found by `rule`.

    Raises:
        CheckpointError: The published rule is asked for without the published pixels.
    """
    if rule == "painted" and spec.input != "paper":
        raise CheckpointError(
            f"--patches=painted with the paper's input, got --input={spec.input} (checkpoint "
            f"{spec.name}); the rule looks at the pixels that the paper's program makes, so use "
            "--input=paper, or --patches=overlap"
        )
    return replace(spec, patches=rule)
