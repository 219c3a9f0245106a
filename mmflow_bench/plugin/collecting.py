"""Collected tests, before the first of them runs: declared, selected, planned, expected.

All edges of one sample share one clean pass and most of the decoder's work, so measuring
everything that a task needs at once is several times cheaper than test by test. And mechanisms that
a checkpoint is known not to have are expected failures, strictly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import pytest

from mmflow_bench.baselines.gate_set import GateRow, gate_rows
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import MechanismError
from mmflow_bench.measurements.asking import asked_questions
from mmflow_bench.measurements.limits import Limit, selected
from mmflow_bench.mechanisms.declared import repeated, shipped, tasks_of
from mmflow_bench.mechanisms.declaring import declaration, refuse_conflict
from mmflow_bench.mechanisms.looking import Question
from mmflow_bench.mechanisms.measuring import Planned, asked_of_tasks
from mmflow_bench.mechanisms.watching import Reads, called, watch
from mmflow_bench.names import is_wanted, matches, refuse_outside, refuse_unmatched
from mmflow_bench.plugin.golden import expected_verdict
from mmflow_bench.plugin.models import MODEL_FIXTURE, mechanism_of, model_of, task_of
from mmflow_bench.plugin.run import Run, declaration_of, key_of, run_of
from mmflow_bench.plugin.settings import Settings
from mmflow_bench.runs.judged import foretold


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is known of a mechanism before its test has run."""

    verdict: str
    reason: str
    """Who says so."""


READS = pytest.StashKey[Reads]()
"""What a test reads: watched once, asked for again by second opinions."""
EXPECTED = pytest.StashKey[Expectation]()


def declare(run: Run, test: pytest.Function) -> None:
    """Keep what a collected test of `flow` declares.

    Raises:
        pytest.Collector.CollectError: Its marker says something that is not known, or something
            else than another test of the same id.
    """
    key = key_of(test)
    before = [one for known, one in run.declared.items() if known != key]
    try:
        found = declaration(
            list(test.iter_markers()),
            function=key[1],
            doc=test.function.__doc__,
            tasks=tasks_of(test.iter_markers()),
            repeated=partial(repeated, before=before),
        )
        for other in before:
            if other.id == found.id:
                refuse_conflict(other, found)
    except MechanismError as error:
        raise pytest.Collector.CollectError(f"{test.nodeid}: {error}") from error
    run.declared[key] = found


def refuse_unknown(run: Run, items: Iterable[pytest.Item]) -> None:
    """Refuse --mechanisms, --tasks and --limit where a part of them selects nothing.

    Of the collected tests, before any other selection, and of the questions of every checkpoint:
    what is found out later is found out by each worker and test.

    Raises:
        SelectionError: A name, a pattern or the limit selects nothing.
        QuestionError: The questions cannot be read.
    """
    tests = [item for item in items if model_of(item)]
    chosen = run.settings.measurement
    refuse_unmatched(
        chosen.mechanisms,
        dict.fromkeys(declaration_of(test).id for test in tests),
        option="--mechanisms",
        what="a mechanism of the collected tests",
        advice="`mmflow ls mechanisms` lists those that ship",
    )
    suites = {one.id: one.suite for one in map(declaration_of, tests)}
    refuse_outside(chosen.mechanisms, suites, chosen=chosen.suite)
    if not chosen.tasks and not chosen.limit:
        return
    files = [
        asked_questions(spec, questions=chosen.questions, images=chosen.images, cache=chosen.folder)
        for spec in run.specs.values()
    ]
    # A task may be one of the questions alone, which statements across tasks read.
    known = [task for test in tests if (task := task_of(test))]
    known += [task for file in files for task in file.tasks]
    refuse_unmatched(
        chosen.tasks,
        dict.fromkeys(known),
        option="--tasks",
        what="a task of the collected tests or of the questions",
        advice="`mmflow ls tasks` lists the paper's",
    )
    # A plugin that opens measurements by itself may ask other questions than these.
    if not run.config.hook.pytest_mmflow_open_measurements.get_hookimpls():
        limit = Limit.parse(chosen.limit) if chosen.limit else None
        for file in files:
            selected(file, tasks=chosen.tasks, limit=limit)


