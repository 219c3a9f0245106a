"""Paired comparisons of runs whose difference is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom

from mmflow_bench.baselines.gate import gate_decision
from mmflow_bench.baselines.gate_set import GateRow, gate_rows, gate_set
from mmflow_bench.baselines.paired_comparison import compare_runs
from mmflow_bench.baselines.paired_experiment import NotComparable, refuse_limited
from mmflow_bench.baselines.paired_records import read_comparison
from mmflow_bench.baselines.paired_values import _order
from mmflow_bench.baselines.tolerances import DEFAULTS, parse_tolerance
from mmflow_bench.errors import BaselineError
from mmflow_bench.mechanisms.bands import B1, B2, EVERYWHERE, LATER_HALF
from mmflow_bench.mechanisms.declared import shipped
from mmflow_bench.mechanisms.declaring import Declaration, Gate
from mmflow_bench.mechanisms.watching import watched
from mmflow_bench.runs.results import OrderResult


def compared(base, tuned, *, tolerance=None, alpha=0.05):
    return compare_runs(base, tuned, tolerance=tolerance or dict(DEFAULTS), alpha=alpha)


def row(comparison, name, task="ChooseAttr"):
    return next(one for one in comparison.rows if (one.id, one.task) == (name, task))


def test_the_same_run_twice_is_unchanged_everywhere(made):
    found = compared(made(noise=0.2), made(noise=0.2))
    assert found.counts == {"unchanged": len(found.rows)}
    assert {one.difference for one in found.rows} == {0.0}
    assert gate_decision(found, fail_undecided=True, fail_not_comparable=True).passed


def test_a_change_is_named_with_both_numbers_and_the_interval(made):
    found = compared(made(noise=0.1), made(noise=0.1, seed=1, drops={"image->question": -0.1}))
    changed = row(found, "imgq-drop1")
    assert changed.verdict == "changed"
    assert changed.before == pytest.approx(-0.4, abs=0.05)
    assert changed.after == pytest.approx(-0.1, abs=0.05)
    assert changed.low < changed.difference < changed.high
    assert changed.difference == pytest.approx(changed.after - changed.before, abs=1e-5)
    assert set(found.changed) == {"imgq-drop1"}
    assert gate_decision(found).why == ("changed: imgq-drop1 (ChooseAttr)",)


def test_the_interval_is_that_of_the_paired_difference(made):
    """With the same noise in both, the difference has none, however wide each of them is."""
    found = compared(made(noise=0.15), made(noise=0.15, drops={"question->last": -0.53}))
    apart = compared(made(noise=0.15), made(noise=0.15, drops={"question->last": -0.53}, seed=1))
    moved, other = (row(one, "q-last-drop") for one in (found, apart))
    assert moved.verdict == "unchanged"
    assert moved.high - moved.low < other.high - other.low - 0.03


def test_a_change_in_one_task_is_not_averaged_away(made):
    tasks = ("ChooseAttr", "ChooseCat", "QueryAttr")
    base, tuned = made(tasks=tasks, noise=0.02), made(tasks=tasks, noise=0.02, seed=1)
    moved = made(noise=0.02, drops={"question->last": -0.1})
    tuned.sweeps["ChooseAttr", "question->last"] = moved.sweeps["ChooseAttr", "question->last"]
    assert compared(base, tuned).changed == {"q-last-drop": ["ChooseAttr"]}


def test_saturation_is_no_change(made):
    """A checkpoint that is only surer loses a smaller fraction and as much log-odds."""
    generator = np.random.default_rng(3)
    unsure = expit(1 + 0.3 * generator.standard_normal(60))
    sure = expit(logit(unsure) + 6)
    base, tuned = made(probability=unsure), made(probability=sure)
    for run, probability in ((base, unsure), (tuned, sure)):
        curves = run.sweeps["ChooseAttr", "question->last"]
        kept = curves.values != 0
        drop = expit(logit(probability) - 2) / probability - 1
        curves.values[:] = np.where(kept, drop[:, None], 0.0)
    moved = row(compared(base, tuned), "q-last-drop")
    assert moved.low > DEFAULTS["fraction"]
    assert moved.verdict == "undecided"
    assert "saturation" in moved.reason
    assert moved.twin == pytest.approx(0.0, abs=1e-6)


def test_only_samples_that_both_answer_are_compared_and_the_others_are_reported(made):
    base = made(wrong=frozenset(range(5)), noise=0.02)
    tuned = made(wrong=frozenset(range(55, 60)), noise=0.02, seed=1)
    # What only the base answers flows otherwise, in the base.
    base.sweeps["ChooseAttr", "question->last"].values[-5:] *= 0.5
    found = compared(base, tuned)
    (pairs,) = found.tasks
    assert (pairs.both, pairs.base_only, pairs.tuned_only, pairs.neither) == (50, 5, 5, 0)
    moved = row(found, "q-last-drop")
    assert (moved.n, moved.verdict) == (50, "unchanged")
    assert moved.base_only == pytest.approx(0.25, abs=0.05)
    assert abs(moved.tuned_only) < 0.05


def test_accuracy_is_compared_too(made):
    found = compared(made(), made(wrong=frozenset(range(25))))
    assert row(found, "acc-95").difference == pytest.approx(-25 / 60, abs=1e-6)
    assert row(found, "acc-95").verdict == "changed"
    # 2 of 60 is within five points, but not shown to be: nobody knows from 60.
    assert row(compared(made(), made(wrong=frozenset({1, 2}))), "acc-95").verdict == "undecided"


def test_reworded_answers_are_left_out_and_counted(made):
    found = compared(made(), made(reworded=frozenset(range(10))))
    assert found.tasks[0].reworded == 10
    assert row(found, "q-last-drop").n == 50


def test_mostly_reworded_answers_are_not_comparable(made):
    found = compared(made(), made(reworded=frozenset(range(40))))
    told = row(found, "q-last-drop")
    assert told.verdict == "not-comparable"
    assert told.reason.startswith("answer format: 40 of 60")
    # That as many are right is known all the same.
    assert row(found, "acc-95").verdict == "unchanged"


def test_samples_of_one_image_count_as_one(made):
    """Ten samples of each image with one image's noise: the interval is that of six images."""
    widths = {}
    for per_image in (1, 10):
        base, tuned = made(per_image=per_image), made(per_image=per_image)
        noise = 0.2 * np.random.default_rng(1).standard_normal(6)
        curves = tuned.sweeps["ChooseAttr", "question->last"]
        curves.values[:] += np.where(curves.values != 0, noise[np.arange(60) // 10][:, None], 0)
        moved = row(compared(base, tuned), "q-last-drop")
        widths[per_image] = moved.high - moved.low
    assert widths[10] > 2 * widths[1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"experiment": {"prompt": "other"}}, "another prompt"),
        ({"experiment": {"pixels": "other"}}, "another image processor"),
        ({"experiment": {"input": "paper"}}, "another input"),
        ({"experiment": {"patches": "painted"}}, "another rule of related patches"),
        ({"experiment": {"window": 7}}, "another window"),
        ({"experiment": {"decoder_layers": 32}}, "another number of decoder layers"),
        ({"data": "e" * 64}, "other data"),
        ({"content": "!"}, "60 of 60 questions with the same id differ in content"),
        ({"tasks": ("QueryAttr",)}, "no sample in common"),
    ],
)
def test_other_experiments_are_refused_and_named(made, changes, said):
    with pytest.raises(NotComparable, match=said):
        compared(made(), made(**changes))


