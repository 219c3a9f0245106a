"""What measurements are stored under: everything that may move a number."""

from __future__ import annotations

import importlib.metadata

from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.inputs.forms import prompt_identity

STORE_SCHEMA = 2


def store_identity(spec: CheckpointSpec, fingerprint: str) -> dict[str, object]:
    """The key of the store, with the fingerprint of weights and processor."""
    version = importlib.metadata.version
    return {
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
