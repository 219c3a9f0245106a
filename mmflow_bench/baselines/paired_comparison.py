"""A checkpoint against its baseline, paired on the same samples: a verdict per mechanism and task.

`unchanged` and `changed` are both shown, the first by equivalence within the tolerance, the second
by an interval beyond it that survives Holm's correction over the gate set and that the log-odds
agree with. What the samples do not decide is `undecided` (docs/decisions/015 and 016).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mmflow_bench.baselines.asked_rows import is_asked, tasks_of, unmeasured
from mmflow_bench.baselines.gate_ground import GONE, IN_NEITHER, baseless, lost
from mmflow_bench.baselines.gate_set import GateRow, gate_set
from mmflow_bench.baselines.paired_experiment import Pairs, pairs_of, require_comparable, unrecorded
from mmflow_bench.baselines.paired_records import BaselineComparison, Change, ComparedRow
from mmflow_bench.baselines.paired_values import RunValues
from mmflow_bench.baselines.row_values import Reading, curves_of, has_values, read
from mmflow_bench.baselines.tolerances import TWIN_FACTOR
from mmflow_bench.errors import MechanismError
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.names import matches
from mmflow_bench.statistics.combining import holm
from mmflow_bench.statistics.paired import MarginTest, margin_bet, margin_test
from mmflow_bench.statistics.power import standard_error
from mmflow_bench.statistics.resampling import ImageStatistic
from mmflow_bench.statistics.unseen import images_to_show


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A row before the correction over all of them."""

    row: ComparedRow
    test: MarginTest | None = None
    is_confirmed: bool = True
    """Whether the twin says the same, as far as there is one."""


def compare_runs(
    base: RunValues,
    tuned: RunValues,
    *,
    tolerance: Mapping[str, float],
    alpha: float,
    own: Sequence[GateRow] = (),
) -> BaselineComparison:
    """The paired comparison of two runs over the gate set, and the rows of one's own mechanisms.

    `alpha` is the family-wise error rate of "changed", and the error rate of each "unchanged".

    Raises:
        NotComparable: The two runs were different experiments.
    """
    require_comparable(base, tuned)
    names = tasks_of(base, tuned)
    pairs = {task: pairs_of(base, tuned, task) for task in names}
    every = (*gate_set(), *own)
    gated = [row for row in every if _is_of_both(base, tuned, row)]
    judged = [
        _judge(base, tuned, row, pairs[task], tolerance[row.unit], alpha)
        for row in gated
        for task in names
        if is_asked(base, tuned, row, task)
    ]
    rows = _decided(judged, alpha)
    asked = [row for row in gated if matches(row.id, tuned.mechanisms)]
    missing = unrecorded(base, tuned)
    return BaselineComparison(
        base=base.name,
        name=tuned.name,
        kind="paired",
        follow=tuned.follow,
        alpha=alpha,
        tolerance=dict(tolerance),
        rows=rows,
        tasks=tuple(pairs[task].counts for task in names if pairs[task].is_known),
        lost=tuple(lost(base, tuned, rows)),
        baseless=tuple(baseless(base, tuned, rows, asked)),
        notes=(
            *(f"{run.name}: {run.incomplete}" for run in (base, tuned) if run.incomplete),
            *(f"{name} is not recorded in both runs, so not compared" for name in missing),
            *_beyond_suite(base, tuned, every),
        ),
    )


def _is_of_both(base: RunValues, tuned: RunValues, row: GateRow) -> bool:
    """Whether a mechanism is of the suites of both runs: of others nobody has asked both."""
    return all(run.has_in_suite(row.id, row.suite) for run in (base, tuned))


def _beyond_suite(base: RunValues, tuned: RunValues, rows: Sequence[GateRow]) -> Iterator[str]:
    """What the checkpoint was asked and the baseline was not, by its suite."""
    left = [
        row.id
        for row in rows
        if tuned.has_in_suite(row.id, row.suite)
        and matches(row.id, tuned.mechanisms)
        and not base.has_in_suite(row.id, row.suite)
    ]
    if left:
        yield (
            f"{', '.join(left)} not compared: the baseline was run with --suite={base.suite}, "
            "which leaves them out"
        )


