"""A checkpoint loaded for measuring: the fast path proved on it, and facts for the store."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import torch
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, load_checkpoint
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.checkpoints.trial import tried
from mmflow_bench.errors import SampleError
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.selfcheck import prove_exact
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.self_test import self_test
from mmflow_bench.scenes.questions import scene_samples

UNKNOWN = ""
"""The checkpoint cannot be shown the scene, so nothing is known of its input."""
_CELLS = 4
_DIGITS = 2


def load_proved(
    spec: CheckpointSpec, samples: SampleSet, *, is_tested: bool
) -> tuple[LoadedCheckpoint, dict[str, object]]:
    """The loaded checkpoint and its facts; the fast path is proved on some samples if wanted."""
    checkpoint = load_checkpoint(spec)
    return checkpoint, proved(checkpoint, samples, is_tested=is_tested)


def proved(
    checkpoint: LoadedCheckpoint, samples: SampleSet, *, is_tested: bool
) -> dict[str, object]:
    """Facts of a loaded checkpoint; the fast path is proved on some samples if wanted."""
    asked = _asked(checkpoint)
    checks: list[dict[str, object]] = []
    if is_tested:
        prove_exact(checkpoint)
        checks = self_test(checkpoint, [one for task in samples.tasks for one in samples.of(task)])
    return {
        "self_test": checks,
        "decoder_layers": checkpoint.decoder_layers,
        "family": checkpoint.parts.name,
        "dtype": str(checkpoint.model.dtype).removeprefix("torch."),
        "device": str(checkpoint.model.device.type),
        "has_image": checkpoint.parts.has_image,
        **asked,
    }


def _asked(checkpoint: LoadedCheckpoint) -> dict[str, str]:
    """The same as `reference_input`, with foreign files tried out where they can do no harm."""
    if checkpoint.spec.kind in ("built", "memory"):
        return reference_input(checkpoint)
    found: dict[str, str] = tried(
        lambda: reference_input(checkpoint),
        expected="a tokenizer, chat template and processor that prepare a photo and a question",
        where=f"checkpoint {checkpoint.spec.name}",
        advice="check their files, or give another template with --model-args=template=FILE",
    )
    return found


def reference_input(checkpoint: LoadedCheckpoint) -> dict[str, str]:
    """Hashes of the tokens and of the pixels that one rendered scene becomes.

    Prompt template, tokenizer and image processor are files, and the same input may be written in
    many ways. Two checkpoints that turn the same sample into the same tokens and the same pixels
    are asked the same thing, whatever their files say; others are another experiment.

    Raises:
        CheckpointError: The scene cannot be prepared, and nothing else can.
    """
    (sample,) = scene_samples(per_task=1, tasks=("ChooseAttr",))
    try:
        if not checkpoint.parts.has_image:
            # Its tokenizer and template are tried all the same.
            encode(replace(sample, image=None, boxes=(), caption="A scene."), checkpoint)
        encoded = encode(sample, checkpoint)
    except SampleError:
        return {"reference_prompt": UNKNOWN, "reference_pixels": UNKNOWN}
    tokens = f"{encoded.prompt}\n{encoded.input_ids.tolist()}"
    pixels = [_summary(name, value) for name, value in sorted(encoded.model_inputs.items())]
    return {"reference_prompt": _digest(tokens), "reference_pixels": _digest("\n".join(pixels))}


def _summary(name: str, value: Tensor) -> str:
    """Pixels averaged over a coarse grid and rounded.

    So another machine's last bits do not count, and another mean, crop or resolution does.
    """
    shape = tuple(value.shape)
    if not value.is_floating_point():
        return f"{name} {shape} {value.flatten().tolist()[:64]}"
    planes = value.float()
    if value.ndim >= 3:
        planes = planes.reshape(-1, 1, *shape[-2:])
        planes = torch.nn.functional.adaptive_avg_pool2d(planes, _CELLS)
    # Adding zero makes a negative zero positive.
    rounded = [round(number, _DIGITS) + 0.0 for number in planes.flatten().tolist()]
    return f"{name} {shape} {rounded}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
