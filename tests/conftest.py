"""Tiny checkpoints with random weights, built in code, for every test that needs a model.

And shape checking: what the annotations say of axes is enforced in the test run, and only there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import jaxtyping
import pytest
import torch
from jaxtyping import install_import_hook, jaxtyped
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MistralConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

# The records that options are made of name no axes, and beartype cannot check all of their types.
import mmflow_bench.plugin.options  # noqa: F401

# One by one, not `mmflow_bench`: the plugin is imported before this file and cannot be checked.
SHAPE_CHECKED = (
    "mmflow_bench.checkpoints",
    "mmflow_bench.inputs",
    "mmflow_bench.interventions",
    "mmflow_bench.measurements",
    "mmflow_bench.positions.sinks",
    "mmflow_bench.statistics",
    # Not mechanisms.flow: its protocol can be checked only by asking for every property.
    "mmflow_bench.mechanisms.blind",
    "mmflow_bench.mechanisms.curves",
    "mmflow_bench.mechanisms.cutting",
    "mmflow_bench.mechanisms.estimates",
    "mmflow_bench.mechanisms.evidence",
    "mmflow_bench.mechanisms.heads",
    "mmflow_bench.mechanisms.lens",
    "mmflow_bench.mechanisms.likeness",
    "mmflow_bench.mechanisms.means",
    "mmflow_bench.mechanisms.module_loss",
    "mmflow_bench.mechanisms.nulls",
    "mmflow_bench.mechanisms.patches",
    "mmflow_bench.mechanisms.patching",
    "mmflow_bench.mechanisms.places",
    "mmflow_bench.mechanisms.regions",
    "mmflow_bench.mechanisms.removal",
    "mmflow_bench.runs.curves",
    "mmflow_bench.baselines.paired_values",
    "mmflow_bench.baselines.row_values",
    "mmflow_bench.reports.glance.paths",
    "mmflow_bench.interactive.curves",
    "mmflow_bench.reports.html.figures",
    "mmflow_bench.reports.html.removal_figures",
)
TYPECHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
"""The tower: to a type checker an int is a float, and suites write `estimate <= 0`."""


def _checked(*, typechecker: Callable[..., Any]) -> Callable[[Any], Any]:
    """Check what modules and classes define; checks of what a call defines would be compiled
    whenever it is called, which took a third of the time of tests that measure."""
    return lambda one: (
        one if "<locals>" in one.__qualname__ else jaxtyped(one, typechecker=typechecker)
    )


# The name that the hook writes in front of every definition.
jaxtyping.jaxtyped = _checked
install_import_hook(SHAPE_CHECKED, TYPECHECKER)

# One worker for each core: a second thread of either would only wait for the core of the other.
# Workers, and the runs that tests start, inherit it before they import numpy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)

# Runs within a test forget the modules that they were the first to import, and beartype goes on
# asking for the classes of those.
for module in SHAPE_CHECKED:
    import_module(module)

from mmflow_bench.checkpoints.parts import Parts, parts_of  # noqa: E402

LAYERS = 10
VOCABULARY = 99
IMAGE_TOKEN = 98
PATCHES = 16
PROMPT = 3
SLIDING_WINDOW = 9


@dataclass(frozen=True)
class TinyCheckpoint:
    model: PreTrainedModel
    parts: Parts


def _text_config(kind: str) -> PretrainedConfig:
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": VOCABULARY,
        "pad_token_id": 0,
    }
    gemma = {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": SLIDING_WINDOW}
    builders: dict[str, Callable[[], PretrainedConfig]] = {
        "llama": lambda: LlamaConfig(**(shape | {"num_key_value_heads": 4})),
        "llama-grouped": lambda: LlamaConfig(**shape),
        "mistral": lambda: MistralConfig(**shape, sliding_window=SLIDING_WINDOW),
        "qwen2": lambda: Qwen2Config(**shape),
        "qwen3": lambda: Qwen3Config(**shape, head_dim=8),
        "gemma2": lambda: Gemma2Config(
            **shape, **gemma, attn_logit_softcapping=5.0, final_logit_softcapping=1.0
        ),
        "gemma3": lambda: Gemma3TextConfig(
            **shape,
            **gemma,
            layer_types=(["sliding_attention"] * 2 + ["full_attention"]) * 3
            + ["sliding_attention"],
        ),
    }
    return builders[kind]()


TEXT_ONLY = {"llama": LlamaForCausalLM, "gemma2": Gemma2ForCausalLM, "gemma3": Gemma3ForCausalLM}


@cache
def _build(kind: str, has_image: bool, attention: str) -> TinyCheckpoint:
    torch.manual_seed(0)
    config = _text_config(kind)
    if has_image:
        vision = CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=16,
            patch_size=4,
        )
        config = LlavaConfig(
            vision_config=vision,
            text_config=config,
            image_token_id=IMAGE_TOKEN,
            attn_implementation=attention,
        )
        model: PreTrainedModel = LlavaForConditionalGeneration(config)
    else:
        config._attn_implementation = attention
        model = TEXT_ONLY[kind](config)
    model.eval()
    with torch.no_grad():
        # As initialised, attention is all but uniform and no knockout moves anything.
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6.0)
    return TinyCheckpoint(model=model, parts=parts_of(model))


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Callable[..., TinyCheckpoint]:
    """`tiny_checkpoint(kind, has_image=True, attention="eager")`, built once each."""

    def build(kind: str, *, has_image: bool = True, attention: str = "eager") -> TinyCheckpoint:
        return _build(kind, has_image, attention)

    return build


@dataclass(frozen=True)
class TinySample:
    inputs: dict[str, Tensor]
    image: tuple[int, ...]
    question: tuple[int, ...]
    last: tuple[int, ...]

    def edges(self) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        related = self.image[5:9]
        other = tuple(position for position in self.image if position not in related)
        return {
            "question->last": (self.question, self.last),
            "image->last": (self.image, self.last),
            "last->last": (self.last, self.last),
            "image->question": (self.image, self.question),
            "related_patches->question": (related, self.question),
            "other_patches->question": (other, self.question),
        }


@pytest.fixture(scope="session")
def tiny_sample() -> Callable[..., TinySample]:
    """`tiny_sample(seed, question=5, has_image=True, text_seed=None)`: random, positions known."""

    def build(
        seed: int, *, question: int = 5, has_image: bool = True, text_seed: int | None = None
    ) -> TinySample:
        words = torch.Generator().manual_seed(seed if text_seed is None else text_seed)
        length = PROMPT + PATCHES + question + 4
        tokens = torch.randint(3, 90, (1, length), generator=words)
        if not has_image:
            # Words stand where patches would, and differ with `seed` as patches do.
            own = torch.Generator().manual_seed(seed)
            patches = torch.randint(3, 90, (1, PATCHES), generator=own)
        else:
            patches = torch.full((1, PATCHES), IMAGE_TOKEN)
        tokens[:, PROMPT : PROMPT + PATCHES] = patches
        inputs = {"input_ids": tokens}
        if has_image:
            pixels = torch.Generator().manual_seed(seed)
            inputs["pixel_values"] = torch.randn(1, 3, 16, 16, generator=pixels)
        first = PROMPT + PATCHES
        return TinySample(
            inputs=inputs,
            image=tuple(range(PROMPT, first)),
            question=tuple(range(first, first + question)),
            last=(length - 1,),
        )

    return build