def test_all_differences_are_named_at_once(made):
    with pytest.raises(NotComparable) as caught:
        compared(made(), made(experiment={"prompt": "x", "pixels": "y"}, data="e" * 64))
    assert len(caught.value.reasons) == 3


def test_what_an_older_run_has_not_recorded_is_said_and_not_refused(made):
    found = compared(made(), made(experiment={"prompt": ""}))
    assert found.notes == ("prompt is not recorded in both runs, so not compared",)


def test_a_limited_baseline_serves_only_runs_with_its_limit(made):
    with pytest.raises(NotComparable, match="stamped --limit=20"):
        refuse_limited(made(limit="20"), made())
    refuse_limited(made(limit="20"), made(limit="20"))
    refuse_limited(made(), made(limit="20"))


def test_what_only_one_run_has_measured_cannot_be_compared(made):
    tuned = made()
    del tuned.sweeps["ChooseAttr", "question->last"]
    told = row(compared(made(), tuned), "q-last-drop")
    assert (told.verdict, told.reason) == ("not-comparable", "not measured in the checkpoint")


def test_a_drop_that_is_gone_has_no_place_and_is_a_change_of_size(made):
    found = compared(made(), made(drops={"question->last": 0.0}))
    assert row(found, "q-last-drop").verdict == "changed"
    assert row(found, "q-last-mid").verdict == "not-comparable"


def test_nothing_passes_on_nothing(made):
    everything = frozenset(range(60))
    base, tuned = made(wrong=everything), made(wrong=everything)
    for run in (base, tuned):
        run.answers.clear()
    verdict = gate_decision(compared(base, tuned))
    assert not verdict.passed
    assert verdict.why == ("no flow was compared, nothing: no question that both answer correctly",)


