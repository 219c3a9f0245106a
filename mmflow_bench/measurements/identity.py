"""What measurements are stored under: everything that may move a number."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.inputs.forms import prompt_identity

STORE_SCHEMA = 2


def store_identity(spec: CheckpointSpec, fingerprint: str) -> dict[str, object]:
    """The key of the store, with the fingerprint of weights and processor."""
    version = importlib.metadata.version
    identity = {
        "schema": STORE_SCHEMA,
        "instrument": version("mmflow-bench"),
        "prompt": prompt_identity(spec.input, spec.conversation),
        "input": spec.input,
        "patches": spec.patches,
        "conversation": spec.conversation,
        "checkpoint": fingerprint,
        "dtype": spec.dtype,
        "attention": "exact",
        "model_args": dict(sorted(spec.model_args.items())),
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    # What is read carefully is kept where it was before there was a choice.
    return identity if spec.compat == "careful" else {**identity, "compat": spec.compat}


def are_facts(found: Mapping[str, object]) -> bool:
    """Whether what is known of a checkpoint beside its measurements is of the right types."""
    layers, checks = found.get("decoder_layers", 1), found.get("self_test", [])
    others = [found[name] for name in found.keys() - {"decoder_layers", "self_test"}]
    return (
        isinstance(layers, int)
        and not isinstance(layers, bool)
        and layers > 0
        and isinstance(checks, list)
        and all(map(_is_check, checks))
        and all(isinstance(value, str | bool | float) for value in others)
    )


def _is_check(found: object) -> bool:
    kinds = {"name": str, "passed": bool, "detail": str}
    return isinstance(found, dict) and all(
        isinstance(found.get(name), kind) for name, kind in kinds.items()
    )
