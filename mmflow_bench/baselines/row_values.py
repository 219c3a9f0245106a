"""What a row of the gate set reads off a run: a number, and the same by a second instrument."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mmflow_bench.baselines.gate_set import GateRow
from mmflow_bench.baselines.paired_values import RunValues, SampleCurves
from mmflow_bench.measurements.order import Order
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.lens import LensCurve
from mmflow_bench.mechanisms.looks import drawn_in
from mmflow_bench.mechanisms.means import sample_mean
from mmflow_bench.statistics.betting import Drawn
from mmflow_bench.statistics.paired import log_odds_change


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A number, and the same by the instrument that must agree before a change is called one."""

    own: Estimate
    twin: Estimate | None
    """In log-odds, or by the other lens; None where there is no other instrument."""


def has_values(run: RunValues, row: GateRow, task: str) -> bool:
    if row.reading == "accuracy":
        return bool(run.answers.get(task))
    return curves_of(run, row, task) is not None


def read(
    run: RunValues,
    row: GateRow,
    task: str,
    questions: frozenset[str],
    *,
    alpha: float,
    order: Order | None = None,
) -> Reading | None:
    """A row's number on some samples of a task; None without any of them.

    Args:
        run: The values.
        row: What is read.
        task: On which task.
        questions: Ids of the samples.
        alpha: Error rate of the interval.
        order: The random order of the task's samples, where more and more were looked at.
    """
    drawn = drawn_in(order, sorted(questions)) if order else None
    if row.reading == "accuracy":
        return _accuracy(run, task, questions, alpha, drawn)
    curves = curves_of(run, row, task)
    kept = _chosen(curves, questions) if curves is not None else []
    if curves is None or not kept:
        return None
    if row.probe:
        return _lens(run, row, task, curves, kept, alpha, drawn)
    return _knockout(run, row, task, curves, kept, alpha, drawn)


def _knockout(
    run: RunValues,
    row: GateRow,
    task: str,
    curves: SampleCurves,
    kept: list[int],
    alpha: float,
    drawn: Drawn | None,
) -> Reading:
    assert curves.base_probability is not None
    change = curves.values[kept]
    odds = log_odds_change(curves.base_probability[kept], change)
    both = [
        Curve(
            name=f"{row.edge} on {task}",
            values=values,
            image_ids=tuple(curves.image_ids[i] for i in kept),
            width=run.window or 1,
            alpha=alpha,
            noise_floor=run.noise_floor,
            band=row.band,
            drawn=drawn,
        )
        for values in (change, odds)
    ]
    own, twin = [curve.peak if row.reading == "peak" else curve.centre for curve in both]
    # Log-odds have no bounds, so that nobody can bet on them.
    return Reading(own=own, twin=replace(twin, wager=None))


def _lens(
    run: RunValues,
    row: GateRow,
    task: str,
    curves: SampleCurves,
    kept: list[int],
    alpha: float,
    drawn: Drawn | None,
) -> Reading:
    other = run.lenses.get((task, row.probe, "raw"))
    questions = frozenset(curves.question_ids[i] for i in kept)
    # The other lens has the same samples, perhaps in another order.
    both = [(curves, kept)] + ([(other, _chosen(other, questions))] if other else [])
    readings = [
        LensCurve(
            name=f"{row.probe} on {task}",
            values=lens.values[rows],
            question_ids=tuple(lens.question_ids[i] for i in rows),
            image_ids=tuple(lens.image_ids[i] for i in rows),
            alpha=alpha,
            noise_floor=run.noise_floor,
            # The other lens may lack some, of which this one tells nothing either.
            drawn=drawn if len(rows) == len(kept) else None,
        )
        for lens, rows in both
        if rows
    ]
    numbers = [lens.max if row.reading == "lens max" else lens.final for lens in readings]
    return Reading(own=numbers[0], twin=numbers[1] if len(numbers) > 1 else None)


def _accuracy(
    run: RunValues, task: str, questions: frozenset[str], alpha: float, drawn: Drawn | None
) -> Reading | None:
    answers = run.answers.get(task, {})
    kept = sorted(questions & answers.keys())
    if not kept:
        return None
    own = sample_mean(
        np.array([float(answers[question]["is_correct"]) for question in kept]),
        [answers[question]["image_id"] for question in kept],
        name=f"accuracy on {task}",
        unit="fraction",
        bounds=(0.0, 1.0),
        alpha=alpha,
        drawn=drawn,
    )
    return Reading(own=own, twin=None)


def curves_of(run: RunValues, row: GateRow, task: str) -> SampleCurves | None:
    if row.probe:
        return run.lenses.get((task, row.probe, "normed"))
    return run.sweeps.get((task, row.edge))


def _chosen(curves: SampleCurves, questions: frozenset[str]) -> list[int]:
    """Rows of some questions, in the order of their ids, so that two runs line up."""
    place = {question: i for i, question in enumerate(curves.question_ids)}
    return [place[question] for question in sorted(questions & place.keys())]