def test_a_wide_interval_is_undecided_and_a_policy(made):
    found = compared(made(noise=0.6), made(noise=0.6, seed=1))
    assert row(found, "q-last-drop").verdict == "undecided"
    assert gate_decision(found, decided=0.0).passed
    assert not gate_decision(found, decided=0.0, fail_undecided=True).passed
    assert not gate_decision(found).passed


def test_a_comparison_survives_its_file(made):
    found = compared(made(), made(wrong=frozenset({1}), seed=2, noise=0.1))
    assert read_comparison(found.as_json()) == found
    with pytest.raises(ValueError, match="schema 1"):
        read_comparison('{"schema_version": 0}')


def test_a_fine_tune_with_noise_and_no_change_alarms_no_more_often_than_alpha(made):
    """A hundred of them; re-drawn subsets of one: tests/validity/test_gate_alarms.py."""
    edge, alarms = ("question->last",), 0
    for seed in range(100):
        base = made(edges=edge, n=30, noise=0.15, seed=2 * seed)
        tuned = made(edges=edge, n=30, noise=0.15, seed=2 * seed + 1)
        alarms += bool(compared(base, tuned).changed)
    assert alarms <= binom.ppf(0.999, 100, 0.05)


def test_a_change_of_exactly_the_tolerance_alarms_no_more_often_than_alpha(made):
    """The worst case of no change: the whole error rate is spent, by Holm over all rows."""
    alarms = 0
    edge = ("question->last",)
    for seed in range(50):
        base = made(edges=edge, noise=0.1, seed=2 * seed)
        tuned = made(edges=edge, noise=0.1, seed=2 * seed + 1, drops={"question->last": -0.4})
        alarms += "q-last-drop" in compared(base, tuned).changed
    assert alarms <= binom.ppf(0.999, 50, 0.05)


def test_a_change_of_three_times_the_tolerance_is_found(made):
    found = sum(
        "q-last-drop"
        in compared(
            made(n=60, noise=0.15, seed=2 * seed),
            made(n=60, noise=0.15, seed=2 * seed + 1, drops={"question->last": -0.2}),
        ).changed
        for seed in range(10)
    )
    assert found == 10


def test_changes_are_corrected_over_the_rows_of_the_gate(made):
    """Holm over m rows of equal p-values multiplies the smallest by m."""
    tasks = ("ChooseAttr", "ChooseCat", "QueryAttr")
    base, moved = made(noise=0.1), made(noise=0.1, seed=5, drops={"question->last": -0.33})
    alone = row(compared(base, moved), "q-last-drop")
    for run, other in ((base, made(noise=0.1)), (moved, made(noise=0.1, seed=5))):
        for task in tasks[1:]:
            run.answers[task] = run.answers["ChooseAttr"]
            for edge in ("question->last", "image->question", "image->last"):
                run.sweeps[task, edge] = other.sweeps["ChooseAttr", edge]
    among = row(compared(base, moved), "q-last-drop")
    assert among.p_changed == pytest.approx(3 * alone.p_changed, rel=0.25)
    assert among.p_unchanged == alone.p_unchanged


def test_the_gate_set_is_the_one_that_was_declared_before_anything_was_measured():
    assert [(one.id, one.reading, one.edge, one.band, one.probe) for one in gate_set()] == [
        ("acc-95", "accuracy", "", EVERYWHERE, ""),
        ("last-last-null", "peak", "last->last", EVERYWHERE, ""),
        ("q-last-drop", "peak", "question->last", EVERYWHERE, ""),
        ("q-last-mid", "centre", "question->last", EVERYWHERE, ""),
        ("img-last-null", "peak", "image->last", EVERYWHERE, ""),
        ("imgq-drop1", "peak", "image->question", B1, ""),
        ("imgq-drop2", "peak", "image->question", B2, ""),
        ("imgq-low-only", "peak", "image->question", LATER_HALF, ""),
        ("oth-dom-1", "peak", "other_patches->question", B1, ""),
        ("rel-dom-2", "peak", "related_patches->question", B2, ""),
        ("lens-lower-rise", "lens max", "", EVERYWHERE, "noncapitalized"),
        ("lens-upper-late", "lens final", "", EVERYWHERE, "capitalized"),
        ("uni-cap-last-low", "peak", "caption->last", EVERYWHERE, ""),
    ]


