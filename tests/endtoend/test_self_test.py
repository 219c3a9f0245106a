"""Every check of the instrument passes where it should and fails on the fault that it is for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, assemble_checkpoint, load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.measurements.self_test import self_test
from mmflow_bench.scenes.questions import scene_samples

SAMPLES = scene_samples(per_task=3, tasks=["ChooseAttr"])
NAMES = (
    "fast-path",
    "empty-knockout",
    "batch-parity",
    "mask-takes-effect",
    "image-positions",
    "answer-tokens",
)


@pytest.fixture(scope="module")
def whole() -> LoadedCheckpoint:
    return load_checkpoint(resolve_checkpoint("planted/mini"))


@pytest.fixture
def checkpoint(whole: LoadedCheckpoint) -> LoadedCheckpoint:
    """A copy that a test may damage."""
    model = copy.deepcopy(whole.model)
    return assemble_checkpoint(model, whole.processor, spec=whole.spec, identity="0" * 64)


def failed(checkpoint: LoadedCheckpoint) -> set[str]:
    return {str(check["name"]) for check in self_test(checkpoint, SAMPLES) if not check["passed"]}


def test_every_check_passes_on_a_sound_checkpoint(whole: LoadedCheckpoint) -> None:
    checks = self_test(whole, SAMPLES)
    assert tuple(check["name"] for check in checks) == NAMES
    assert all(check["passed"] for check in checks)


def a_layer_with_noise(checkpoint: LoadedCheckpoint) -> None:
    def add_noise(_module: Any, _inputs: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        hidden += 0.1 * torch.randn(hidden.shape)
        return output

    checkpoint.parts.decoder_layers[4].register_forward_hook(add_noise)


def padding_that_counts(checkpoint: LoadedCheckpoint) -> None:
    def spoil(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return output * (0.5 if len(output) > 1 else 1.0)

    checkpoint.model.get_input_embeddings().register_forward_hook(spoil)


def attention_that_nothing_reads(checkpoint: LoadedCheckpoint) -> None:
    with torch.no_grad():
        for layer in checkpoint.parts.decoder_layers:
            layer.self_attn.o_proj.weight.zero_()


def text_that_carries_the_image(checkpoint: LoadedCheckpoint) -> None:
    def leak(_module: Any, args: Any, keywords: dict[str, Any]) -> Any:
        embeddings = keywords["inputs_embeds"].clone()
        if embeddings.shape[1] == 1:
            return None  # a step of decoding
        embeddings[:, 1] += 1e-3 * embeddings[:, 3:39].mean(dim=1)
        return args, keywords | {"inputs_embeds": embeddings}

    checkpoint.parts.decoder.register_forward_pre_hook(leak, with_kwargs=True)


def generation_that_suppresses_the_answer(checkpoint: LoadedCheckpoint) -> None:
    words = {SAMPLES[0].answer.capitalize(), SAMPLES[1].answer.capitalize()}
    tokens = [checkpoint.tokenizer.convert_tokens_to_ids(word) for word in words]
    checkpoint.model.generation_config.suppress_tokens = tokens


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        (a_layer_with_noise, {"fast-path", "empty-knockout"}),
        (padding_that_counts, {"batch-parity"}),
        (attention_that_nothing_reads, {"mask-takes-effect"}),
        (text_that_carries_the_image, {"image-positions"}),
        (generation_that_suppresses_the_answer, {"answer-tokens"}),
    ],
)
def test_a_fault_is_named(
    checkpoint: LoadedCheckpoint, fault: Callable[[LoadedCheckpoint], None], names: set[str]
) -> None:
    fault(checkpoint)
    assert names <= failed(checkpoint)


def test_a_failed_check_gives_its_likely_cause(checkpoint: LoadedCheckpoint) -> None:
    generation_that_suppresses_the_answer(checkpoint)
    (check,) = [check for check in self_test(checkpoint, SAMPLES) if not check["passed"]]
    assert "is generated; likely cause: a generation_config.json" in str(check["detail"])


def test_without_samples_there_is_nothing_to_check(whole: LoadedCheckpoint) -> None:
    assert self_test(whole, []) == []
