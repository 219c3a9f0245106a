"""What a row of the gate set reads off a run: a number, and the same by a second instrument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmflow_bench.baselines.gate_set import GateRow
from mmflow_bench.baselines.paired_values import RunValues, SampleCurves
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.lens import LensCurve
from mmflow_bench.statistics.paired import log_odds_change
from mmflow_bench.statistics.resampling import ImageMeans, ImageStatistic, between


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
    run: RunValues, row: GateRow, task: str, questions: frozenset[str], *, alpha: float
) -> Reading | None:
    """A row's number on some samples of a task; None without any of them.

    Args:
        run: The values.
        row: What is read.
        task: On which task.
        questions: Ids of the samples.
        alpha: Error rate of the interval.
    """
    if row.reading == "accuracy":
        return _accuracy(run, task, questions, alpha)
    curves = curves_of(run, row, task)
    kept = _chosen(curves, questions) if curves is not None else []
    if curves is None or not kept:
        return None
    if row.probe:
        return _lens(run, row, task, curves, kept, alpha)
    return _knockout(run, row, task, curves, kept, alpha)


def _knockout(
    run: RunValues, row: GateRow, task: str, curves: SampleCurves, kept: list[int], alpha: float
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
        )
        for values in (change, odds)
    ]
    own, twin = [curve.peak if row.reading == "peak" else curve.centre for curve in both]
    return Reading(own=own, twin=twin)


def _lens(
    run: RunValues, row: GateRow, task: str, curves: SampleCurves, kept: list[int], alpha: float
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
        )
        for lens, rows in both
        if rows
    ]
    numbers = [lens.max if row.reading == "lens max" else lens.final for lens in readings]
    return Reading(own=numbers[0], twin=numbers[1] if len(numbers) > 1 else None)


def _accuracy(run: RunValues, task: str, questions: frozenset[str], alpha: float) -> Reading | None:
    answers = run.answers.get(task, {})
    kept = sorted(questions & answers.keys())
    if not kept:
        return None
    correct = np.array([[float(answers[question]["is_correct"])] for question in kept])
    means = ImageMeans(correct, [answers[question]["image_id"] for question in kept])
    none, all_ = (means.with_unseen(np.array([share])) for share in (0.0, 1.0))
    source = ImageStatistic(
        means.images,
        lambda weights: means.curves(weights)[:, 0],
        between(lambda w: none.curves(w)[:, 0], lambda w: all_.curves(w)[:, 0]),
    )
    own = Estimate(
        source=source, name=f"accuracy on {task}", unit="fraction", n=len(kept), alpha=alpha
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
