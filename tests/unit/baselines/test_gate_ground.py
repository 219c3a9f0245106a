"""Why a comparison lets nothing pass, and when a gate has decided enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmflow_bench.baselines.gate import gate_decision, ground_lost
from mmflow_bench.baselines.gate_set import GateRow
from mmflow_bench.baselines.paired_comparison import compare_runs
from mmflow_bench.baselines.paired_records import BaselineComparison, ComparedRow, read_comparison
from mmflow_bench.baselines.paired_values import RunValues
from mmflow_bench.baselines.tolerances import DEFAULTS, parse_share
from mmflow_bench.baselines.verdict_level import compare_verdicts
from mmflow_bench.measurements.records import AnswerCount

TASK = "ChooseAttr"
REFUSED = {("q-last-drop", TASK): "precondition-failed"}


def compared(base, tuned):
    return compare_runs(base, tuned, tolerance=dict(DEFAULTS), alpha=0.05)


def counting(run: RunValues, correct: int, task: str = TASK, **changes) -> RunValues:
    count = AnswerCount(task=task, selected=60, correct=correct, unscored={})
    return replace(run, counts={task: count}, **changes)


def without(run: RunValues, edge: str = "question->last") -> RunValues:
    kept = {key: curves for key, curves in run.sweeps.items() if key[1] != edge}
    return replace(run, sweeps=kept)


@pytest.mark.parametrize("side", ["baseline", "checkpoint"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"failed_checks": ("answer-tokens",)}, "the self-test failed on the {} (answer-tokens)"),
        ({"broken": 1}, "1 test of the {} ended without a verdict"),
        ({"broken": 2}, "2 tests of the {} ended without a verdict"),
    ],
)
def test_an_instrument_that_failed_on_either_side_lets_nothing_pass(made, side, changes, said):
    sound, faulty = made(), replace(made(), **changes)
    found = compared(*((faulty, sound) if side == "baseline" else (sound, faulty)))
    assert set(found.counts) == {"unchanged"}
    (reason,) = gate_decision(found).why
    assert reason.startswith(said.format(side))
    assert ground_lost(read_comparison(found.as_json())) == [reason]


@pytest.mark.parametrize("side", ["baseline", "checkpoint"])
def test_rows_that_one_side_has_not_measured_are_missing(made, side):
    whole, less = made(), without(made())
    found = compared(*((less, whole) if side == "baseline" else (whole, less)))
    (reason,) = gate_decision(found).why
    assert reason.startswith(f"2 rows are missing in the {side}: q-last-drop ({TASK}), q-last-mid")


def test_what_was_deselected_is_not_missing(made):
    tuned = replace(without(made()), mechanisms=("imgq-*",))
    found = compared(made(), tuned)
    assert "q-last-drop" not in {row.id for row in found.rows}
    assert gate_decision(found).passed
    other = compared(made(tasks=(TASK, "QueryAttr")), replace(made(), tasks=(TASK,)))
    assert {row.task for row in other.rows} == {TASK}
    assert gate_decision(other).passed


OF_PAPER = GateRow("peak", "question -> last", id="own-paper", suite="paper")


@pytest.mark.parametrize(
    ("base", "tuned", "is_compared", "has_note"),
    [
        ({}, {}, False, False),
        ({"suite": "paper"}, {"suite": "all"}, True, False),
        ({"suite": "all"}, {}, False, False),
        ({}, {"suite": "paper"}, False, True),
        ({}, {"suite": "paper", "mechanisms": ("imgq-*",)}, False, False),
        # Named in full, it was asked whatever the suite.
        ({"mechanisms": ("own-paper",)}, {"suite": "paper"}, True, False),
        ({}, {"mechanisms": ("own-paper", "q-*", "imgq-*")}, False, True),
    ],
)
@pytest.mark.parametrize("is_measured", [True, False])
def test_what_a_suite_has_left_out_of_either_run_is_no_row(
    made, base, tuned, is_compared, has_note, is_measured
):
    # Others may have measured what it reads; nobody has asked both what they make of it.
    before, after = (made(verdicts={("own-paper", TASK): "holds"}) for _ in "ab")
    before = before if is_measured or is_compared else without(before)
    after = after if is_measured or is_compared else without(after)
    found = compare_runs(
        replace(before, **base),
        replace(after, **tuned),
        tolerance=dict(DEFAULTS),
        alpha=0.05,
        own=[OF_PAPER],
    )
    assert ("own-paper" in {row.id for row in found.rows}) == is_compared
    assert has_note == any("own-paper not compared: the baseline" in note for note in found.notes)
    if is_measured:
        assert gate_decision(found).passed


def test_a_row_that_neither_side_could_measure_is_listed_with_its_reason(made):
    base = replace(without(made()), verdicts=REFUSED)
    reasons = {("q-last-drop", TASK): "none of 60 samples could be scored"}
    found = compared(
        base, replace(base, reasons=reasons, verdicts={("q-last-drop", TASK): "fails"})
    )
    (row,) = [row for row in found.rows if row.id == "q-last-drop"]
    assert row.verdict == "not-comparable"
    assert row.reason == "the baseline is below its precondition (not answered, 90% are needed)"
    base = replace(base, verdicts={})
    found = compared(
        base, replace(base, reasons=reasons, verdicts={("q-last-drop", TASK): "fails"})
    )
    (row,) = [row for row in found.rows if row.id == "q-last-drop"]
    assert row.reason == "not measured in either: none of 60 samples could be scored"
    assert gate_decision(found).passed


def test_a_row_that_does_not_apply_to_the_samples_of_either_is_none(made):
    said = {("uni-cap-last-low", TASK): "not-applicable"}
    found = compared(made(), replace(made(), verdicts=said))
    assert "uni-cap-last-low" not in {row.id for row in found.rows}


def test_a_place_that_neither_has_and_a_band_without_a_layer_are_listed(made):
    flat = made(drops={"question->last": 0.0})
    rows = {row.id: row for row in compared(flat, flat).rows}
    assert rows["q-last-mid"].reason == "no drop in either to have a place"
    wide = made(experiment={"window": 39})
    rows = {row.id: row for row in compared(wide, wide).rows}
    assert "a window that leaves layers" in rows["imgq-drop2"].reason


def test_a_task_that_the_baseline_masters_and_the_checkpoint_does_not_is_lost(made):
    both = made(tasks=(TASK, "QueryAttr"))
    base = counting(both, 60)
    tuned = counting(both, 50, verdicts=REFUSED)
    tuned = replace(
        tuned,
        counts=tuned.counts | counting(both, 60, task="QueryAttr").counts,
        sweeps={key: curves for key, curves in both.sweeps.items() if key[0] != TASK},
    )
    found = compared(base, tuned)
    (reason,) = gate_decision(found).why
    assert reason == (
        "below the precondition of 90% that the baseline meets: ChooseAttr (60 of 60 correct "
        "before, 50 of 60 correct)"
    )
    # The rows of the task are explained, and so not missing.
    assert {row.missing_in for row in found.rows} == {""}
    assert {row.verdict for row in found.rows if row.task == TASK} == {
        "unchanged",  # its accuracy
        "not-comparable",
    }


def test_every_task_below_its_precondition_is_said_once(made):
    base, tuned = (counting(made(), 5, verdicts=REFUSED) for _ in range(2))
    whys = gate_decision(compared(without(base), without(tuned))).why
    assert [why.partition(":")[0] for why in whys] == [
        "every task is below its precondition of 90% (ChooseAttr 5 of 60 correct)"
    ]


def test_no_question_that_could_be_used_is_said(made):
    count = AnswerCount(task=TASK, selected=2, correct=0, unscored={"unreadable": 2})
    tuned = replace(made(), counts={TASK: count}, verdicts=REFUSED)
    assert (
        gate_decision(compared(made(), tuned))
        .why[-1]
        .startswith("no question of the checkpoint could be used (ChooseAttr: unreadable 2)")
    )


@pytest.mark.parametrize(("wrong", "is_lost"), [(3, False), (4, True)])
def test_a_fall_of_accuracy_by_more_than_the_tolerance_fails_whatever_its_interval(
    made, wrong, is_lost
):
    found = compared(made(), made(wrong=frozenset(range(wrong))))
    (row,) = [row for row in found.rows if row.reading == "accuracy"]
    assert row.verdict == "undecided"
    assert bool(found.lost) == is_lost
    assert gate_decision(found).passed != is_lost


def test_accuracy_alone_is_no_flow_unless_it_was_asked_for_alone(made):
    bare = replace(made(), sweeps={})
    (reason,) = gate_decision(compared(bare, bare)).why
    assert reason.startswith("no flow was compared, only accuracy (1 rows)")
    assert gate_decision(compared(bare, replace(bare, mechanisms=("acc-95",)))).passed
    assert not gate_decision(compared(bare, replace(bare, mechanisms=("*",)))).passed


def with_rows(**counts: int) -> BaselineComparison:
    rows = [
        ComparedRow(id=verdict, task=str(i), verdict=verdict.replace("_", "-"), needed=40 + i)
        for verdict, count in counts.items()
        for i in range(count)
    ]
    return BaselineComparison(
        base="a", name="b", kind="paired", alpha=0.05, tolerance=dict(DEFAULTS), rows=tuple(rows)
    )


@pytest.mark.parametrize(
    ("unchanged", "undecided", "decided", "passes"),
    [
        (8, 2, 0.8, True),
        (7, 3, 0.8, False),
        (7, 3, 0.7, True),
        (0, 3, 0.0, True),
        (9, 1, 1.0, False),
    ],
)
def test_a_gate_passes_when_enough_is_decided(unchanged, undecided, decided, passes):
    found = with_rows(unchanged=unchanged, undecided=undecided, not_comparable=20)
    assert gate_decision(found, decided=decided).passed == passes


def test_what_is_undecided_names_the_images_that_it_takes():
    found = with_rows(unchanged=1, undecided=3)
    assert gate_decision(found).why == (
        "undecided: 3 of 4 comparable rows, 80% must be unchanged (--decided); needs about 42 "
        "images a task: undecided (42)",
    )


def test_rows_say_how_many_images_they_take_as_long_as_those_can_help(made):
    found = compared(made(n=60, noise=0.4), made(n=60, noise=0.4, seed=1))
    rows = {row.id: row for row in found.rows}
    assert rows["q-last-drop"].verdict == "undecided"
    assert rows["q-last-drop"].needed > 60
    assert {row.needed for row in found.rows if row.verdict != "undecided"} == {None}


@pytest.mark.parametrize("per_image", [1, 3])
def test_what_a_row_needs_is_counted_in_images_not_in_samples(made, per_image):
    run = made(n=12 * per_image, per_image=per_image)
    (row,) = [row for row in compared(run, run).rows if row.reading == "accuracy"]
    # Where no image differs, 59 of them leave room for a twentieth of others.
    assert (row.verdict, row.images, row.needed) == ("undecided", 12, 59)


def test_a_baseline_of_verdicts_alone_stands_on_the_same_ground(made):
    verdicts = {("q-last-drop", TASK): "holds"}
    tuned = counting(made(), 60, verdicts=verdicts, failed_checks=("fast-path",))
    found = compare_verdicts("paper/x", verdicts, tuned, alpha=0.05, source="")
    assert gate_decision(found).why[0].startswith("the self-test failed on the checkpoint")
    sound = replace(tuned, failed_checks=())
    assert gate_decision(compare_verdicts("paper/x", verdicts, sound, alpha=0.05, source="")).passed


@pytest.mark.parametrize("text", ["1.1", "-0.1", "most", "120%"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match="--decided takes"):
        parse_share(text)


def test_samples_that_overflow_in_the_checkpoint_alone_are_lost(made):
    overflowed = {(TASK, "question->last"): 3, (TASK, "answer"): 1}
    base, tuned = made(), replace(made(), overflowed=overflowed)
    (reason,) = gate_decision(compared(base, tuned)).why
    assert reason.startswith(
        "numbers of the checkpoint are not finite where those of the baseline are (question->last "
        "on ChooseAttr: 3, answer on ChooseAttr: 1 samples)"
    )
    # What overflows in both is counted in both, and compared in neither.
    assert gate_decision(compared(replace(base, overflowed=overflowed), tuned)).passed


def test_a_place_that_the_baseline_alone_shows_is_lost(made):
    found = compared(made(), made(drops={"question->last": 0.0}))
    (reason,) = [why for why in found.lost if "a drop that" in why]
    assert reason == (
        "a drop that the baseline shows is not in the checkpoint: q-last-mid (ChooseAttr)"
    )
    assert not compared(made(drops={"question->last": 0.0}), made()).lost


def test_a_gate_that_has_compared_less_than_half_fails(made):
    tasks = (TASK, "QueryAttr", "LogicalObj")
    base, tuned = made(tasks=tasks), made(tasks=tasks)
    for task in tasks[1:]:
        for answer in tuned.answers[task].values():
            answer["answer_token_id"] += 1
    (reason,) = gate_decision(compared(base, tuned)).why
    assert reason.startswith("12 of 21 rows that the baseline has could not be compared: answer fo")
    for answer in tuned.answers["QueryAttr"].values():
        answer["answer_token_id"] -= 1
    assert gate_decision(compared(base, tuned)).passed
