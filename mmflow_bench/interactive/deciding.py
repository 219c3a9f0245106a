"""Mechanisms decided without pytest: the same functions, verdicts and second opinions."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

from mmflow_bench.errors import MechanismError, MMFlowError, NoComparison, SelectionError
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.mechanisms.comparisons import Recorder, current_recorder
from mmflow_bench.mechanisms.declared import DeclaredTest
from mmflow_bench.mechanisms.declaring import Declaration, require_applicable
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.guarded import GuardedMeasurements
from mmflow_bench.mechanisms.measuring import Planned, PlannedMeasurements, asked_of_tasks
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.mechanisms.watching import Reads, watch
from mmflow_bench.names import matches
from mmflow_bench.runs.judged import UNCOMPARED, doubted, foretold, is_uncompared, judged
from mmflow_bench.runs.opinions import with_opinion
from mmflow_bench.runs.outcomes import Ending, Policy, outcome_of
from mmflow_bench.runs.rows import ALL, MechanismRow


@dataclass(frozen=True, slots=True)
class Case:
    """One test of `flow` with one set of its parameters."""

    test: DeclaredTest
    given: Mapping[str, object]
    reads: Reads

    @property
    def declared(self) -> Declaration:
        return self.test.declaration

    @property
    def task(self) -> str | None:
        return str(self.given["task"]) if "task" in self.given else None

    @property
    def name(self) -> str:
        """As pytest has it, of the function."""
        values = "-".join(map(str, self.given.values()))
        return f"{self.test.function.__name__}[{values}]" if values else self.test.function.__name__

    def run(self, flow: Flow) -> object:
        return self.test.function(flow=flow, **self.given)


def cases_of(tests: Sequence[DeclaredTest], tasks: Sequence[str]) -> list[Case]:
    """What is to be decided of some tests, on the tasks that are asked for.

    Raises:
        MechanismError: A test needs more than the flow, which only pytest can give it.
        SelectionError: There is nothing.
    """
    if not __debug__:
        # Every mechanism would hold.
        raise MechanismError("Python with assertions, got one started with -O; start it without")
    found = [case for test in tests for case in _cases(test, tasks)]
    if not found:
        of = ", ".join(dict.fromkeys(t for test in tests for t in test.declaration.tasks))
        raise SelectionError(
            f"mechanisms that are decided on {', '.join(tasks)}, got some that are decided on "
            f"{of or 'nothing'}; open these tasks too"
        )
    return found


def _cases(test: DeclaredTest, tasks: Sequence[str]) -> Iterator[Case]:
    for given in test.cases:
        taken = inspect.signature(test.function).parameters
        missing = [name for name in taken if name != "flow" and name not in given]
        if missing:
            raise MechanismError(
                f"a test that takes `flow` and its parameters alone, got one that takes "
                f"{', '.join(missing)} ({test.declaration.id}); let pytest run it"
            )
        if "task" not in given or matches(str(given["task"]), tasks):
            yield Case(test, given, watch(partial(test.function, **given)))


def plan_of(cases: Sequence[Case], measurements: Measurements) -> dict[str, Planned]:
    """What some mechanisms read of each task, so that it is measured at once."""
    return asked_of_tasks(
        (case.reads, case.declared.is_asked_again(twins=measurements.settings.twins))
        for case in cases
        if case.declared.is_about(measurements.paper_model)
    )


class Decider:
    """Decides mechanisms on one checkpoint."""

    def __init__(
        self, planned: PlannedMeasurements, *, slug: str, alpha: float, twins: bool
    ) -> None:
        self._planned = planned
        self._slug, self._alpha, self._twins = slug, alpha, twins
        self.notes: dict[str, None] = {}
        """What must be said once beside the rows."""

    def row(self, case: Case) -> MechanismRow:
        """The row of a mechanism.

        Raises:
            MMFlowError: Checkpoint or store cannot be read, or the test is no mechanism's.
            Exception: Whatever else the test raises that is no verdict.
        """
        started = perf_counter()
        guarded = GuardedMeasurements(self._planned, case.declared.minimum_accuracy)
        flow = Flow(guarded, alpha=self._alpha)
        error, recorder = _ended(case, flow)
        if is_uncompared(recorder, error):
            raise NoComparison(UNCOMPARED) from error
        expected, source = foretold(self._planned.opened.spec, case.declared, case.task)
        row = judged(
            case.declared,
            recorder,
            error,
            model=self._slug,
            test=case.name,
            task=case.task or ALL,
            expected=expected or "",
        )
        if row is None:
            assert error is not None
            raise error
        row = self._with_opinion(case, flow, doubted(row, self._planned.opened.self_test))
        outcome = outcome_of(_ending(row, source if expected == "fails" else ""), Policy())
        return replace(row, outcome=outcome.word, seconds=round(perf_counter() - started, 4))

    def _with_opinion(self, case: Case, flow: Flow, row: MechanismRow) -> MechanismRow:
        if not self._twins or not case.reads.second_opinions:
            return row

        def ask(method: Method) -> object:
            return case.run(flow.by(method))

        return with_opinion(row, ask, tell=lambda note: self.notes.setdefault(note))


def _ended(case: Case, flow: Flow) -> tuple[Exception | None, Recorder]:
    """What a mechanism's test has raised, if anything, and what it has compared."""
    recorder = Recorder()
    token = current_recorder.set(recorder)
    try:
        require_applicable(case.declared, flow)
        case.run(flow)
    except MMFlowError:
        raise
    except Exception as error:
        return error, recorder
    finally:
        current_recorder.reset(token)
    return None, recorder


def _ending(row: MechanismRow, known: str) -> Ending:
    """The end of a test as pytest would have it."""
    has_failed = row.verdict == Verdict.FAILS
    return Ending(
        verdict=row.verdict,
        reason=row.reason,
        known=f"{known} says that {row.id} does not hold for {row.model}" if known else "",
        report="failed" if has_failed else "passed",
        has_raised=has_failed,
    )