def _judge(
    base: RunValues, tuned: RunValues, row: GateRow, pairs: Pairs, margin: float, alpha: float
) -> _Judged:
    """One row on one task; where it cannot be compared, with the reason."""
    task = pairs.counts.task
    measured = [has_values(run, row, task) for run in (base, tuned)]
    blank = ComparedRow(
        id=row.id,
        task=task,
        verdict=Change.NOT_COMPARABLE,
        reading=row.reading,
        unit=row.unit,
        margin=margin,
        was=base.verdicts.get((row.id, task), ""),
        now=tuned.verdicts.get((row.id, task), ""),
    )
    if not all(measured):
        return _Judged(row=unmeasured(blank, base, tuned, measured))
    if reason := _obstacle(row, pairs):
        return _Judged(row=replace(blank, reason=reason))
    asked = _asked(base, tuned, row, pairs)
    order = tuned.orders.get(task)
    try:
        before = read(base, row, task, asked, alpha=alpha, order=order)
        after = read(tuned, row, task, asked, alpha=alpha, order=order)
    except MechanismError as error:
        return _Judged(row=replace(blank, reason=str(error)))
    if before is None or after is None:
        return _Judged(row=replace(blank, reason="no sample that both runs have measured"))
    if row.reading != "accuracy":
        alone = [
            _alone(base, row, task, pairs.base_only, before, alpha),
            _alone(tuned, row, task, pairs.tuned_only, after, alpha),
        ]
        blank = replace(blank, base_only=alone[0], tuned_only=alone[1])
    return _difference(blank, before, after, margin=margin)


def _obstacle(row: GateRow, pairs: Pairs) -> str:
    """Why a row cannot be compared although both have measured it, or nothing."""
    counts = pairs.counts
    if row.reading == "accuracy":
        return ""
    if pairs.is_mostly_reworded:
        return (
            f"answer format: {counts.reworded} of {counts.both} common answers begin with another "
            "token"
        )
    if pairs.common:
        return ""
    both = "answer" if pairs.follow == "reference" else "answer correctly"
    return f"no question that both {both}"


def _asked(base: RunValues, tuned: RunValues, row: GateRow, pairs: Pairs) -> frozenset[str]:
    task = pairs.counts.task
    order = tuned.orders.get(task)
    # What was looked at for some mechanisms only is no random part of the samples.
    drawn = frozenset(order.question_ids) if order else None
    if row.reading == "accuracy":
        both = frozenset(base.answers[task].keys() & tuned.answers[task].keys())
        return both & drawn if drawn is not None else both
    kept = pairs.common
    for run in (base, tuned):
        if curves := curves_of(run, row, task):
            kept &= frozenset(curves.question_ids)
    return kept & drawn if drawn is not None else kept


def _alone(
    run: RunValues,
    row: GateRow,
    task: str,
    questions: frozenset[str],
    common: Reading,
    alpha: float,
) -> float | None:
    found = read(run, row, task, questions, alpha=alpha)
    return _plain(found.own.value - common.own.value) if found else None