def deselect(config: pytest.Config, items: list[pytest.Item], settings: Settings) -> None:
    """Keep the tests that the options on mechanisms ask for; leaves other tests alone."""
    dropped = [item for item in items if not _is_selected(item, settings)]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        gone = set(map(id, dropped))
        items[:] = [item for item in items if id(item) not in gone]


def _is_selected(item: pytest.Item, settings: Settings) -> bool:
    if MODEL_FIXTURE not in getattr(item, "fixturenames", ()):
        return True
    task, declared, asked = task_of(item), declaration_of(item), settings.measurement
    return is_wanted(
        declared.id, declared.suite, patterns=asked.mechanisms, chosen=asked.suite
    ) and (task is None or matches(task, asked.tasks))


def own_gate(items: Iterable[pytest.Item]) -> dict[GateRow, None]:
    """The rows that mechanisms of one's own add to the gate set."""
    known = {test.declaration.id for test in shipped()}
    declared = {one.id: one for item in items if model_of(item) for one in [declaration_of(item)]}
    return dict.fromkeys(gate_rows(one for name, one in declared.items() if name not in known))


def plan(items: Iterable[pytest.Item]) -> dict[str, dict[str, Planned]]:
    """Slug -> task -> what the selected tests read: each runs once on a flow that only watches."""
    tests: dict[str, list[tuple[Reads, bool]]] = {}
    for item in items:
        model = model_of(item)
        # What is refused before it runs reads nothing.
        if model and _is_about(item, model):
            tests.setdefault(model, []).append((reads_of(item), has_second_opinion(item)))
    return {model: asked_of_tasks(of_model) for model, of_model in tests.items()}


def questions(items: Iterable[pytest.Item]) -> dict[str, list[Question]]:
    """Slug -> the tests that can be asked ahead of their turn, as they take nothing but a flow."""
    found: dict[str, list[Question]] = {}
    for item in items:
        model, reads = model_of(item), reads_of(item)
        if model and reads.wants and _is_about(item, model):
            run = partial(called, item.obj, parameters_of(item))  # type: ignore[attr-defined]
            question = Question(
                name=item.nodeid,
                declared=declaration_of(item),
                reads=reads,
                is_asked_again=has_second_opinion(item),
                run=run,
            )
            found.setdefault(model, []).append(question)
    return found


def _is_about(item: pytest.Item, model: str) -> bool:
    return declaration_of(item).is_about(run_of(item.config).specs[model].paper_model)


def parameters_of(item: pytest.Item) -> dict[str, object]:
    """What a test is given beside the checkpoint."""
    given = dict(item.callspec.params)  # type: ignore[attr-defined]
    given.pop(MODEL_FIXTURE, None)
    return given


def reads_of(item: pytest.Item) -> Reads:
    """What a test reads; nothing known of one that needs other fixtures than `flow`."""
    if READS not in item.stash:
        item.stash[READS] = _watched(item)
    return item.stash[READS]


def _watched(item: pytest.Item) -> Reads:
    given = parameters_of(item)
    names = set(item._fixtureinfo.argnames)  # type: ignore[attr-defined]
    if names != {"flow", *given}:
        return Reads()
    return watch(partial(called, item.obj, given))  # type: ignore[attr-defined]


def has_second_opinion(item: pytest.Item) -> bool:
    """Whether a verdict on this test is asked again by other methods in this run."""
    twins = run_of(item.config).settings.measurement.twins
    return declaration_of(item).is_asked_again(twins=twins)


def expect(run: Run, items: Iterable[pytest.Item]) -> None:
    """Note what is known of the mechanism of each test.

    By the checkpoint's record, by what the test declares of the paper's, or by the baseline.
    """
    for item in items:
        if slug := model_of(item):
            verdict, source = _expected(run, item, run.specs[slug])
            name = declaration_of(item).id
            reason = f"{source} says that {name} does not hold for {slug}"
            if verdict:
                item.stash[EXPECTED] = Expectation(verdict, reason)


def _expected(run: Run, item: pytest.Item, spec: CheckpointSpec) -> tuple[str | None, str]:
    """The verdict that is expected of a test, and who says so."""
    declared = declaration_of(item)
    found, source = foretold(spec, declared, task_of(item))
    if found:
        return found, source
    # An update is there to replace what the baseline says.
    if mechanism_of(item) is None or run.settings.update_baselines:
        return None, ""
    return expected_verdict(item, run), "its baseline"
