"""Answers of several tokens on every family: a clean pass that goes on is that of the whole."""

from __future__ import annotations

import pytest
import torch
from families import FAMILIES
from torch import nn

from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.clean import PER_TOKEN, clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.extending import extended
from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.interventions.suffixes import knockout_logits
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role

# Of names of arguments that transformers no longer uses.
pytestmark = pytest.mark.filterwarnings("error::FutureWarning")


@pytest.mark.parametrize("family", FAMILIES)
def test_an_extended_pass_and_its_knockouts_are_as_by_definition(
    family_checkpoint, photo_sample, family
):
    checkpoint = family_checkpoint(family)
    encoded = encode(photo_sample(), checkpoint)
    inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
    answer = encoded.input_ids[resolve_roles(encoded, checkpoint)[Role.QUESTION][:2],]
    # PaliGemma's prompt sees itself in both directions, and not the answer, which is of type 1.
    kind = int(family == "paligemma")
    longer = {
        name: nn.functional.pad(value, (0, len(answer)), value=kind) if name in PER_TOKEN else value
        for name, value in inputs.items()
    } | {"input_ids": torch.cat([inputs["input_ids"], answer[None]], dim=1)}
    (clean,) = clean_passes(checkpoint, [inputs])
    got = extended(checkpoint, clean, answer.tolist())
    (expected,) = clean_passes(checkpoint, [longer])
    assert torch.equal(got.positions, expected.positions)
    assert all(map(torch.equal, got.visible, expected.visible))
    torch.testing.assert_close(
        got.logits.softmax(-1), expected.logits.softmax(-1), rtol=1e-5, atol=1e-9
    )
    roles = resolve_roles(encoded, checkpoint)
    current = tuple(range(clean.length - 1, got.length))
    knockouts = [
        Knockout(sources=sources, targets=targets, layers=range(first, first + 2))
        for sources, targets in ((roles[Role.IMAGE], current), (roles[Role.QUESTION], current))
        for first in (0, 1)
    ]
    fast = knockout_logits(checkpoint, got, knockouts)
    for knockout, logits in zip(knockouts, fast, strict=True):
        slow = definition_logits(checkpoint, longer, knockout)
        torch.testing.assert_close(logits.softmax(-1), slow.softmax(-1), rtol=1e-5, atol=1e-9)
