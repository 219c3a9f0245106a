"""A run as a comparison sees it: its experiment and its samples' numbers.

From a run folder, or from what `mmflow bless` has kept of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.errors import NOT_FINITE, BaselineError
from mmflow_bench.measurements.order import Order, place_of
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.measurements.wants import ANSWER_SCOPE
from mmflow_bench.names import Suite, is_wanted, matches
from mmflow_bench.runs.curves import SampledCurves
from mmflow_bench.runs.folder import RESULTS
from mmflow_bench.runs.reading import RunRecord, named_by_user, read_run
from mmflow_bench.runs.records import AnswerRow
from mmflow_bench.runs.results import OrderResult
from mmflow_bench.runs.rows import grouped

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
    overflowed: Mapping[Key, int] = field(default_factory=dict)
    """(task, what was asked) -> samples whose numbers for it were not finite; `answer` for all."""
    tasks: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    """Patterns of --tasks and --mechanisms; empty where all were asked for."""
    suite: Suite = "core"
    """Of --suite; runs that do not say are of before there were others."""
    failed_checks: tuple[str, ...] = ()
    """Of the self-test."""
    broken: int = 0
    """Tests that ended without a verdict."""
    incomplete: str = ""
    """Why the run is not complete; empty where it is."""
    answers: Mapping[str, Mapping[str, AnswerRow]] = field(default_factory=dict)
    """Task -> question id -> answer."""
    sweeps: Mapping[Key, SampleCurves] = field(default_factory=dict)
    """(task, edge) -> masked knockouts at the run's own window."""
    lenses: Mapping[tuple[str, str, str], SampleCurves] = field(default_factory=dict)
    """(task, probe, variant) -> probabilities."""
    orders: Mapping[str, Order] = field(default_factory=dict)
    """Task -> the random order of its samples, where more and more of them were looked at."""

    @property
    def follow(self) -> str:
        """`answer`, or `reference` where the reference answer is followed on every sample.

        A run that does not say whose answer it has followed has followed the checkpoint's own.
        """
        return str(self.experiment.get("follow") or "answer")

    def selects(self, mechanism: str, task: str) -> bool:
        """Whether --mechanisms and --tasks have left a mechanism on a task."""
        return matches(mechanism, self.mechanisms) and matches(task, self.tasks)

    def has_in_suite(self, mechanism: str, suite: Suite) -> bool:
        """Whether --suite has left a mechanism, by itself or because it was named in full."""
        named = [name for name in self.mechanisms if name == mechanism]
        return is_wanted(mechanism, suite, patterns=named, chosen=self.suite)

    @property
    def window(self) -> int | None:
        """Width of the knocked-out windows in layers, where it is recorded."""
        width = self.experiment.get("window")
        return width if isinstance(width, int) else None


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
        one for one in record.sweeps if one.method == "masked" and window in (None, one.window)
    )
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
        overflowed={
            (task, name): reasons[NOT_FINITE]
            for task, told in results.data.tasks.items()
            for name, reasons in {ANSWER_SCOPE: told.unscored, **told.edges_unscored}.items()
            if reasons.get(NOT_FINITE)
        },
        tasks=tuple(results.settings.get("tasks") or ()),
        mechanisms=tuple(results.settings.get("mechanisms") or ()),
        suite=results.settings.get("suite") or "core",
        failed_checks=tuple(check.name for check in results.self_test if not check.passed),
        broken=len(results.errors),
        incomplete=results.incomplete,
        answers={task: {row["question_id"]: row for row in rows} for task, rows in answers.items()},
        sweeps={(one.task, one.edge): _curves(one, one.base_probability) for one in masked},
        lenses={(one.task, one.probe, one.variant): _curves(one) for one in record.lens},
        orders={
            task: _order(told.order, answers.get(task, []), results.settings.get("seed"))
            for task, told in results.data.tasks.items()
            if told.order is not None
        },
    )


def _order(told: OrderResult, answers: Sequence[AnswerRow], seed: object) -> Order:
    """The order of the samples that have an answer; what has none is as good as not there."""
    seed = seed if isinstance(seed, int) else None
    places = sorted((place_of(row["sample"], seed), row["question_id"]) for row in answers)
    if len(places) > told.of:
        raise BaselineError(
            f"an order of at least the {len(places)} samples that have an answer, got one of "
            f"{told.of} (data.tasks in {RESULTS}); measure again"
        )
    return Order(
        samples=tuple(one for one in places if one[0] < told.missing),
        missing=told.missing,
        of=told.of,
        seen=told.seen,
        looks=told.looks,
    )


def _curves(
    found: SampledCurves, base_probability: Float[ndarray, "sample"] | None = None
) -> SampleCurves:
    return SampleCurves(
        question_ids=found.question_ids,
        image_ids=found.image_ids,
        base_probability=base_probability,
        values=found.values,
    )
