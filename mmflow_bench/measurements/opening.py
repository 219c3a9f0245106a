"""What opening measurements takes: the key of the store, the checkpoint once it is needed."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from typing import Any

from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.inputs.forms import prompt_identity
from mmflow_bench.measurements.selection import SampleSet

Progress = Callable[[str, int, int], None]
"""Called with what is measured, how many samples are done, and of how many."""

STORE_SCHEMA = 2


def store_identity(spec: CheckpointSpec, fingerprint: str) -> dict[str, object]:
    """Everything that may move a number, for the key of the store.

    Args:
        spec: The checkpoint, and how it is loaded and asked.
        fingerprint: Of its weights and processor.
    """
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers")}
    return {
        "schema": STORE_SCHEMA,
        "instrument": importlib.metadata.version("mmflow-bench"),
        "prompt": prompt_identity(spec.input, spec.conversation),
        "input": spec.input,
        "patches": spec.patches,
        "conversation": spec.conversation,
        "checkpoint": fingerprint,
        "dtype": spec.dtype,
        "attention": "exact",
        "model_args": dict(sorted(spec.model_args.items())),
        "versions": versions,
    }


def load_proved(
    spec: CheckpointSpec, samples: SampleSet, *, self_test: bool
) -> tuple[Any, dict[str, object]]:
    """The loaded checkpoint and its facts, the fast path proved on it if wanted.

    Args:
        spec: The checkpoint.
        samples: Some of them are asked in the self-test.
        self_test: Whether to prove anything.

    Raises:
        CheckpointError: It cannot be loaded or instrumented.
    """
    # torch and transformers are imported here, not above: a run from the store needs neither.
    loading = importlib.import_module("mmflow_bench.checkpoints.loading")
    checkpoint = loading.load_checkpoint(spec)
    checks = _checks(checkpoint, samples) if self_test else []
    reference = importlib.import_module("mmflow_bench.measurements.reference_input")
    return checkpoint, {
        "self_test": checks,
        "decoder_layers": checkpoint.decoder_layers,
        "family": checkpoint.parts.name,
        "dtype": str(checkpoint.model.dtype).removeprefix("torch."),
        "device": str(checkpoint.model.device.type),
        "has_image": checkpoint.parts.has_image,
        **reference.reference_input(checkpoint),
    }


def _checks(checkpoint: Any, samples: SampleSet) -> list[dict[str, object]]:
    selfcheck = importlib.import_module("mmflow_bench.interventions.selfcheck")
    selfcheck.prove_exact(checkpoint)
    of_samples = importlib.import_module("mmflow_bench.measurements.self_test")
    members = [sample for task in samples.tasks for sample in samples.of(task)]
    checks: list[dict[str, object]] = of_samples.self_test(checkpoint, members)
    return checks
