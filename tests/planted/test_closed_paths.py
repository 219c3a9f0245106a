"""Cuts of several edges, heads and patched states do what the design predicts, to 0.01 points."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.errors import KnockoutError
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.interventions.stretches import Stretch
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.planted import closed_form, closed_paths, models
from mmflow_bench.planted.gains import RIVALS
from mmflow_bench.planted.variants import design_of

TASK = "ChooseAttr"
BLIND = 1 / (RIVALS + 1)
ALL = range(40)
MID, LOW = range(14, 31), range(21)
MIDDLE = range(10, 35)
TOLERANCE = 1e-4


@cache
def flow(name: str, task: str = TASK, limit: str = "2") -> Flow:
    settings: dict[str, Any] = {"limit": limit, "tasks": (task,), "self_test": False}
    return Flow(
        Measurements.open(resolve_checkpoint(f"planted/{name}"), MeasurementSettings(**settings))
    )


def outside(layers: range) -> list[int]:
    return sorted({*ALL} - {*layers})


CLAIMED = (
    "image -> prefix+suffix+last",
    Stretch.of("image -> question", outside=(0, 0.52)),
    Stretch.of("question -> suffix+last", outside=(0.25, 0.85)),
    Stretch.of("suffix -> last", outside=(0.25, 0.85)),
)
CLAIMED_BY_DESIGN = [
    ("image->last", ALL),
    ("image->after_image", ALL),
    ("image->question", outside(LOW)),
    ("question->last", outside(MIDDLE)),
    ("question->suffix", outside(MIDDLE)),
    ("suffix->last", outside(MIDDLE)),
]
CLOSED = ("image -> question+suffix+last",)
CLOSED_BY_DESIGN = [("image->question", ALL), ("image->last", ALL)]


@pytest.mark.parametrize("task", [TASK, *SIX_TASKS[3:]])
@pytest.mark.parametrize(
    ("cuts", "by_design"), [(CLAIMED, CLAIMED_BY_DESIGN), (CLOSED, CLOSED_BY_DESIGN)]
)
def test_every_task_of_the_base_keeps_what_it_should(task: str, cuts: Any, by_design: Any) -> None:
    measured = flow("base", task).cut(task, *cuts).table
    expected = closed_paths.probability("planted/base", by_design, task=task)
    np.testing.assert_allclose(measured.knockout_probability, expected, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("direct", "early-question-last", "suffix-readout", "suffix-bypass", "late-stage-2"),
        *("no-stage-1", "no-stage-2", "narrow-gate", "shared-heads", "prune-unsafe"),
    ],
)
@pytest.mark.parametrize(
    ("cuts", "by_design"), [(CLAIMED, CLAIMED_BY_DESIGN), (CLOSED, CLOSED_BY_DESIGN)]
)
def test_variants_keep_what_their_design_says(name: str, cuts: Any, by_design: Any) -> None:
    measured = flow(name).cut(TASK, *cuts).table
    expected = closed_paths.probability(f"planted/{name}", by_design)
    np.testing.assert_allclose(measured.knockout_probability, expected, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["base", "narrow-gate", "no-stage-1", "order-reversed"])
def test_faithfulness_is_the_share_of_the_logit_that_is_left(name: str) -> None:
    asked = flow(name)
    found = asked.cut(TASK, *CLAIMED).faithfulness(asked.cut(TASK, "image -> text"))
    kept = closed_paths.probability(f"planted/{name}", CLAIMED_BY_DESIGN)
    whole = closed_form.base_probability(f"planted/{name}")
    logits = [np.log(RIVALS * p / (1 - p)) for p in (kept, whole)]
    assert found.value == pytest.approx(logits[0] / logits[1], abs=TOLERANCE)
    if name == "base":
        assert found.value == pytest.approx(1.0, abs=TOLERANCE)


def test_the_image_that_no_text_sees_is_none() -> None:
    for name in ("base", "narrow-gate", "mixed-image"):
        blind = flow(name).cut(TASK, "image -> text")
        assert blind.probability.value == pytest.approx(BLIND, abs=TOLERANCE)
        assert not blind.table.is_likeliest.any()


@pytest.mark.parametrize(
    ("name", "left"),
    [("base", 1.0), ("narrow-gate", 0.0), ("no-stage-1", None), ("no-stage-2", None)],
)
def test_what_passes_the_position_after_the_image(name: str, left: float | None) -> None:
    measured = flow(name).cut(TASK, "after_image -> following").table.knockout_probability
    expected = closed_paths.probability(f"planted/{name}", [("after_image->question", ALL)])
    np.testing.assert_allclose(measured, expected, atol=TOLERANCE)
    if left is not None:
        clean = closed_form.base_probability(f"planted/{name}")
        assert expected == pytest.approx(BLIND + left * (clean - BLIND), abs=TOLERANCE)


@pytest.mark.parametrize("name", ["tiled", "row-ends"])
def test_what_passes_the_ends_of_rows(name: str) -> None:
    measured = flow(name).cut(TASK, "newline -> text").table.knockout_probability
    expected = closed_paths.probability(f"planted/{name}", [("newline->text", ALL)])
    np.testing.assert_allclose(measured, expected, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["base", "mixed-image"])
@pytest.mark.parametrize("layers", [range(9), MID, range(31, 40)])
def test_what_patches_read_of_each_other(name: str, layers: range) -> None:
    band = (layers[0] / 40, layers[-1] / 40)
    for edge in ("image->image", "other_patches->related_patches"):
        cut = Stretch.of(edge, within=band, spares_self=True)
        measured = flow(name).cut(TASK, cut).table.knockout_probability
        expected = closed_paths.probability(f"planted/{name}", [(edge, layers)])
        np.testing.assert_allclose(measured, expected, atol=TOLERANCE, err_msg=edge)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "number"), [("read_context", 2), ("share_context", 4)])
def test_heads_carry_what_they_should(
    monkeypatch: pytest.MonkeyPatch, stage: str, number: int
) -> None:
    mini = design_of("planted/mini")
    design = replace(mini, stages=(stage, *mini.stages[1:]))
    monkeypatch.setattr(models, "design_of", lambda _: design)
    # As many observations in each half of the images as there are heads, or more.
    heads = flow.__wrapped__("mini", TASK, "6").heads("image -> question", TASK)
    expected = closed_paths.head_effects(
        "planted/shared-heads" if stage == "share_context" else "planted/mini"
    )
    found = np.sort(heads.effects.ravel())[::-1]
    np.testing.assert_allclose(found[: len(expected)], expected, atol=TOLERANCE)
    np.testing.assert_allclose(found[len(expected) :], 0, atol=TOLERANCE)
    assert heads.number_for(0.8).value == number
    where = np.argwhere(heads.effects > 0.1)[:, 0].tolist()
    assert where == [design.context_layer] * (len(expected) - 1) + [design.lookup_layer]


@pytest.mark.parametrize("name", ["base", "late-image"])
@pytest.mark.parametrize(("late", "early"), [(0.5, 0.1), (0.75, 0.25), (0.3, 0.1)])
def test_patched_states_say_what_they_have_become(name: str, late: float, early: float) -> None:
    table = flow(name).backpatch(TASK, late=late, early=early).table
    expected = closed_paths.patched_probability(
        f"planted/{name}", late=int(40 * late), early=int(40 * early)
    )
    rest = 1 - table.patched_probability
    # What is followed is the reference in either case: the word in lower case has logit 0.
    other = (1 - expected) / RIVALS
    np.testing.assert_allclose(rest, (RIVALS - 1) * other, atol=TOLERANCE)
    assert table.is_correct.all()
    assert table.is_patched_correct.all()


@pytest.mark.slow
def test_states_that_have_come_to_mislead_lose_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    misleading = replace(design_of("planted/late-image"), ripe_gain=-1.0)
    monkeypatch.setattr(models, "design_of", lambda _: misleading)
    asked = flow.__wrapped__("late-image")
    patched = asked.backpatch(TASK, late=0.5, early=0.1)
    assert patched.accuracy_gain.value == -1.0
    assert patched.probability_gain.value < -0.9
    assert asked.backpatch(TASK, late=0.75, early=0.25).accuracy_gain.value == 0.0


def test_an_edge_that_no_route_takes_has_no_closed_form() -> None:
    with pytest.raises(KnockoutError, match="an edge with a closed form"):
        closed_paths.probability("planted/base", [("prefix->question", ALL)])
