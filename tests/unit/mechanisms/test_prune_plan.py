"""Which layers are shown to be safe, and which plans that makes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.pruned import Generated, PlanAnswers
from mmflow_bench.measurements.removal import RemovalTable, Removed
from mmflow_bench.mechanisms.prune_plan import (
    NONE_SAFE,
    PrunePlan,
    finding_of,
    outcome_of,
    plans_of,
    steps_of,
)
from mmflow_bench.mechanisms.removal import RemovalCurve
from mmflow_bench.reports.prune_table import render_prune_plan

IMAGE, UNRELATED = Removed.IMAGE, Removed.UNRELATED


def steps(*wrong: int, removed: Removed = IMAGE, count: int = 200, margin: float = 0.02):
    """So many of `count` samples wrong at layers 5, 10, ... 35 of 40."""
    place = np.arange(count)[:, None]
    right = np.column_stack([place >= np.array(wrong), np.ones(count, bool)]).astype(bool)
    names = tuple(map(str, range(count)))
    cost = np.broadcast_to(np.linspace(0.3, 1.0, 8), right.shape)
    table = RemovalTable(
        task="ChooseAttr",
        removed=removed,
        depth=40,
        question_ids=names,
        image_ids=names,
        is_followed=right[:, -1],
        is_correct=right,
        probability=np.where(right, 0.9, 0.1),
        operations=cost,
        cache_bytes=cost,
    )
    return steps_of(RemovalCurve(tables=[table], alpha=0.05, margin=margin))


def safe(found):
    return [step.layer for step in found if step.is_safe]


def test_layers_are_safe_down_to_the_first_that_is_not_shown_to_be():
    found = steps(90, 0, 0, 60, 0, 0, 0)
    assert [step.layer for step in found] == [35, 30, 25, 20, 15, 10, 5]
    assert safe(found) == [35, 30, 25]
    reasons = {step.layer: step.reason for step in found}
    assert reasons[25] == ""
    assert reasons[20].startswith("loses up to 3")
    assert reasons[15] == "a later layer is not shown to be safe"


def test_few_images_show_nothing_and_say_how_many_it_takes():
    found = steps(0, 0, 0, 0, 0, 0, 0, count=100)
    assert safe(found) == []
    assert "needs about 149 images" in found[0].reason
    assert safe(steps(0, 0, 0, 0, 0, 0, 0, count=100, margin=0.05))[-1] == 5


@pytest.mark.parametrize(
    ("image", "unrelated", "expected"),
    [
        (
            (90, 90, 90, 0, 0, 0, 0),
            (90, 0, 0, 0, 0, 0, 0),
            [{IMAGE: 20}, {UNRELATED: 10, IMAGE: 20}],
        ),
        ((90, 90, 90, 0, 0, 0, 0), (90, 90, 90, 0, 0, 0, 0), [{IMAGE: 20}]),
        ((90, 90, 90, 0, 0, 0, 0), (90, 90, 90, 90, 90, 0, 0), [{IMAGE: 20}]),
        ((90, 90, 90, 90, 90, 90, 90), (0, 0, 0, 0, 0, 0, 0), []),
    ],
)
def test_what_is_not_related_goes_earlier_where_it_can(image, unrelated, expected):
    plans = plans_of([*steps(*image), *steps(*unrelated, removed=UNRELATED)])
    assert list(plans) == expected
    assert (finding_of(plans) == NONE_SAFE) is (not expected)


def test_without_related_patches_there_is_one_plan():
    assert list(plans_of(steps(90, 90, 90, 0, 0, 0, 0))) == [{IMAGE: 20}]


def answers(wrong: int, count: int = 200) -> PlanAnswers:
    def one(i: int, seconds: float) -> Generated:
        return Generated(
            prediction="red",
            is_correct=i >= wrong if seconds < 1 else True,
            seconds=seconds,
            operations=int(1e12 * seconds),
            cache_bytes=int(1e6 * seconds),
        )

    samples = tuple(
        Sample(
            question_id=str(i), task="t", question="?", answer="red", image_id=str(i), image=None
        )
        for i in range(count)
    )
    return PlanAnswers(
        layers={IMAGE: 20},
        samples=samples,
        before=tuple(one(i, 1.0) for i in range(count)),
        after=tuple(one(i, 0.6) for i in range(count)),
        unscored={"no-image": 2},
    )


@pytest.mark.parametrize(
    ("wrong", "count", "verdict"), [(0, 200, "holds"), (60, 200, "fails"), (0, 20, "inconclusive")]
)
def test_a_plan_is_judged_on_images_that_it_was_not_made_of(wrong, count, verdict):
    outcome = outcome_of(answers(wrong, count), margin=0.02, alpha=0.05)
    assert outcome.verdict == verdict
    assert outcome.lost == pytest.approx(wrong / count)
    assert (outcome.before.seconds, outcome.after.seconds) == (1.0, 0.6)
    assert outcome.layers == {"image": 20}
    # The table says the same in words, and JSON has no number that is none.
    found = PrunePlan(
        checkpoint="mine[red]",
        decoder_layers=40,
        device="cpu",
        margin=0.02,
        alpha=0.05,
        repeats=1,
        samples=200,
        images=200,
        steps=steps(0, 0, 0, 0, 0, 0, 0),
        finding="the image can go",
        outcomes=(outcome,),
    )
    json.dumps(found.as_json(), allow_nan=False)
    text = render_prune_plan(found, width=100)
    assert "mine[red]" in text
    assert f"on these too: {verdict}" in text
    assert "left out: no-image 2" in text
    (saved,) = (line for line in text.splitlines() if line.strip().startswith("saved"))
    assert saved.split() == ["saved", "40.0%", "40.0%", "40.0%"]


def test_a_plan_that_no_sample_could_follow_has_no_outcome():
    assert outcome_of(answers(0, 0), margin=0.02, alpha=0.05) is None


def test_one_image_has_no_bound():
    outcome = outcome_of(answers(0, 1), margin=0.02, alpha=0.05)
    assert (outcome.at_most, outcome.verdict) == (None, "inconclusive")
    json.dumps(outcome.reason, allow_nan=False)