def _difference(row: ComparedRow, before: Reading, after: Reading, *, margin: float) -> _Judged:
    values = (before.own.value, after.own.value)
    if not any(map(math.isfinite, values)):
        return _Judged(row=replace(row, reason=IN_NEITHER[0]))
    row = replace(row, before=_plain(values[0]), after=_plain(values[1]), n=before.own.n)
    if not all(map(math.isfinite, values)):
        where = "baseline" if math.isnan(values[0]) else "checkpoint"
        is_gone = where == "checkpoint" and not before.own.obstacle
        reason = GONE if is_gone else f"no drop in the {where} to have a place"
        return _Judged(row=replace(row, reason=reason))
    if before.own.obstacle and after.own.obstacle:
        return _Judged(row=replace(row, reason=IN_NEITHER[1]))
    moved = after.own - before.own
    test = _tested(moved, margin)
    images = len(getattr(moved.source, "images", ()))
    row = replace(
        row,
        difference=_plain(moved.value),
        low=_plain(moved.low),
        high=_plain(moved.high),
        error=_plain(standard_error(moved.replicates, images)),
        images=images,
    )
    if test is None:
        reason = moved.evidence.reason or "too few images"
        fewest = images_to_show(margin, alpha=moved.alpha) if margin < 1 else 0
        needed = fewest if fewest > images else None
        row = replace(row, verdict=Change.UNDECIDED, reason=reason, needed=needed)
        return _Judged(row=row)
    row, is_confirmed = _with_twin(row, moved, before, after, margin)
    return _Judged(row=row, test=test, is_confirmed=is_confirmed)


def _with_twin(
    row: ComparedRow, moved: Estimate, before: Reading, after: Reading, margin: float
) -> tuple[ComparedRow, bool]:
    if before.twin is None or after.twin is None:
        return row, True
    twin = after.twin - before.twin
    # A lens has the other lens as its twin, in the same unit; a knockout has log-odds.
    scale = TWIN_FACTOR if row.unit == "fraction" else 1.0
    test = _tested(twin, scale * margin)
    is_same_way = bool(math.copysign(1, twin.value) == math.copysign(1, moved.value))
    is_confirmed = test is not None and test.p_beyond <= moved.alpha and is_same_way
    row = replace(
        row, twin=_plain(twin.value), twin_low=_plain(twin.low), twin_high=_plain(twin.high)
    )
    return row, is_confirmed


def _tested(estimate: Estimate, margin: float) -> MarginTest | None:
    evidence = estimate.evidence
    if evidence.wager is not None:
        return margin_bet(evidence.wager, margin=margin, floor=evidence.floor)
    if evidence.interval is None or not len(evidence.replicates):
        return None
    assert isinstance(estimate.source, ImageStatistic)
    test = margin_test(
        evidence.replicates,
        evidence.correction,
        margin=margin,
        floor=evidence.floor,
        unseen=evidence.unseen,
        alike=estimate.source.unseen(is_alike=True),
    )
    return test.shared_by(estimate.shared_by)


def _decided(judged: list[_Judged], alpha: float) -> tuple[ComparedRow, ...]:
    """All rows with their verdicts, "changed" corrected over those that were tested."""
    tested = [one.test.p_beyond for one in judged if one.test is not None]
    # Over what was tested alone: a row that cannot be compared is no question asked.
    adjusted = iter(holm(tested) if tested else ())
    return tuple(
        one.row if one.test is None else _verdict(one, one.test, next(adjusted), alpha)
        for one in judged
    )


def _verdict(one: _Judged, test: MarginTest, p_changed: float, alpha: float) -> ComparedRow:
    row = replace(one.row, p_changed=p_changed, p_unchanged=test.p_inside)
    if test.p_inside <= alpha:
        return replace(row, verdict=Change.UNCHANGED)
    if p_changed > alpha:
        count = test.needed(images=row.images or 1, alpha=alpha)
        reason = "the interval reaches the tolerance"
        if count:
            reason += f": needs about {count} images like these, has {row.images}"
        return replace(row, verdict=Change.UNDECIDED, needed=count, reason=reason)
    if not one.is_confirmed:
        other = "the other lens does not" if row.reading.startswith("lens") else "log-odds do not"
        reason = f"{other} agree (saturation)"
        return replace(row, verdict=Change.UNDECIDED, reason=reason)
    return replace(row, verdict=Change.CHANGED)


def _plain(value: float) -> float | None:
    # Adding zero makes a negative zero positive: its sign depends on the machine.
    return round(float(value), 6) + 0.0 if math.isfinite(value) else None
