"""What the readings of a flow are made of, in whichever file they stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mmflow_bench.measurements.wants import OfSamples, Want
from mmflow_bench.mechanisms.measured import Measured
from mmflow_bench.mechanisms.verdicts import Undecided
from mmflow_bench.statistics.betting import Drawn


class Readings(ABC):
    """Readings of one checkpoint; a `Flow` is all of them."""

    _measurements: Measured
    # Error rate of every interval, and how much of it may be spent at this look.
    _whole_alpha: float
    _alpha: float
    # Whether only part of the samples is looked at, for a second opinion.
    _is_part: bool

    @property
    @abstractmethod
    def tasks(self) -> tuple[str, ...]: ...

    @property
    @abstractmethod
    def width(self) -> int: ...

    @property
    @abstractmethod
    def noise_floor(self) -> float: ...

    @abstractmethod
    def table(self, task: str, want: Want[OfSamples], *, lacked: str) -> OfSamples: ...

    @abstractmethod
    def _require_samples(self, task: str) -> None: ...

    @abstractmethod
    def _drawn(self, tasks: Sequence[str], question_ids: Sequence[str]) -> Drawn | None: ...

    @abstractmethod
    def _refusals(self, task: str, edge: str) -> str: ...

    @abstractmethod
    def _nothing(self, task: str, name: str, lacked: str) -> Undecided: ...
