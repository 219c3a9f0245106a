"""First and last piece of an answer, and the words of a long one, where everything is known."""

from __future__ import annotations

import numpy as np
import pytest

from mmflow_bench.errors import MechanismError
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.several import same_verdict
from mmflow_bench.mechanisms.verdicts import NotApplicable, Verdict

TASK = "ChooseAttr"
ROWS = ("sub-last-edges", "sub-imgq", "sub-patches")


@pytest.mark.parametrize("task", SIX_TASKS)
@pytest.mark.parametrize("name", ROWS)
def test_rows_hold_where_the_last_piece_does_what_the_first_does(measured, verdict, name, task):
    known = {"direct": 0.0094} if task == "QueryAttr" else {}
    measurements = measured(changed=known, spread=0.1)
    measurements.last = measured(changed=known, spread=0.1, noise=2e-6)
    assert verdict(name, measurements, task) == "holds"


@pytest.mark.parametrize(
    ("last", "killed"),
    [
        ("nothing", {"sub-last-edges", "sub-imgq", "sub-patches"}),
        ("direct", {"sub-last-edges", "sub-imgq", "sub-patches"}),
        ("img_last_too", {"sub-last-edges"}),
        ("early_ql", {"sub-last-edges"}),
        ("self_loop", {"sub-last-edges"}),
        ("no_stage2", {"sub-imgq", "sub-patches"}),
        ("stage2_from_other", {"sub-patches"}),
    ],
)
def test_rows_fail_where_the_last_piece_does_otherwise(measured, verdict, last, killed):
    measurements = measured(spread=0.1)
    measurements.last = measured(last, spread=0.1, noise=2e-6)
    failed = {name for name in ROWS if verdict(name, measurements, TASK) == "fails"}
    assert failed == killed


@pytest.mark.parametrize("name", [*ROWS])
def test_rows_say_nothing_where_answers_are_of_one_piece(measured, verdict, name):
    assert verdict(name, measured(), TASK) == "not-applicable"


@pytest.mark.parametrize("name", ROWS)
def test_nothing_is_known_of_few_answers_of_several_pieces(measured, verdict, name):
    measurements = measured(spread=0.1)
    measurements.last = measured(spread=0.1, n=10)
    assert verdict(name, measurements, TASK) == "inconclusive"


def test_both_pieces_are_read_on_the_same_samples(measured):
    measurements = measured(n=100)
    measurements.last = measured("nothing", n=30)
    flow = Flow(measurements)
    first, last = (flow.piece(which)("question -> last", TASK) for which in ("first", "last"))
    assert first.image_ids == last.image_ids
    assert (first.peak.n, first.peak.images) == (30, 24)
    assert first.peak.value < -0.2 < last.peak.value
    assert "last piece" in last.peak.name
    assert flow("question -> last", TASK).peak.n == 100


def test_the_reason_is_told_where_no_answer_has_several_pieces(measured):
    measurements = measured()
    counted = {"question->last (last piece)": {"single-token-answer": 200}}
    measurements.refusals = lambda task: counted  # noqa: ARG005
    with pytest.raises(NotApplicable, match=r"several pieces \(single-token-answer: 200\)"):
        Flow(measurements).piece("last")("question -> last", TASK)
    with pytest.raises(MechanismError, match="did you mean last"):
        Flow(measurements).piece("lastt")


@pytest.mark.parametrize(("drop", "expected"), [(0.3, "holds"), (0.0, "fails"), (0.05, "fails")])
def test_long_answers_are_asked_for_a_drop_of_a_tenth(measured, verdict, drop, expected):
    measurements = measured()
    measurements.long_drop = drop
    assert verdict("x-long-answer", measurements) == expected
    assert verdict("x-long-answer", measured()) == "not-applicable"


def test_long_answers_of_all_tasks_are_one_curve(measured):
    measurements = measured(n=20)
    measurements.long_drop = 0.2
    drop = Flow(measurements).long_answers()
    assert drop.peak.n == 20 * len(SIX_TASKS)
    assert drop.peak.value == pytest.approx(-0.2)


def curve(values, name="curve"):
    images = tuple(f"image{i}" for i in range(len(values)))
    return Curve(name=name, values=np.array(values), image_ids=images, width=1, alpha=0.05)


def test_correlation_is_that_of_the_mean_curves():
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=(2, 60, 8))
    found = curve(one).correlation(curve(other))
    assert found.value == pytest.approx(np.corrcoef(one.mean(0), other.mean(0))[0, 1])
    assert found.low <= found.value <= found.high
    assert found.unit == "ratio"


def test_a_flat_curve_has_no_correlation_and_no_claim_on_it_holds():
    deep = np.tile([0.0, -0.5, 0.0], (60, 1))
    found = curve(deep).correlation(curve(np.zeros((60, 3))))
    assert np.isnan(found.value)
    assert (found >= 0.9).verdict is Verdict.FAILS


def test_one_unseen_image_can_spoil_the_correlation_of_few_and_not_of_many():
    shape = np.array([0.0, -0.5, -0.4, 0.0, 0.0, 0.0])
    few, many = (np.tile(shape, (n, 1)) for n in (10, 200))
    assert (curve(few).correlation(curve(few)) >= 0.9).verdict is Verdict.INCONCLUSIVE
    assert (curve(many).correlation(curve(many)) >= 0.9).verdict is Verdict.HOLDS


def test_two_readings_have_one_verdict_or_two_or_it_is_not_known():
    deep, none = (curve(np.full((100, 3), value)).band_mean for value in (-0.5, 0.0))
    unknown = curve(np.linspace(-0.3, 0.1, 100)[:, None].repeat(3, axis=1)).band_mean
    holds, fails, open_ = (one <= -0.1 for one in (deep, none, unknown))
    assert open_.verdict is Verdict.INCONCLUSIVE
    for one, other, expected in (
        (holds, holds, Verdict.HOLDS),
        (fails, fails, Verdict.HOLDS),
        (holds, fails, Verdict.FAILS),
        (fails, holds, Verdict.FAILS),
        (holds, open_, Verdict.INCONCLUSIVE),
        (open_, fails, Verdict.INCONCLUSIVE),
    ):
        found = same_verdict(one, other)
        assert found.verdict is expected
        assert (found.p_hold <= 0.05) == (expected is Verdict.HOLDS)
        assert (found.p_fail <= 0.05) == (expected is Verdict.FAILS)
        assert bool(found.reason) == (expected is Verdict.INCONCLUSIVE)
