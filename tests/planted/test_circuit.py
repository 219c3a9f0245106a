"""Single instructions of the circuit, run in a decoder of one layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaModel

from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.residual import BIAS_VALUE, WIDTH, dimension, total


@pytest.fixture
def decoder() -> LlamaModel:
    config = LlamaConfig(
        vocab_size=3,
        hidden_size=WIDTH,
        intermediate_size=2,
        num_hidden_layers=1,
        num_attention_heads=2,
        head_dim=32,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    )
    return LlamaModel(config).eval()


def states(*tokens: dict[str, float]) -> Tensor:
    """A first token and the given ones, each named fact in its first dimension."""
    result = torch.zeros(1, len(tokens) + 1, WIDTH)
    result[..., dimension("bias")] = BIAS_VALUE
    result[0, 0, dimension("begin")] = 1.0
    for position, facts in enumerate(tokens, start=1):
        for name, value in facts.items():
            result[0, position, dimension(name)] = value
    return result


@torch.inference_mode()
def run(decoder: LlamaModel, inputs: Tensor) -> Tensor:
    return decoder(inputs_embeds=inputs).last_hidden_state[0]


def test_a_head_copies_the_mean_of_what_matches(decoder: LlamaModel) -> None:
    copy = [(dimension("first_seen"), dimension("lower"), 3.0)]
    Circuit(decoder).head(0, match=[(total("last"), total("question"))], copy=copy)
    inputs = states(
        {"question": 1, "first_seen": 1}, {"question": 1}, {"first_seen": 1}, {"last": 1}
    )
    assert run(decoder, inputs)[-1, dimension("lower")].item() == pytest.approx(1.5, abs=1e-5)


def test_a_head_without_a_match_copies_nothing(decoder: LlamaModel) -> None:
    copy = [(dimension("first_seen"), dimension("lower"), 3.0)]
    Circuit(decoder).head(0, match=[(total("last"), total("question"))], copy=copy)
    after = run(decoder, states({"first_seen": 1}, {"last": 1}))
    assert after[-1, dimension("lower")].abs().item() < 1e-6


def test_a_head_that_needs_two_matches_ignores_half_of_them(decoder: LlamaModel) -> None:
    pairs = [(total("last"), total("question")), (total("last"), total("separator"))]
    copy = [(dimension("first_seen"), dimension("lower"), 1.0)]
    Circuit(decoder).head(0, match=pairs, copy=copy, needed=2.0)
    half = run(decoder, states({"question": 1, "first_seen": 1}, {"last": 1}))
    both = run(decoder, states({"question": 1, "separator": 1, "first_seen": 1}, {"last": 1}))
    assert half[-1, dimension("lower")].abs().item() < 1e-6
    assert both[-1, dimension("lower")].item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("facts", "expected"), [(0, 0.0), (1, 0.0), (2, 5.0)])
def test_a_condition_adds_only_what_exceeds_its_threshold(
    decoder: LlamaModel, facts: int, expected: float
) -> None:
    condition = total("question", "separator")
    Circuit(decoder).when(0, condition, 1.0, {dimension("decision"): 5.0})
    token = dict(list({"question": 1.0, "separator": 1.0}.items())[:facts])
    after = run(decoder, states(token))
    assert after[-1, dimension("decision")].item() == pytest.approx(expected, abs=1e-4)


def test_a_move_takes_away_what_it_adds_where_the_flag_is_set(decoder: LlamaModel) -> None:
    lower, upper = dimension("lower"), dimension("upper")
    circuit = Circuit(decoder)
    circuit.move(0, flag=dimension("last"), source=lower, target=upper, fraction=0.25)
    after = run(decoder, states({"lower": 4}, {"last": 1, "lower": 4}))
    assert after[:, lower].tolist() == pytest.approx([0.0, 4.0, 3.0], abs=1e-4)
    assert after[:, upper].tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-4)


def test_a_layer_without_a_free_head_or_row_is_refused(decoder: LlamaModel) -> None:
    circuit = Circuit(decoder)
    for _ in range(2):
        circuit.head(0, match=[], copy=[])
        circuit.when(0, {}, 0.0, {})
    with pytest.raises(ValueError, match="at most 2 heads"):
        circuit.head(0, match=[], copy=[])
    with pytest.raises(ValueError, match="at most 2 rows"):
        circuit.when(0, {}, 0.0, {})
