"""A run as a comparison sees it: its experiment, its samples' numbers, and what the gate reads.

From a run folder, or from what `mmflow bless` has kept of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.baselines.gate_set import GateRow
from mmflow_bench.errors import BaselineError
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.lens import LensCurve
from mmflow_bench.names import matches
from mmflow_bench.runs.folder import RESULTS
from mmflow_bench.runs.reading import RunRecord, named_by_user, read_run
from mmflow_bench.runs.rows import grouped
from mmflow_bench.runs.tables import AnswerRow, LensRow, SweepRow
from mmflow_bench.statistics.paired import log_odds_change
from mmflow_bench.statistics.resampling import ImageMeans, ImageStatistic, between

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCurves:
    """One curve for each sample of one task."""

    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    base_probability: Float[ndarray, "sample"] | None
    """Clean probability of the answer; None for the logit lens."""
    values: Float[ndarray, "sample layer"]
    """Relative change by window centre, or probability by depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunValues:
    """Everything that a comparison reads of one run."""

    name: str
    """Of the checkpoint, as its user has given it."""
    experiment: Mapping[str, object]
    """What was asked of the checkpoint, and how."""
    data: str = ""
    """Fingerprint of the samples."""
    limit: str | None = None
    """What --limit cut the samples to."""
    noise_floor: float = 0.0
    """Largest relative change that the instrument makes by itself."""
    verdicts: Mapping[Key, str] = field(default_factory=dict)
    """(mechanism, task) -> verdict."""
    reasons: Mapping[Key, str] = field(default_factory=dict)
    """(mechanism, task) -> why there is no verdict from numbers."""
    counts: Mapping[str, AnswerCount] = field(default_factory=dict)
    """Task -> how many of its samples were scored and answered correctly."""
    tasks: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    """Patterns of --tasks and --mechanisms; empty where all were asked for."""
    failed_checks: tuple[str, ...] = ()
    """Of the self-test."""
    broken: int = 0
    """Tests that ended without a verdict."""
    answers: Mapping[str, Mapping[str, AnswerRow]] = field(default_factory=dict)
    """Task -> question id -> answer."""
    sweeps: Mapping[Key, SampleCurves] = field(default_factory=dict)
    """(task, edge) -> masked knockouts at the run's own window."""
    lenses: Mapping[tuple[str, str, str], SampleCurves] = field(default_factory=dict)
    """(task, probe, variant) -> probabilities."""

    @property
    def follow(self) -> str:
        """`answer`, or `reference` where the reference answer is followed on every sample.

        A run that does not say whose answer it has followed has followed the checkpoint's own.
        """
        return str(self.experiment.get("follow") or "answer")

    def selects(self, mechanism: str, task: str) -> bool:
        """Whether --mechanisms and --tasks have left a mechanism on a task."""
        return matches(mechanism, self.mechanisms) and matches(task, self.tasks)

    @property
    def window(self) -> int | None:
        """Width of the knocked-out windows in layers, where it is recorded."""
        width = self.experiment.get("window")
        return width if isinstance(width, int) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A number, and the same by the instrument that must agree before a change is called one."""

    own: Estimate
    twin: Estimate | None
    """In log-odds, or by the other lens; None where there is no other instrument."""


def read_values(folder: Path) -> RunValues:
    """Everything that is kept of a run.

    Raises:
        BaselineError: There is no run in the folder, or its files cannot be read.
    """
    with named_by_user(BaselineError, f"a run folder with {RESULTS} and its tables", folder):
        return values_of(read_run(folder))


def values_of(record: RunRecord) -> RunValues:
    """What a comparison reads of a run."""
    results = record.results
    limit, window = results.settings.get("limit"), results.experiment.get("window")
    answers = grouped(record.answers, lambda row: row["task"])
    masked = (
        row
        for row in record.samples
        if row["method"] == "masked" and window in (None, row["window"])
    )
    sweeps = grouped(masked, lambda row: (row["task"], row["edge"]))
    lenses = grouped(record.lens, lambda row: (row["task"], row["probe"], row["variant"]))
    return RunValues(
        name=record.name,
        experiment=results.experiment,
        data=results.data.fingerprint,
        limit=str(limit) if limit else None,
        noise_floor=results.noise_floor or 0.0,
        verdicts={(row.id, row.task): row.verdict for row in record.rows},
        reasons={(row.id, row.task): row.reason for row in record.rows if row.reason},
        counts={
            task: AnswerCount(
                task=task, selected=told.selected, correct=told.correct, unscored=told.unscored
            )
            for task, told in results.data.tasks.items()
        },
        tasks=tuple(results.settings.get("tasks") or ()),
        mechanisms=tuple(results.settings.get("mechanisms") or ()),
        failed_checks=tuple(check.name for check in results.self_test if not check.passed),
        broken=len(results.errors),
        answers={task: {row["question_id"]: row for row in rows} for task, rows in answers.items()},
        sweeps={
            key: _curves(
                rows,
                [row["relative_change"] for row in rows],
                [row["base_probability"] for row in rows],
            )
            for key, rows in sweeps.items()
        },
        lenses={
            key: _curves(rows, [row["probability"] for row in rows]) for key, rows in lenses.items()
        },
    )


def _curves(
    rows: Sequence[SweepRow] | Sequence[LensRow],
    values: Sequence[list[float]],
    base_probability: Sequence[float] | None = None,
) -> SampleCurves:
    return SampleCurves(
        question_ids=tuple(row["question_id"] for row in rows),
        image_ids=tuple(row["image_id"] for row in rows),
        base_probability=None if base_probability is None else np.array(base_probability),
        values=np.array(values, dtype=float),
    )


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