def test_a_gate_row_reads_what_its_mechanism_reads():
    for one in gate_set():
        tests = [test for test in shipped() if test.declaration.id == one.id]
        wants = {w for t in tests for read in watched(t) for ws in read.wants.values() for w in ws}
        assert one.edge in {want.name for want in wants} or not one.edge
        assert one.probe in {getattr(want, "probe", "") for want in wants} or not one.probe


def test_a_row_of_ones_own_is_compared_too_and_travels_as_json(made):
    declared = Declaration(id="mine", gate=Gate("peak", "question -> last", band=B2))
    (own,) = gate_rows([declared, Declaration(id="other")])
    assert GateRow.from_dict(json.loads(json.dumps(own.as_dict()))) == own
    base, moved = made(), made(drops={"question->last": -0.8})
    found = compare_runs(base, moved, tolerance=DEFAULTS, alpha=0.05, own=[own])
    assert "mine" in {one.id for one in found.rows}
    assert "mine" not in {one.id for one in compared(base, moved).rows}


@pytest.mark.parametrize(
    ("text", "unit", "margin"),
    [
        (None, "fraction", 0.10),
        ("5%", "probability", 0.05),
        ("0.2", "fraction", 0.2),
        ("5%", "accuracy", 0.05),
        ("effect=0.02, depth=25%", "depth", 0.25),
    ],
)
def test_tolerances_are_read(text, unit, margin):
    assert parse_tolerance(text)[unit] == pytest.approx(margin)


@pytest.mark.parametrize("text", ["0", "1", "-5%", "much", "size=0.1", "effect=nan"])
def test_what_is_no_tolerance_is_refused(text):
    with pytest.raises(ValueError, match="--tolerance takes"):
        parse_tolerance(text)


def with_rows(run, questions, edge, drop):
    """A run in which some questions lose another share when an edge is cut."""
    curves = run.sweeps["ChooseAttr", edge]
    rows = [i for i, name in enumerate(curves.question_ids) if int(name) in questions]
    curves.values[rows] = np.where(curves.values[rows] != 0, drop, 0.0)
    return run


def test_the_reference_answer_shows_what_a_selection_hides(made):
    """The tuned checkpoint has lost half of the questions, and the flow on just those."""
    lost = frozenset(range(30))
    found = {}
    for follow in ("answer", "reference"):
        base, tuned = (
            made(noise=0.05, wrong=wrong, experiment={"follow": follow})
            for wrong in (frozenset(), lost)
        )
        tuned = with_rows(tuned, lost, "question->last", -0.05)
        found[follow] = compared(base, tuned)
    hidden, shown = (row(found[follow], "q-last-drop") for follow in ("answer", "reference"))
    assert (hidden.verdict, hidden.n) == ("unchanged", 30)
    assert (shown.verdict, shown.n) == ("changed", 60)
    assert shown.difference == pytest.approx(0.5 * 0.45, abs=0.03)
    assert (shown.base_only, shown.tuned_only) == (None, None)
    assert found["reference"].follow == "reference"
    assert found["reference"].tasks == found["answer"].tasks


def test_other_words_do_not_keep_the_reference_answer_from_being_compared(made):
    many = frozenset(range(50))
    for follow, verdict in (("answer", "not-comparable"), ("reference", "unchanged")):
        base, tuned = (
            made(reworded=reworded, experiment={"follow": follow})
            for reworded in (frozenset(), many)
        )
        assert row(compared(base, tuned), "q-last-drop").verdict == verdict


def test_runs_that_follow_different_answers_are_not_compared(made):
    other = made(experiment={"follow": "reference"})
    # A run that does not say has followed the checkpoint's own.
    for own in (made(experiment={"follow": "answer"}), made()):
        for pair in ((own, other), (other, own)):
            with pytest.raises(NotComparable, match="--follow"):
                compared(*pair)


def test_an_order_holds_the_samples_that_have_an_answer_and_no_more():
    told = OrderResult(of=5, seen=0.5, missing="f" * 64, looks=2)
    answers = [{"sample": f"key{i}", "question_id": f"q{i}"} for i in range(4)]
    order = _order(told, answers, None)
    assert sorted(order.question_ids) == ["q0", "q1", "q2", "q3"]
    assert list(order.samples) == sorted(order.samples)
    # Those beyond the first sample that was not looked at are no random part of them.
    middle = order.samples[2][0]
    cut = _order(told.model_copy(update={"missing": middle}), answers, None)
    assert cut.samples == order.samples[:2]
    assert _order(told, answers, 7).samples != order.samples
    with pytest.raises(BaselineError, match="an order of at least the 4 samples"):
        _order(told.model_copy(update={"of": 3}), answers, None)
