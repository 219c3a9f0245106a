"""What the question loses without a module: numbers of curves that are known."""

from __future__ import annotations

import numpy as np
import pytest

from mmflow_bench.errors import MechanismError
from mmflow_bench.measurements.question_semantics import QuestionSemantics
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.module_loss import ModuleLoss, TaskLoss
from mmflow_bench.mechanisms.verdicts import Inconclusive, NotApplicable

LAYERS = 20
SHRINKING = np.linspace(0.9, 0.25, LAYERS)


def loss(curve=SHRINKING, *, n=300, spread=0.0, width=5, start=0, tasks=("one", "other")):
    """Samples about a curve, of other images in every task."""
    generator = np.random.default_rng(7)
    return ModuleLoss(
        name="loss without mlp",
        tasks={
            task: TaskLoss(
                [f"{task}{i}" for i in range(start, n)],
                [f"{task}-{i}" for i in range(start, n)],
                np.clip(curve + spread * generator.standard_normal((n, LAYERS)), 0, 1)[start:],
            )
            for task in tasks
        },
        width=width,
        alpha=0.05,
    )


def test_numbers_are_those_of_the_mean_curve():
    lost = loss()
    assert lost.first.value == pytest.approx(0.9)
    assert lost.last.value == pytest.approx(0.25)
    assert lost.area.value == pytest.approx(SHRINKING.mean())
    assert lost.share_above_zero.value == 1
    assert lost.trend.value == pytest.approx(-1)
    assert lost.first.n == 600
    assert lost.first.images == 600
    np.testing.assert_allclose(lost.first.curve, SHRINKING)


def test_verdicts_are_three_way():
    lost = loss(spread=0.05)
    assert (lost.first.within(0.8, 1.0)).verdict == "holds"
    assert (lost.first.within(0.1, 0.3)).verdict == "fails"
    assert (loss(n=2).first.within(0.8, 1.0)).verdict == "inconclusive"
    assert (lost.trend < -0.8).verdict == "holds"
    rising = loss(SHRINKING[::-1])
    assert (rising.trend < -0.8).verdict == "fails"


def test_every_task_counts_the_same():
    one, other = loss(tasks=("one",)), loss(np.zeros(LAYERS), n=30, tasks=("other",))
    both = ModuleLoss(name="", tasks={**one.tasks, **other.tasks}, width=5, alpha=0.05)
    np.testing.assert_allclose(both.means.mean, SHRINKING / 2)


def test_whole_windows_leave_out_those_that_the_decoder_cuts_off():
    # Flat where windows are whole, and less only where they are shorter.
    only_at_the_end = np.where(np.arange(LAYERS) > 15, SHRINKING, 0.6)
    lost = loss(only_at_the_end)
    assert lost.trend.value < 0
    assert np.isnan(lost.trend_of_whole_windows.value)
    assert (lost.trend_of_whole_windows < -0.8).verdict == "fails"
    assert loss().trend_of_whole_windows.value == pytest.approx(-1)
    with pytest.raises(MechanismError, match="got 20"):
        _ = loss(width=20).trend_of_whole_windows


def test_a_difference_is_of_the_samples_of_both():
    lead = loss() - loss(SHRINKING / 2, n=320, start=10)
    assert lead.area.n == 2 * 290
    np.testing.assert_allclose(lead.means.mean, SHRINKING / 2)
    assert (lead.share_above_zero >= 0.9).verdict == "holds"
    assert (lead.area > 0.05).verdict == "holds"
    behind = loss(SHRINKING / 2) - loss()
    assert behind.share_above_zero.value == 0
    assert (behind.share_above_zero >= 0.9).verdict == "fails"
    with pytest.raises(NotApplicable, match="without either module"):
        _ = loss(n=10) - loss(start=200)


def test_a_module_that_changes_nothing_has_no_trend_and_no_lead():
    nothing = loss(np.zeros(LAYERS))
    assert (nothing.trend < -0.8).verdict == "fails"
    assert (nothing - nothing).share_above_zero.value == 0
    assert (nothing.first.within(0.8, 1.0)).verdict == "fails"


def test_one_image_decides_nothing():
    lost = loss(n=1, tasks=("one",))
    assert (lost.first.within(0.8, 1.0)).verdict == "inconclusive"


def test_a_flow_asks_every_task(measured):
    lost = Flow(measured()).without_module("mlp", "ChooseAttr", "LogicalObj")
    assert list(lost.tasks) == ["ChooseAttr", "LogicalObj"]
    with pytest.raises(MechanismError, match="got 'mpl'"):
        Flow(measured()).without_module("mpl", "ChooseAttr")
    with pytest.raises(MechanismError, match="at least one task"):
        Flow(measured()).without_module("mlp")


def test_where_the_question_says_nothing_there_is_no_loss(measured):
    measurements = measured("nothing")
    with pytest.raises(NotApplicable, match="has a question that says anything"):
        Flow(measurements).without_module("mlp", "ChooseAttr")
    name = QuestionSemantics.of("mlp").name
    measurements.refusals = lambda _: {name: {"not-finite": 3}}
    with pytest.raises(Inconclusive, match="gave numbers"):
        Flow(measurements).without_module("mlp", "ChooseAttr")


def test_what_the_question_says_resembles_what_is_answered(measured):
    flow = Flow(measured())
    said = flow.semantics("image -> question", "ChooseAttr")
    answer = flow("image -> question", "ChooseAttr")
    alike = said.correlation(answer)
    expected = np.corrcoef(said.means.mean, answer.means.mean)[0, 1]
    assert alike.value == pytest.approx(expected, abs=1e-6)
    assert (alike >= 0.6).verdict == "holds"
    unlike = said.correlation(flow("question -> last", "ChooseAttr"))
    assert (unlike >= 0.6).verdict == "fails"
