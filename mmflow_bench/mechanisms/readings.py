"""What the readings of a flow are made of, in whichever file they stand."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mmflow_bench.measurements.wants import OfSamples, Want
from mmflow_bench.mechanisms.measured import Measured
from mmflow_bench.mechanisms.verdicts import Undecided


class Readings(ABC):
    """Readings of one checkpoint; a `Flow` is all of them."""

    _measurements: Measured
    # Error rate of every interval.
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
    def _nothing(self, task: str, name: str, lacked: str) -> Undecided: ...
