"""Numbers that overflow are counted with their reason, and never become a number of a table."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, assemble_checkpoint, load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import CheckpointError
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.interventions.selfcheck import prove_exact
from mmflow_bench.measurements.blind import Blind, Blinding
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.memory import Throttle
from mmflow_bench.measurements.self_test import self_test
from mmflow_bench.measurements.wants import ANSWER_SCOPE, UNSCORED
from mmflow_bench.scenes.questions import scene_samples

SAMPLES = list(
    {one.image_id: one for one in scene_samples(per_task=8, tasks=["ChooseAttr"])}.values()
)[:2]
"""Of two images."""
SWEEPS = tuple(
    Sweep.of(edge, width=1, method=method)
    for edge in ("question->last", "image->question")
    for method in (Method.MASKED, Method.COUNTERFACTUAL)
)
WANTS = (*SWEEPS, Lens(probe="answer", variant="raw"), *(Blind(blinding=way) for way in Blinding))


@pytest.fixture(scope="module")
def whole() -> LoadedCheckpoint:
    return load_checkpoint(resolve_checkpoint("planted/mini"))


@pytest.fixture
def damaged(whole: LoadedCheckpoint) -> Callable[..., LoadedCheckpoint]:
    """A copy of the checkpoint to which a function has been done, in a precision of its own."""

    def make(
        damage: Callable[[Any], object], dtype: torch.dtype = torch.float32
    ) -> LoadedCheckpoint:
        model = copy.deepcopy(whole.model)
        with torch.no_grad():
            damage(model)
        model = model.to(dtype)
        return assemble_checkpoint(model, whole.processor, spec=whole.spec, identity="0" * 64)

    return make


def overflowing(model: Any) -> None:
    """Image features that half precision cannot hold once they are squared."""
    for parameter in model.model.multi_modal_projector.parameters():
        parameter.mul_(1e3)


def one_weight_is_nan(model: Any) -> None:
    model.model.multi_modal_projector.linear_2.weight[0, 0] = math.nan


def words_are_nan(model: Any) -> None:
    model.get_input_embeddings().weight.fill_(math.nan)


def knockouts_overflow(model: Any) -> None:
    """Every row of a pass but the first, which is the clean one."""

    def spoil(_: Any, __: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        hidden[1:] = math.inf
        return output

    model.model.language_model.layers[-1].register_forward_hook(spoil)


def checks_of(checkpoint: LoadedCheckpoint) -> Mapping[str, str]:
    """Failed check -> what it says."""
    checks = self_test(checkpoint, SAMPLES)
    return {str(one["name"]): str(one["detail"]) for one in checks if not one["passed"]}


@pytest.mark.parametrize(
    ("damage", "dtype"),
    [(overflowing, torch.float16), (one_weight_is_nan, torch.float32)],
)
def test_the_self_test_fails_where_a_clean_pass_overflows(damaged, damage, dtype):
    failed = checks_of(damaged(damage, dtype))
    assert {"fast-path", "empty-knockout", "batch-parity", "answer-tokens"} <= failed.keys()
    assert all("finite logits, got NaN or infinity (" in said for said in failed.values())


def test_the_self_test_fails_where_only_knockouts_overflow(damaged):
    failed = checks_of(damaged(knockouts_overflow))
    assert {"fast-path", "empty-knockout", "mask-takes-effect"} <= failed.keys()
    assert all("finite logits" in said for said in failed.values())


def test_what_overflows_without_an_image_is_refused_when_it_is_loaded(damaged):
    with pytest.raises(CheckpointError, match=r"finite logits, got NaN or infinity \(the unembed"):
        prove_exact(damaged(words_are_nan))


def measured(checkpoint: LoadedCheckpoint) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Sample -> shard -> rows, of which none has a number that is none."""
    first, second = SAMPLES
    jobs = [
        Job(sample=one, key=key, wants=WANTS, keep_incorrect=True, donor=other, donor_key=key)
        for key, one, other in (("a", first, second), ("b", second, first))
    ]
    found = {one.key: one.rows for one in measure(checkpoint, jobs)}
    values = [
        value
        for rows in found.values()
        for of_shard in rows.values()
        for row in of_shard
        for value in row.values()
    ]
    assert all(math.isfinite(value) for value in values if isinstance(value, float))
    return {
        key: {shard.name: list(of_shard) for shard, of_shard in rows.items()}
        for key, rows in found.items()
    }


def lost_of(rows: Mapping[str, list[dict[str, Any]]]) -> dict[str, str]:
    """What was not measured, and why."""
    return {str(row["scope"]): str(row["reason"]) for row in rows.get(UNSCORED.name, [])}


def test_a_sample_whose_answer_overflows_has_one_row_that_says_so(damaged):
    for rows in measured(damaged(overflowing, torch.float16)).values():
        assert lost_of(rows) == {ANSWER_SCOPE: "not-finite"}
        assert rows.keys() == {UNSCORED.name}


def test_edges_that_overflow_are_left_out_one_by_one(whole, monkeypatch):
    real = Throttle.knockout_logits

    def spoiled(self, clean, knockouts, **how):
        kept = real(self, clean, knockouts, **how).clone()
        # One layer of the last edge of a method, and of no other; a knockout of no edge may follow.
        edges = len(knockouts) // whole.decoder_layers
        if edges > 1:
            kept[edges * whole.decoder_layers - 1, 0] = math.nan
        return kept

    monkeypatch.setattr(Throttle, "knockout_logits", spoiled)
    for rows in measured(whole).values():
        lost = lost_of(rows)
        assert set(lost.values()) == {"not-finite"}
        assert len(lost) == 2
        for want in WANTS:
            assert (want.shard.name in rows) != (want.shard.name in lost), want


def test_a_lens_that_overflows_is_left_out_and_the_rest_is_kept(damaged):
    def spoil(_: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = args[0].clone()
        # The lens asks of all depths at once, the model of the last position alone.
        if hidden.dim() == 2:
            hidden[0] = math.inf
        return (hidden,)

    checkpoint = damaged(lambda model: model.lm_head.register_forward_pre_hook(spoil))
    for rows in measured(checkpoint).values():
        assert lost_of(rows) == {"lens": "not-finite"}
        assert {sweep.shard.name for sweep in SWEEPS} <= rows.keys()


def mark_of(features: Tensor) -> float:
    """Another number for another image."""
    flat = features.double().flatten()
    return float(flat @ torch.arange(len(flat), dtype=torch.float64))


def test_an_image_that_overflows_spoils_no_other(damaged):
    """As a counterfactual donor it is refused, and its own sample has no answer."""
    marks: list[float] = []

    def see(_: Any, __: Any, output: Tensor) -> None:
        marks.append(mark_of(output))

    def spoil(_: Any, __: Any, output: Tensor) -> Tensor:
        return output * math.nan if mark_of(output) == marks[0] else output

    def hooked(hook: Callable[..., Any]) -> LoadedCheckpoint:
        return damaged(lambda model: model.model.multi_modal_projector.register_forward_hook(hook))

    measured(hooked(see))
    one, other = sorted(measured(hooked(spoil)).values(), key=len)
    assert lost_of(one) == {ANSWER_SCOPE: "not-finite"}
    assert set(lost_of(other).values()) == {"not-finite"}
    assert set(lost_of(other)) == {
        *(sweep.shard.name for sweep in SWEEPS if sweep.method is Method.COUNTERFACTUAL),
        "blind.exchanged",
    }
