"""Images that are not plain causal patches: several tiles, or patches that see each other."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from transformers import (
    CLIPVisionConfig,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    MistralConfig,
    PreTrainedModel,
    SiglipVisionConfig,
)

from mmflow_bench.checkpoints.parts import Parts, parts_of
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout, Method
from mmflow_bench.interventions.selfcheck import prove_exact
from mmflow_bench.interventions.suffixes import knockout_logits

IMAGE_TOKEN = 98
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 99,
    "head_dim": 8,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 4,
}


@dataclass(frozen=True)
class Loaded:
    model: PreTrainedModel
    parts: Parts


def _loaded(model):
    model.eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6.0)
    return Loaded(model=model, parts=parts_of(model))


def _tiled():
    """LLaVA-NeXT: a base view and two tiles of a wide image, with newline positions."""
    torch.manual_seed(0)
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(**VISION),
        text_config=MistralConfig(**TEXT, sliding_window=None),
        image_token_id=IMAGE_TOKEN,
        image_grid_pinpoints=[[32, 16], [16, 32]],
    )
    checkpoint = _loaded(LlavaNextForConditionalGeneration(config))
    image = {
        "pixel_values": torch.randn(1, 3, 3, 16, 16),
        "image_sizes": torch.tensor([[16, 32]]),
    }
    return checkpoint, image, 16 + 4 * 8 + 4


def _bidirectional():
    """Gemma 3: patches of one image see each other, earlier and later."""
    torch.manual_seed(0)
    config = Gemma3Config(
        text_config=Gemma3TextConfig(**TEXT, sliding_window=9, query_pre_attn_scalar=8),
        vision_config=SiglipVisionConfig(**VISION),
        image_token_index=IMAGE_TOKEN,
        mm_tokens_per_image=16,
    )
    model = Gemma3ForConditionalGeneration(config)
    with torch.no_grad():
        model.model.multi_modal_projector.mm_input_projection_weight.normal_()
    return _loaded(model), {"pixel_values": torch.randn(1, 3, 16, 16)}, 16


@pytest.mark.parametrize("build", [_tiled, _bidirectional])
@pytest.mark.parametrize("method", [Method.MASKED, Method.UNNORMALISED])
def test_fast_path_equals_definition(build, method):
    checkpoint, image, patches = build()
    prove_exact(checkpoint)
    tokens = torch.randint(3, 90, (1, 3 + patches + 9))
    tokens[0, 3 : 3 + patches] = IMAGE_TOKEN
    inputs = {"input_ids": tokens, **image}
    if build is _bidirectional:
        inputs["token_type_ids"] = (tokens == IMAGE_TOKEN).long()
    positions = tuple(range(3, 3 + patches))
    question, last = tuple(range(3 + patches, 7 + patches)), (tokens.shape[1] - 1,)
    edges = [(question, last), (positions, question), (positions[2:5], positions[6:])]
    knockouts = [
        Knockout(sources=sources, targets=targets, layers=range(first, first + 2))
        for sources, targets in edges
        for first in (0, 2, 4)
    ]
    clean = clean_passes(checkpoint, [inputs])[0]
    fast = knockout_logits(checkpoint, clean, knockouts, method=method)
    for knockout, logits in zip(knockouts, fast, strict=True):
        slow = definition_logits(checkpoint, inputs, knockout, method=method)
        torch.testing.assert_close(logits.softmax(-1), slow.softmax(-1), rtol=1e-5, atol=1e-9)
    assert (fast - clean.logits).abs().max() > 0.1
