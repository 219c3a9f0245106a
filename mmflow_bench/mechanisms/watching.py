"""What a mechanism reads, found by running its test on a flow that only watches.

The test itself is the only place that says which edges, windows and probes it looks at. Nothing is
measured here: every table has one made-up sample, whose estimates cost next to nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple, TypeVar

from mmflow_bench.inputs.samples import SIX_TASKS, Sample, Unscored
from mmflow_bench.interventions.knockout import SECOND_OPINIONS
from mmflow_bench.measurements.lens import LENSES
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.comparisons import Comparison, Recorder, current_recorder
from mmflow_bench.mechanisms.declared import DeclaredTest
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.measured import Measured
from mmflow_bench.mechanisms.verdicts import Verdict

Table = TypeVar("Table")
LAYERS, WIDTH = 40, 9
"""The decoder that every watched test believes to see: the paper's."""


class Asked(NamedTuple):
    """A question that a test puts to an estimate."""

    estimate: str
    """What it is, e.g. `peak of question->last on ChooseAttr`."""
    threshold: str
    """Where it must lie, e.g. `<= -10%`."""
    unit: str
    is_observed: bool
    """Whether nothing is asked of it."""
    among: str = ""
    """How many of several such questions suffice, e.g. `4 of 5`; empty where all are needed."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What one test has asked of a flow."""

    wants: Mapping[str, tuple[Want[object], ...]] = field(default_factory=dict)
    """By task, in the order of asking."""
    of_part: Mapping[str, tuple[Want[object], ...]] = field(default_factory=dict)
    """By task, what it reads of part of the samples by itself."""
    asked: tuple[Asked, ...] = ()
    """What it has asked of estimates, in the order of asking."""

    @property
    def units(self) -> frozenset[str]:
        """Of the estimates that it has compared."""
        return frozenset(one.unit for one in self.asked)

    @property
    def second_opinions(self) -> Mapping[str, tuple[Want[object], ...]]:
        """The same asked by the other methods; empty where one of them cannot be.

        Nothing either where something is observed only: no verdict is there to be confirmed.
        """
        if any(one.is_observed for one in self.asked):
            return {}
        found: dict[str, tuple[Want[object], ...]] = {}
        for task, wants in self.wants.items():
            others = [want.by(method) for want in wants for method in SECOND_OPINIONS]
            if None in others:
                return {}
            asked = [other for other in others if other is not None and other.is_second_opinion]
            found[task] = tuple(dict.fromkeys(asked))
        return {task: wants for task, wants in found.items() if wants}


def watch(test: Callable[[Flow], object]) -> Reads:
    """What a test reads; of a test that breaks on made-up samples, what it has read until then.

    A wrong answer costs time and no verdict: what was not planned is measured when it is asked for.
    """
    watched, watcher = _Watched(), _Watcher()
    token = current_recorder.set(watcher)
    try:
        with warnings.catch_warnings():
            # One sample has no spread: numpy says so, and it is of no account here.
            warnings.simplefilter("ignore")
            test(_WatchingFlow(watched))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        # Whatever a user's test raises on made-up samples; pytest's own skip is no Exception.
        pass
    finally:
        current_recorder.reset(token)
    return Reads(
        wants={task: tuple(wants) for task, wants in watched.read.items()},
        of_part={task: tuple(wants) for task, wants in watched.of_part.read.items() if wants},
        asked=tuple(watcher.asked()),
    )


def watched(test: DeclaredTest) -> Iterator[Reads]:
    """What a test of a file reads, once for each set of its parameters."""
    for case in test.cases:
        yield watch(partial(called, test.function, case))


def called(function: Callable[..., object], case: Mapping[str, object], flow: Flow) -> object:
    """A test, called with its parameters and a flow."""
    return function(flow=flow, **case)


class _Watcher(Recorder):
    """Lets every assertion pass, so that what comes after it is seen too."""

    is_watching = True

    def asked(self) -> Iterator[Asked]:
        """Every comparison, taken apart into those of one estimate."""
        waiting = [(one, "") for one in self.comparisons[::-1]]
        while waiting:
            one, among = waiting.pop()
            waiting += [(part, among or _among(one)) for part in one.parts[::-1]]
            if not one.parts:
                shown, is_observed = one.estimate, one.verdict is Verdict.REPORT
                yield Asked(shown.name, one.threshold, shown.unit, is_observed, among)


def _among(combined: Comparison) -> str:
    """What a combination says beside its verdict and none of its parts does by itself."""
    of_parts = {said for part in combined.parts for said in part.qualifier.split(", ")}
    own = [said for said in combined.qualifier.split(", ") if said not in of_parts]
    return ", ".join(own)


class _AnyTask(tuple[str, ...]):
    """The paper's tasks, where one's own are known too."""

    __slots__ = ()

    def __contains__(self, task: object) -> bool:
        return isinstance(task, str)


class _Watched:
    """Measurements that note what they are asked and answer with made-up samples."""

    paper_model = None
    lenses = LENSES
    tasks = known_tasks = _AnyTask(SIX_TASKS)
    decoder_layers = LAYERS
    width = WIDTH
    noise_floor = 0.0

    def __init__(self) -> None:
        self.read: dict[str, dict[Want[object], None]] = {}

    @cached_property
    def of_part(self) -> _WatchedPart:
        return _WatchedPart(self)

    def ensure(self, task: str, wants: Collection[Want[object]] = ()) -> None:
        self.read.setdefault(task, {}).update(dict.fromkeys(wants))

    def questions(self, task: str) -> tuple[Sample | Unscored, ...]:
        one = Sample(
            question_id="example",
            image_id="example",
            task=task,
            question="Is it a or b?",
            answer="a",
            true_option="a",
            false_option="b",
        )
        return (one,)

    def accuracy(self, task: str) -> AnswerCount:
        self.ensure(task)
        return AnswerCount(task=task, selected=1, correct=1, unscored={})

    def table(self, task: str, want: Want[Table]) -> Table:
        self.ensure(task, [want])
        return want.example(task, LAYERS)

    def order(self, task: str) -> None:
        pass

    def refusals(self, task: str) -> Mapping[str, Mapping[str, int]]:  # noqa: ARG002
        return {}

    def part(self) -> Measured:
        return self.of_part


class _WatchedPart(_Watched):
    """Part of the samples: what the other methods are asked of them, and no more."""

    def __init__(self, whole: _Watched) -> None:
        super().__init__()
        self._whole = whole

    def table(self, task: str, want: Want[Table]) -> Table:
        if want.is_second_opinion:
            return super().table(task, want)
        return self._whole.table(task, want)

    def part(self) -> Measured:
        return self


class _WatchingFlow(Flow):
    """A flow of no checkpoint in particular: a mechanism about one of them is watched too."""

    def only_for(self, *paper_models: str) -> None:
        pass

    def not_for(self, *paper_models: str) -> None:
        pass

    def other(self, paper_model: str) -> Flow:  # noqa: ARG002
        # What is read of another checkpoint is no part of this one's plan.
        return _WatchingFlow(_Watched())
