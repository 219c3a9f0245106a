"""What mechanisms may ask of a checkpoint: the one protocol that stands between them and torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol, TypeVar

from mmflow_bench.inputs.samples import Sample, Unscored
from mmflow_bench.measurements.order import Order
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.measurements.wants import Want

Table = TypeVar("Table")


class Measured(Protocol):
    """The measurements of one checkpoint, measured when they are asked for.

    Whatever stands in between (a guard, a planner) follows it method by method: a new one has to
    be thought about there, and cannot slip by.
    """

    @property
    def paper_model(self) -> str | None:
        """The paper's name of the checkpoint, when it is one of the paper's."""

    @property
    def lenses(self) -> tuple[str, ...]:
        """Variants of the lens that decide where none is named, the one that is shown first."""

    @property
    def tasks(self) -> tuple[str, ...]: ...
    @property
    def known_tasks(self) -> tuple[str, ...]:
        """Every task of the questions, whether samples of it are selected or not."""

    def questions(self, task: str) -> tuple[Sample | Unscored, ...]:
        """Every question of a task, selected for the run or not; empty where there is none."""

    @property
    def decoder_layers(self) -> int: ...
    @property
    def width(self) -> int:
        """Width of the windows that scale with the depth, in layers."""

    @property
    def noise_floor(self) -> float:
        """Largest relative change that a knockout of no edge made."""

    def ensure(self, task: str, wants: Collection[Want[object]] = ()) -> None:
        """Measure what is missing; may refuse a task that the checkpoint does not master."""

    def accuracy(self, task: str) -> AnswerCount: ...
    def table(self, task: str, want: Want[Table]) -> Table:
        """What a want tells of a task; measures what is missing."""

    def order(self, task: str) -> Order | None:
        """The random order of a task's samples, as far as they are at hand.

        None where all of them are looked at at once.
        """

    def refusals(self, task: str) -> Mapping[str, Mapping[str, int]]:
        """What was wanted -> reason -> samples that it could not be measured on."""

    def part(self) -> Measured:
        """The same on part of the samples: for second opinions, which need only agree."""
