"""A sample whose image was seen before has the pass that it would have alone, on every family."""

from __future__ import annotations

import pytest
import torch

from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.measurements.shared_images import SharedImage

GOING_ON = ("gemma3", "idefics3", "internvl", "llava_next", "mistral3", "smolvlm")
WHOLE = ("paligemma", "qwen2_vl", "qwen2_5_vl")
"""The image sees the question, or the model counts rows and columns of all images."""


@pytest.mark.parametrize("family", [*GOING_ON, *WHOLE])
def test_a_pass_that_goes_on_from_the_image_is_that_of_the_whole(
    family_checkpoint, photo_sample, family
):
    checkpoint = family_checkpoint(family)
    encoded = encode(photo_sample(), checkpoint)
    shared = SharedImage(checkpoint)
    (image,) = torch.where(encoded.input_ids == checkpoint.parts.image_token_id)
    for keeps in (set(), {1}, {1}):
        got = shared.clean_pass(encoded, keeps)
        assert (got is None) == (family in WHOLE)
        if got is None:
            continue
        inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
        (expected,) = clean_passes(checkpoint, [inputs], keeps={1})
        for layer in keeps:
            torch.testing.assert_close(got.entering[layer][image], expected.entering[layer][image])
        assert all(map(torch.equal, got.visible, expected.visible))
        torch.testing.assert_close(
            got.logits.softmax(-1), expected.logits.softmax(-1), rtol=1e-4, atol=1e-8
        )
